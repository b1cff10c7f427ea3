"""Laws of the main job: what is opened, what fits, what is scored, what is resumed."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from folders import draw_tree
from tapetum.arch import Shape, find_architecture
from tapetum.data import DataOptions, SplitList, open_dataset
from tapetum.errors import ArchitectureError, DataError, InputError, PackageError
from tapetum.formats import precision
from tapetum.images import DecodedImage, write_image
from tapetum.jobs import TrainingOptions, evaluate, evaluation, export, fit, train, train_network
from tapetum.jobs.choose import architecture_for, require_fit
from tapetum.jobs.evaluation import open_trained
from tapetum.jobs.fitting import OtherOptions
from tapetum.jobs.training import choose_recipe
from tapetum.latency import time_interleaved
from tapetum.latency.timing import PassCount
from tapetum.nn import build
from tapetum.runtime import open_package
from tapetum.search import StepTimes
from tapetum.training import RUNS, network_predict
from tiny_training import StoppedError

FEW = {"train_count": 32, "test_count": 8}


TINY: dict[Callable[..., Any], dict[str, Any]] = {
    train: {"architecture": "unet-s"},
    fit: {"target_ms": 5.0},
}


def make_pair(root: Path) -> Path:
    """A folder of noisy images and their clean twins."""
    generator = np.random.default_rng(0)
    for index in range(12):
        clean = generator.random((1, 32, 32), dtype=np.float32) * 0.2 + 0.4
        noisy = clean + generator.normal(0, 0.1, clean.shape).astype(np.float32)
        for name, pixels in (("clean", clean), ("noisy", noisy)):
            image = DecodedImage(pixels.clip(0, 1), None, 8, "grey")
            write_image(root / name / f"{index}.png", image)
    return root


@pytest.mark.parametrize(
    ("job", "options"), [(fit, OtherOptions), (train, TrainingOptions), (evaluate, DataOptions)]
)
def test_help_shows_every_option_by_name(job: Callable[..., Any], options: type) -> None:
    """Help on a job names each option that it takes, and no argument that stands for several."""
    shown = inspect.signature(job).parameters
    assert options.__annotations__.keys() <= shown.keys()
    assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in shown.values())


def test_digits_bring_boxes_and_their_identity() -> None:
    """Two digits an image, at known places; what was asked is kept for a resume."""
    images = open_dataset("digits", seed=3, **FEW)
    assert images.info.has_boxes
    assert images.info.num_train == 32
    assert images.info.seed == 3
    assert architecture_for("mb2.5-m", images).classifies_boxes


def test_what_is_no_folder_is_said_to_be_none() -> None:
    """A slip in the name of a folder gives a sentence."""
    with pytest.raises(DataError, match="there is no folder 'digitz'"):
        open_dataset("digitz", seed=0)


def test_an_architecture_file_must_fit_the_images(tmp_path: Path) -> None:
    """All faults at once: channels, names, boxes."""
    find_architecture("mb1-s", channels=3, num_classes=4, boxes=False).write(tmp_path / "mine.json")
    with pytest.raises(ArchitectureError, match=r"3 channel.*4 classes.*boxes"):
        architecture_for(str(tmp_path / "mine.json"), open_dataset("digits", seed=0, **FEW))


def test_a_recipe_is_chosen_by_the_data_and_changed_by_wish() -> None:
    """Digits are quick, folders have their own; only what is wished for changes."""
    quick = choose_recipe(None, "digits", changes={"epochs": 2, "seed": None})
    assert (quick.name, quick.epochs, quick.seed) == ("quick", 2, 0)
    folder = choose_recipe(None, "photos", noise="speckle:0.1-0.3", protocol="camera")
    assert folder.name == "images"
    assert (folder.noise.kind, folder.noise.low, folder.noise.protocol) == (
        "speckle",
        0.1,
        "camera",
    )
    assert folder == folder.suited()


def test_a_length_is_chosen_once_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody gives one; a run that is resumed keeps it, whatever the pace is then.

    Terminal and report give the reason.
    """
    paces = iter([0.1])
    monkeypatch.setattr("tapetum.jobs.training.step_times", lambda *_: StepTimes(next(paces), 0.2))
    monkeypatch.setattr("tapetum.training.length.FEWEST_STEPS", 3)
    monkeypatch.setattr("tapetum.training.length.DEFAULT_PASSES", 1)
    recipe = choose_recipe("quick", "digits").model_copy(update={"epochs": None, "batch_size": 8})
    work = partial(train, "digits", tmp_path / "run", architecture="mb1-s", recipe=recipe, **FEW)

    def stop(done: int, total: int, message: str) -> None:
        assert total == 4 or not message.startswith("training")
        if done == 2 and message.startswith("training"):
            raise StoppedError

    with caplog.at_level("WARNING"), pytest.raises(StoppedError):
        work(progress=stop)
    assert "the training takes 4 steps, about" in caplog.text
    assert work(resume=True).steps == 4
    assert "4 steps, about" in (tmp_path / "run" / "report.html").read_text()


def test_a_recipe_comes_back_from_its_file(tmp_path: Path) -> None:
    """A recipe that was written is a recipe to train by."""
    recipe = choose_recipe("published", "digits")
    recipe.write(tmp_path / "mine.json")
    assert choose_recipe(str(tmp_path / "mine.json"), "digits") == recipe
    with pytest.raises(InputError, match="epochs"):
        choose_recipe("quick", "digits", changes={"epochs": -1})


def test_a_paired_folder_is_scored_as_it_was_given(tmp_path: Path) -> None:
    """Images that bring their own noise have one row, get no other noise, and ship."""
    images = open_dataset(str(make_pair(tmp_path / "pairs")), seed=0)
    assert images.info.is_paired
    recipe = choose_recipe(None, "pairs", changes={"epochs": 1, "batch_size": 4})
    result = train_network(
        build(architecture_for("unet-s", images), seed=0), recipe, images, tmp_path / "run"
    )
    assert [row.title for row in result.scores.rows] == ["as given"]
    assert result.scores.mean.noisy_psnr_db == pytest.approx(20, abs=1)
    exported = export(tmp_path / "run", tmp_path / "p.tapetum")
    assert exported.parity.worst <= 1e-4


def test_noise_for_images_that_have_their_own_is_refused(tmp_path: Path) -> None:
    """Paired images are noisy as they are."""
    root, run = make_pair(tmp_path / "pairs"), tmp_path / "run"
    with pytest.raises(InputError, match=r"--noise has no effect on .*pairs: each of its clean"):
        train(str(root), run, architecture="unet-s", noise="gaussian:0.1")
    assert not run.exists()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"resize": "letterbox"}, "--resize"),
        ({"augmentation": {"crop_scale": 0.5}}, "--crop-scale"),
        ({"download": True, "data_root": Path("mnist")}, "--data-root, --download"),
    ],
)
@pytest.mark.parametrize("job", [train, fit])
def test_options_for_other_images_are_refused(
    tmp_path: Path, job: Callable[..., Any], given: dict[str, Any], named: str
) -> None:
    """Images without labels are not resized, and no folder is downloaded."""
    with pytest.raises(InputError, match=f"^{named} has no effect on "):
        job(draw_tree(tmp_path / "images", {"": 4}), tmp_path / "run", **TINY[job], **given)


def test_a_run_keeps_its_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of its files decides what is scored, so that other groups would do nothing."""
    network = SimpleNamespace(listed=SplitList(seed=0, train=(), validation=()), seed=0)
    monkeypatch.setattr(evaluation, "open_trained", lambda *_, **__: network)
    with pytest.raises(InputError, match="so --seed and --group-by has no effect"):
        evaluate(tmp_path, tmp_path, group_by="folder", seed=1)


def test_a_run_ships_in_int8_with_its_own_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are found where the training had them, or where the user says that they are now."""
    quick = partial(time_interleaved, num_rounds=1, passes=PassCount(min_passes=1, min_ms=0))
    monkeypatch.setattr(precision, "time_interleaved", lambda networks, **_: quick(networks))
    root, run = make_pair(tmp_path / "pairs"), tmp_path / "run"
    images = open_dataset(str(root), seed=0)
    recipe = choose_recipe(None, "pairs", changes={"epochs": 1, "batch_size": 4})
    train_network(build(architecture_for("unet-s", images), seed=0), recipe, images, run)
    exported = export(run, tmp_path / "p.tapetum", precision="int8")
    assert open_package(tmp_path / "p.tapetum").manifest.precision == "int8"
    assert exported.precision is not None
    assert exported.precision.num_images == images.info.num_validation
    assert abs(exported.precision.lost_db) < 0.5
    root.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="there is no folder"):
        export(run, tmp_path / "q.tapetum", precision="int8")
    assert not (tmp_path / "q.tapetum").exists()
    export(run, tmp_path / "q.tapetum", precision="int8", data=tmp_path / "moved")
    first, second = (open_package(tmp_path / f"{name}.tapetum") for name in "pq")
    assert first.manifest.graph_sha256 == second.manifest.graph_sha256


def test_auto_ships_fp32_where_int8_is_not_possible(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A network without inner layers is written all the same, and the reason is said."""
    images = open_dataset(str(make_pair(tmp_path / "pairs")), seed=0)
    shape = Shape(widths=(8,), encoder_depths=(0,), decoder_depths=())
    architecture = shape.architecture("tiny", image_channels=1, num_classes=None)
    recipe = choose_recipe(None, "pairs", changes={"epochs": 1, "batch_size": 4})
    train_network(build(architecture, seed=0), recipe, images, tmp_path / "run")
    exported = export(tmp_path / "run", tmp_path / "p.tapetum", precision="auto")
    assert exported.precision is None
    assert open_package(tmp_path / "p.tapetum").manifest.precision == "fp32"
    assert "fp32 is used, since int8 is not possible: no layer of the network" in caplog.text
    with pytest.raises(PackageError, match="no layer of the network can be in int8"):
        export(tmp_path / "run", tmp_path / "q.tapetum", precision="int8")


def test_what_was_left_out_is_listed_in_the_run(tmp_path: Path) -> None:
    """A file that cannot be read stays out of the training, with its reason on record."""
    root = make_pair(tmp_path / "pairs")
    (root / "clean" / "3.png").write_bytes(b"no image")
    images = open_dataset(str(root), seed=0)
    recipe = choose_recipe(None, "pairs", changes={"epochs": 1, "batch_size": 4})
    train_network(
        build(architecture_for("unet-s", images), seed=0), recipe, images, tmp_path / "run"
    )
    assert "3.png: " in (tmp_path / "run" / "skipped.txt").read_text()


def test_a_run_killed_while_it_was_scored_is_only_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training is not done again, and the scores are those of an unbroken run."""
    images = open_dataset("digits", seed=0, **FEW)
    recipe = choose_recipe(None, "digits", changes={"epochs": 1, "batch_size": 16})
    network = architecture_for("dc-net-reduced-integrated", images)
    unbroken = train_network(build(network, seed=recipe.seed), recipe, images, tmp_path / "run")
    run = RUNS.open(tmp_path / "run")
    run.finish(unbroken.model_copy(update={"scores": None}))

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("tapetum.jobs.training.train_weights", fail)
    resumed = train_network(
        build(network, seed=recipe.seed), recipe, images, tmp_path / "run", resume=True
    )
    assert resumed.scores == unbroken.scores
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.slow
def test_a_run_killed_before_its_report_gets_the_report_and_no_other(tmp_path: Path) -> None:
    """The report is written after all that it shows, and the run is finished with it."""
    out = tmp_path / "run"
    options = {"architecture": "unet-s", "epochs": 1, "batch_size": 16, **FEW}
    train("digits", out, **options)
    (out / "report.html").unlink()
    before = (out / "weights.safetensors").stat().st_mtime_ns
    train("digits", out, **options, resume=True)
    assert (out / "report.html").exists()
    assert (out / "weights.safetensors").stat().st_mtime_ns == before
    report = (out / "report.html").stat().st_mtime_ns
    again = train("digits", out, **options, resume=True)
    assert again == RUNS.open(out).result()  # as a fit does
    assert (out / "report.html").stat().st_mtime_ns == report


def test_other_names_cannot_be_scored() -> None:
    """Classes of the network and of the folder must be the same, in the same order."""
    images = open_dataset("digits", seed=0, **FEW)
    network = architecture_for("mb1-s", images)
    require_fit(network, images, class_names=images.validation.class_names)
    with pytest.raises(DataError, match="the network classifies cat, dog but the dataset has 0, 1"):
        require_fit(network, images, class_names=("cat", "dog"))


def test_what_is_neither_run_nor_package_is_refused(tmp_path: Path) -> None:
    """A slip in a path gives a sentence."""
    with pytest.raises(
        InputError, match=r"give the folder of a finished run or fit, or a \.tapetum file"
    ):
        open_trained(tmp_path / "nothing")


def test_predictions_of_a_network_are_arrays() -> None:
    """Scoring knows no torch: arrays in, arrays out."""
    predict = network_predict(build(find_architecture("unet-s"), seed=0))
    denoised, logits = predict(np.zeros((1, 1, 16, 16), np.float32), None)
    assert isinstance(denoised, np.ndarray)
    assert logits is None
