"""Laws of the choice between fp32 and int8."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tapetum.data import Dataset
from tapetum.errors import PackageError
from tapetum.evaluation import PackageSubject, score
from tapetum.formats import (
    FineTuner,
    PrecisionChoice,
    Settings,
    choose_precision,
    export_network,
    quantise,
    repack,
    with_scores,
    write_target,
)
from tapetum.formats import precision as module
from tapetum.formats.precision import Measured
from tapetum.formats.target_ncnn import NcnnTarget
from tapetum.graph import with_weights
from tapetum.images import DecodedImage
from tapetum.latency import Conditions, DeployedNetwork, Timing, measure_latency
from tapetum.latency.runtimes import OnnxRuntime, OpenVino
from tapetum.nn import build
from tapetum.noise import Gaussian
from tapetum.runtime import Manifest, Package, Predictor, open_package, write_package
from test_formats_quantise import CLASSES, NOISES, Waves, lowered, package_of
from tiny_training import TINY_DATA

CONDITIONS = Conditions(
    device="a chip",
    runtime="onnxruntime",
    runtime_version="1",
    precision="fp32",
    threads=1,
    batch=1,
    channels=3,
    height_px=32,
    width_px=32,
)


def took(ms: float) -> Timing:
    """A timing without noise."""
    return Timing(median_ms=ms, mean_ms=ms, p95_ms=ms, spread=0, num_rounds=1, num_passes=1)


def choice_of(
    *,
    speed_up: float,
    points: float | None = 0.0,
    db: float | None = 0.0,
    asked: str = "auto",
    num_images: int = 1000,
) -> PrecisionChoice:
    """A comparison in which int8 is so much faster, and loses so much."""
    return PrecisionChoice(
        asked=asked,
        conditions=CONDITIONS,
        fp32=Measured(
            timing=took(speed_up),
            macro_accuracy=None if points is None else 0.75,
            psnr_db=None if db is None else 30,
        ),
        int8=Measured(
            timing=took(1),
            macro_accuracy=None if points is None else 0.75 - points / 100,
            psnr_db=None if db is None else 30 - db,
        ),
        num_images=num_images,
    )


@pytest.mark.parametrize(
    ("speed_up", "points", "db", "precision"),
    [
        (1.11, 0.0, 0.0, "int8"),
        (1.09, 0.0, 0.0, "fp32"),
        (3.0, 0.49, 0.09, "int8"),
        (3.0, 0.51, 0.0, "fp32"),
        (3.0, 0.0, 0.11, "fp32"),
        (3.0, -2.0, -1.0, "int8"),
        (3.0, None, 0.11, "fp32"),
        (3.0, None, 0.0, "int8"),
        (3.0, 0.0, None, "int8"),
    ],
)
def test_auto_takes_int8_where_it_pays(
    speed_up: float, points: float | None, db: float | None, precision: str
) -> None:
    """At least 10 % faster, less than half a point and a tenth of a decibel lost."""
    choice = choice_of(speed_up=speed_up, points=points, db=db)
    assert choice.precision == precision
    assert choice.text.count(f"{precision} is used") == 1
    assert ("since" in choice.text) == (precision == "fp32")


def test_the_speed_of_another_device_counts_in_place_of_that_of_this_one() -> None:
    """Int8 may be slower here, where it will not run."""
    here = choice_of(speed_up=0.5)
    assert here.precision == "fp32"
    there = here.model_copy(update={"device_speed_up": 2.0})
    assert there.precision == "int8"
    assert "on the device, int8 is 2.00 times as fast as fp32" in there.text
    assert " ms in " not in there.text


def test_one_of_few_images_does_not_decide() -> None:
    """With 40 images one is worth 2.5 points: less than that says nothing, and more counts."""
    assert choice_of(speed_up=3.0, points=2.4, num_images=40).precision == "int8"
    assert choice_of(speed_up=3.0, points=2.6, num_images=40).precision == "fp32"


def test_what_was_asked_for_ships_and_its_faults_are_said() -> None:
    """int8 that is slower, or loses too much, is written where it was asked for, and says so."""
    choice = choice_of(speed_up=0.5, points=1.0, db=0.2, asked="int8")
    assert choice.precision == "int8"
    assert choice.text == (
        "one pass takes 1 ms in int8 and 0.5 ms in fp32 (0.50 times as fast); int8 changes the "
        "macro accuracy by -1.0 points and the PSNR by -0.20 dB on 1,000 held-out images: int8 is "
        "used, although it is slower here and it loses 0.5 points of macro accuracy or more and it "
        "loses 0.1 dB or more"
    )


def test_the_record_survives_its_file() -> None:
    """It is stored with a package."""
    choice = choice_of(speed_up=2.0)
    assert PrecisionChoice.model_validate(choice.model_dump(mode="json")) == choice


def gave(points: float, db: float) -> Measured:
    """int8 that loses so much."""
    return choice_of(speed_up=2.0, points=points, db=db).int8


@pytest.mark.parametrize(
    ("points", "db", "is_kept"),
    [(0.2, 0.1, True), (-3.0, 0.3, False), (0.5, 0.0, True), (0.4, 0.2, False), (0.2, 0.2, False)],
)
def test_fine_tuned_weights_are_kept_where_they_lose_less(
    points: float, db: float, is_kept: bool
) -> None:
    """Losses count in units of what may be lost; a gain makes up for no loss, and equal is old."""
    before = choice_of(speed_up=2.0, points=0.2, db=0.2, asked="int8")
    after = before.finetuned(3, gave(points, db))
    assert after.finetuning is not None
    assert after.finetuning.is_kept == is_kept
    assert after.int8 == (gave(points, db) if is_kept else before.int8)
    assert after.ships == ("tuned" if is_kept else "int8")
    assert PrecisionChoice.model_validate(after.model_dump(mode="json")) == after
    used, unused = ((points, db), (0.2, 0.2)) if is_kept else ((0.2, 0.2), (points, db))
    said = [
        f"the macro accuracy by {-p:+z.1f} points and the PSNR by {-d:+z.2f} dB"
        for p, d in (used, unused)
    ]
    how = (
        "fine-tuned for 3 epochs, without which it changes"
        if is_kept
        else "not fine-tuned, since after 3 epochs of that it changes"
    )
    assert f"int8 changes {said[0]} on 1,000 held-out images ({how} {said[1]}): " in after.text


def waves(package: Package, count: int = 10) -> Dataset:
    """A dataset of waves, whose validation part is its training part."""
    images = Waves(count, package.manifest.image_channels, (32, 32), boxes=False)
    facts = {"channels": 3, "class_names": CLASSES, "num_train": count}
    return Dataset(images, images, TINY_DATA.model_copy(update=facts))


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time one short round."""
    monkeypatch.setattr(
        module, "time_interleaved", lambda networks, **_: [took(2.0), took(1.0)][: len(networks)]
    )


@pytest.mark.slow
def test_both_are_scored_on_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores and decision are those of the two packages; the one that is used is returned."""
    quickly(monkeypatch)
    package = package_of("dc-net-reduced-integrated")
    dataset = waves(package)
    used, choice = choose_precision(package, dataset, NOISES)
    int8 = quantise(package, dataset.train, NOISES)
    for one, measured in ((package, choice.fp32), (int8, choice.int8)):
        scores = score(PackageSubject(one, threads=1), dataset, NOISES)
        assert measured.macro_accuracy == scores.mean.macro_accuracy
        assert measured.psnr_db == pytest.approx(scores.mean.psnr_db)
    assert choice.speed_up == 2
    assert used.manifest.precision == choice.precision
    assert choice.num_images == 10


def test_the_weights_that_lose_less_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tuner gets the graph in int8, and what it returns ships only where that is better."""
    quickly(monkeypatch)
    package = package_of("unet-s")
    good = lowered(package)
    blind = {name: 0 * array for name, array in constants_of(package).items()}
    poor = with_weights(onnx.load_model_from_string(good.graph_bytes), blind).SerializeToString()
    for first, second in ((good.graph_bytes, poor), (poor, good.graph_bytes)):
        made = replace(good, graph_bytes=first)
        monkeypatch.setattr(module, "quantise", lambda *_, made=made, **__: made)
        given: list[bytes] = []

        def tune(graph: bytes, second: bytes = second, given: list[bytes] = given) -> bytes:
            given.append(graph)
            return second

        used, choice = choose_precision(
            package, waves(package, 4), NOISES, asked="int8", finetuner=FineTuner(1, tune)
        )
        assert given == [first]
        assert used.graph_bytes == good.graph_bytes
        assert choice.finetuning is not None
        assert choice.finetuning.is_kept == (second == good.graph_bytes)


def constants_of(package: Package) -> dict[str, NDArray[np.float32]]:
    """The weights and biases of the layers that int8 rounds."""
    graph = onnx.load_model_from_string(package.graph_bytes).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {name: array for name, array in arrays.items() if name.endswith("conv.weight")}


def test_only_some_of_many_images_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice is bounded in the number of predictions."""
    quickly(monkeypatch)
    monkeypatch.setattr(module, "MOST_PREDICTIONS", 8)
    package = package_of("unet-s")
    _, choice = choose_precision(package, waves(package, 20), NOISES)
    assert choice.num_images == 4
    assert choice.lost_points is None


def test_an_export_in_int8_says_so_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Manifest, card and result have the precision and the loss; a format without it refuses."""
    quickly(monkeypatch)
    package = package_of("unet-s")
    network = build(package.manifest.architecture, seed=0).eval()

    def lower(given: Package) -> tuple[Package, PrecisionChoice]:
        return choose_precision(given, waves(given), NOISES, asked="int8")

    path = tmp_path / "p.tapetum"
    exported = export_network(network, path, package.manifest, lower=lower)
    assert exported.precision is not None
    assert exported.parity.worst <= 1e-4
    opened = open_package(path)
    assert opened.manifest.precision == "int8"
    stored = PrecisionChoice.model_validate(opened.manifest.provenance["precision"])
    assert stored == exported.precision
    assert "## Precision\n\nOne pass takes 1 ms in int8 and 2 ms in fp32" in opened.card
    assert "The graph differs in fp32 from the trained network" in opened.card
    with pytest.raises(
        PackageError, match="ncnn is written in fp32 or fp16, and int8 was asked for"
    ):
        write_target(opened, tmp_path / "p.param", NcnnTarget(), Settings())
    assert not (tmp_path / "p.param").exists()


def test_a_latency_of_int8_is_one_of_int8(tmp_path: Path) -> None:
    """The conditions name the precision, and the pass that OpenVINO times computes the same."""
    package = lowered(package_of("unet-s"))
    path = tmp_path / "p.tapetum"
    write_package(path, package.graph_bytes, package.manifest, "")
    result = measure_latency(path, seconds=0.02, threads=1)
    assert result.conditions.precision == "int8"
    assert ", int8, 1 thread," in str(result.conditions)
    pytest.importorskip("openvino")
    wanted, given = (
        runtime.prepare(DeployedNetwork.open(path), result.conditions)()
        for runtime in (OnnxRuntime(), OpenVino())
    )
    assert np.abs(wanted[0] - given["denoised"]).max() < 0.05


def test_predict_gives_what_is_scored() -> None:
    """The law of fp32 holds: the scores of int8 are those of its predictions, to the bit."""
    package = lowered(package_of("dc-net-reduced-integrated"))
    dataset = waves(package, 4)
    row = score(PackageSubject(package, threads=1), dataset, [Gaussian(sigma=0)]).rows[0]
    predictor, right, errors = Predictor(package, threads=1), [], []
    for index in range(4):
        image: DecodedImage = dataset.validation.sample(index).image
        answer = predictor(image)
        right.append(answer.label == CLASSES[index % 4])
        clean = np.moveaxis(image.pixels, 0, 2)
        errors.append(-10 * np.log10(np.mean((answer.pixels - clean) ** 2, dtype=np.float64)))
    assert row.accuracy == np.mean(right)
    assert row.psnr_db == pytest.approx(np.mean(errors), abs=1e-4)


def test_a_card_says_which_precision_its_scores_are_of(tmp_path: Path) -> None:
    """Those of the training are in fp32; a package that was scored itself says no such thing."""
    package, path = lowered(package_of("unet-s")), tmp_path / "p.tapetum"
    found = score(PackageSubject(package, threads=1), waves(package, 2), [Gaussian(sigma=0.1)])
    manifest = package.manifest.model_copy(update={"scores": found})
    repack(replace(package, manifest=manifest), path, overwrite=False)
    assert "These are the scores in fp32." in open_package(path).card
    repack(with_scores(package, found), path, latency="4 ms.", overwrite=True)
    opened = open_package(path)
    assert opened.manifest.scores == found
    assert "scores in fp32" not in opened.card
    assert "## Latency\n\n4 ms." in opened.card


def test_a_manifest_keeps_its_precision_when_it_is_copied() -> None:
    """What is estimated anew on opening does not touch it."""
    package = lowered(package_of("unet-s"))
    fields = package.manifest.model_dump(mode="json")
    assert Manifest.model_validate(fields).with_own_estimates().precision == "int8"
    assert replace(package, card="").manifest.precision == "int8"
