"""A network suited to another camera: what comes back, what stays, and what cannot be told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from tapetum.arch import Shape
from tapetum.cli.app import app
from tapetum.data import SplitList, open_dataset
from tapetum.data.splitlist import ListedFile
from tapetum.errors import InputError
from tapetum.jobs import calibrate, export
from tapetum.jobs.calibrating import _trained_on
from tapetum.jobs.camera import FEWEST, View, content_of, find_images
from tapetum.jobs.camera_losses import LABELS, Compared, Criteria, _known_noises, decide
from tapetum.noise import NoisePlan
from tapetum.runtime import BrightnessRange, Predictor, open_package
from tapetum.search import Prefer
from tapetum.training.checkpoint import read_tensors, write_tensors
from tapetum.training.run import RUNS, WEIGHTS
from tiny_training import Squares, tiny_recipe, tiny_train

SIGMA = 0.1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A joint network that has learnt a little, at one noise level."""
    path = tmp_path_factory.mktemp("calibrating") / "run"
    noise = NoisePlan(kind="gaussian", levels=(SIGMA,))
    shape = Shape(widths=(8, 16), encoder_depths=(1, 1), decoder_depths=(1,), gated=False)
    architecture = shape.architecture("tiny", image_channels=1, num_classes=4)
    recipe = tiny_recipe(noise=noise, epochs=20, batch_size=4, learning_rate=1e-2)
    result = tiny_train(path, recipe, architecture)
    light = BrightnessRange.of([0.0])  # no image of a camera is black
    RUNS.open(path).finish(result.model_copy(update={"brightness": light}))
    return path


@pytest.fixture(scope="module")
def spoilt(run: Path) -> Path:
    """The same run with means that are those of no image."""
    path = run.with_name("spoilt")
    shutil.copytree(run, path)
    weights, _ = read_tensors(path / WEIGHTS)
    for name, value in weights.items():
        if name.endswith("running_mean"):
            value += 0.5
    write_tensors(path / WEIGHTS, weights)
    return path


def draw(
    root: Path,
    count: int = 32,
    *,
    sigma: float = SIGMA,
    dim: float = 1.0,
    labelled: bool = False,
) -> Path:
    """Writes noisy images of squares as a camera stores them, in folders of classes or in one."""
    squares, random = Squares(count), np.random.default_rng(0)
    for index, name in enumerate(np.array(Squares.class_names)[squares.labels]):
        clean = squares.take([index], epoch=0, seed=0, train=False).images[0, 0]
        noisy = dim * clean + random.normal(0, sigma, clean.shape)
        folder = root / name if labelled else root
        folder.mkdir(parents=True, exist_ok=True)
        values = np.rint(noisy.clip(0, 1) * 255).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{index:02}.png")
    return root


def test_spoilt_statistics_come_back_without_labels(
    run: Path, spoilt: Path, tmp_path: Path
) -> None:
    """The error falls to that of the sound network, and the package is the repaired one."""
    folder, out = draw(tmp_path / "camera"), tmp_path / "out.tapetum"
    sound, found = calibrate(run, folder), calibrate(spoilt, folder, out=out)
    assert found.is_kept
    assert found.path == str(out)
    (loss,), (wanted,) = found.losses, sound.losses
    assert loss.after < loss.before
    assert loss.after == pytest.approx(wanted.before, rel=0.2)
    kept = open_package(out).manifest.provenance["calibration"]
    assert (kept["num_estimating"], kept["num_judging"], kept["is_kept"]) == (16, 16, True)
    assert str(tmp_path) not in json.dumps(kept)
    assert "Calibration" in open_package(out).card
    light = open_package(out).manifest.brightness  # that of the camera
    assert light is not None
    assert (light.num_images, light.darkest > 0) == (32, True)


def test_images_as_in_the_training_change_little(run: Path, tmp_path: Path) -> None:
    """New statistics of the same images are nearly as good, and never kept where they are worse."""
    found = calibrate(run, draw(tmp_path), out=tmp_path / "out.tapetum")
    (loss,) = found.losses
    assert loss.after == pytest.approx(loss.before, rel=0.3)
    assert not (found.is_kept and loss.after >= loss.before)
    assert (tmp_path / "out.tapetum").exists() == found.is_kept


def test_the_estimate_is_near_the_true_error(spoilt: Path, tmp_path: Path) -> None:
    """With noise that is added to clean images the error is known; without them it is estimated."""
    (estimated,) = calibrate(spoilt, draw(tmp_path / "noisy")).losses
    (true,) = calibrate(spoilt, draw(tmp_path / "clean", sigma=0.0), clean=True).losses
    assert estimated.before == pytest.approx(true.before, rel=0.1)
    assert estimated.after == pytest.approx(true.after, rel=0.3)  # near white, noise is clipped


def test_noise_of_one_level_is_known_once() -> None:
    """Images as noisy as the weakest level give one noise; noisier ones that of theirs too."""
    random = torch.Generator().manual_seed(0)
    windows = 0.5 + 0.08 * torch.randn(4, 1, 64, 64, generator=random)
    views = [View(windows[0], windows, None, "")]

    def known(text: str) -> list[float]:
        return [noise.sigma for noise in _known_noises(views, None, NoisePlan.parse(text))[0]]

    assert known("gaussian:0.1-0.5") == known("gaussian:0.1") == [0.1]
    assert known("gaussian:0.05-0.5") == [0.05, pytest.approx(0.08, rel=0.05)]


def test_the_brightness_of_the_images_stays(run: Path, tmp_path: Path) -> None:
    """Statistics of dark images take the brightness out of the features; the output has it."""
    folder = draw(tmp_path / "camera", dim=0.5, sigma=0.05)
    found = calibrate(run, folder, noise=0.05, out=tmp_path / "out.tapetum")
    (loss,) = found.losses
    assert found.is_kept
    assert loss.after < 0.8 * loss.before
    image = np.asarray(Image.open(folder / "00.png")) / 255
    denoised = Predictor.open(tmp_path / "out.tapetum")(image.astype(np.float32)).pixels
    assert denoised is not None
    assert denoised.mean() == pytest.approx(image.mean(), rel=0.15)


def test_labels_decide_where_there_are_some(spoilt: Path, tmp_path: Path) -> None:
    """Images in folders named after the classes add the loss of the labels."""
    found = calibrate(spoilt, draw(tmp_path, labelled=True))
    assert [loss.name == LABELS for loss in found.losses] == [False, True]
    assert found.accuracies is not None
    assert found.accuracies[1] > found.accuracies[0]
    assert not [note for note in found.notes if "labels were not judged" in note]


def test_the_white_level_of_twelve_bits_is_found(run: Path, tmp_path: Path) -> None:
    """A package gets it, with the same weights; for statistics it names the run."""
    source = tmp_path / "model.tapetum"
    export(run, source)
    before = source.read_bytes()
    random = np.random.default_rng(0)
    for index in range(FEWEST):
        values = random.integers(0, 4096, (32, 32)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{index}.png")
    found = calibrate(source, tmp_path, out=tmp_path / "out.tapetum")
    assert (found.white_before, found.white_after) == (None, 4095)
    assert not found.is_kept
    assert "calibrate the run" in found.reason
    assert source.read_bytes() == before
    manifest = open_package(tmp_path / "out.tapetum").manifest
    assert manifest.preparation.white == 4095
    assert manifest.architecture == open_package(source).manifest.architecture


def test_halves_that_differ_leave_the_white_level(tmp_path: Path) -> None:
    """One bright image is no proof."""
    for index in range(FEWEST):
        Image.fromarray(np.full((32, 32), 500 + index, np.uint16)).save(tmp_path / f"{index}.png")
    Image.fromarray(np.full((32, 32), 4000, np.uint16)).save(tmp_path / "bright.png")
    level, reason = find_images(tmp_path, 0).white_level(None)
    assert level is None
    assert "cannot tell" in reason


@pytest.mark.parametrize("white", ["bright", 0, -5])
def test_a_white_level_that_is_none_is_refused(
    white: str | float, run: Path, tmp_path: Path
) -> None:
    """A package with it could not be opened."""
    with pytest.raises(InputError, match="white"):
        calibrate(run, draw(tmp_path), white=white, out=tmp_path / "out.tapetum")
    assert not (tmp_path / "out.tapetum").exists()


def test_too_few_images_change_nothing(spoilt: Path, tmp_path: Path) -> None:
    """Not even statistics that are plainly wrong."""
    folder, out = draw(tmp_path / "camera", FEWEST - 1), tmp_path / "out.tapetum"
    found = calibrate(spoilt, folder, out=out)
    assert not found.changes
    assert found.reason == f"{FEWEST - 1} images are too few to decide: {FEWEST} are needed"
    assert not out.exists()


@pytest.mark.parametrize(
    ("noise", "reason"),
    [("speckle:0.1", "cannot be estimated under speckle"), ("0.4", "and not gaussian 0.4")],
)
def test_without_a_known_noise_it_cannot_tell(
    noise: str, reason: str, spoilt: Path, tmp_path: Path
) -> None:
    """What cannot be estimated, and what the images do not show, decides nothing."""
    found = calibrate(spoilt, draw(tmp_path), noise=noise)
    assert (found.is_kept, found.losses) == (False, ())
    assert found.reason.startswith("cannot tell: ")
    assert reason in found.reason


def test_halves_are_apart_and_equal_files_count_once(tmp_path: Path) -> None:
    """Otherwise what estimates would decide, too."""
    draw(tmp_path, 40)
    shutil.copy(tmp_path / "00.png", tmp_path / "copy.png")
    images = find_images(tmp_path, 0)
    assert not set(images.estimating) & set(images.judging)
    assert images.total == 40
    assert images.estimating != find_images(tmp_path, 1).estimating
    assert images.notes == ("1 files equal others, and count once",)


def loss(change: float, name: str = "squared error", *, error: float = 0.1) -> Compared:
    """A loss that begins at 1."""
    return Compared(name=name, before=1.0, after=1.0 + change, standard_error=error)


KNOWN = Criteria((None,), "", ("a", "b"))


@pytest.mark.parametrize(
    ("losses", "prefer", "is_kept", "reason"),
    [
        ([loss(-0.5)], "balanced", True, "falls by 50.0 ± 10.0 %"),
        ([loss(-0.1)], "balanced", False, "may be chance"),
        ([loss(0.5)], "balanced", False, "new ones are worse"),
        ([loss(-0.5), loss(0.5)], "balanced", False, "--noise LEVEL would decide"),
        ([loss(-0.5), loss(-0.1)], "balanced", False, "may be chance"),
        ([loss(-0.1), loss(-0.5, LABELS)], "balanced", True, LABELS),
        ([loss(0.5), loss(-0.5, LABELS)], "balanced", False, "--prefer label or image would"),
        ([loss(0.5), loss(-0.5, LABELS)], "label", True, LABELS),
        ([loss(0.5), loss(-0.5, LABELS)], "image", False, "new ones are worse"),
        ([loss(-0.5)], "label", False, "cannot tell: images do not lie in folders"),
    ],
)
def test_only_a_certain_gain_is_kept(
    losses: list[Compared], prefer: Prefer, is_kept: bool, reason: str
) -> None:
    """Beyond two standard errors, at both ends of unknown noise, with no other loss worse."""
    found = decide(losses, KNOWN, prefer)
    assert found[0] == is_kept
    assert reason in found[1]


def command(*words: str | Path) -> Result:
    """The result of the command."""
    return CliRunner().invoke(app, ["calibrate", *map(str, words)])


def test_the_command_shows_before_and_after(spoilt: Path, tmp_path: Path) -> None:
    """What is not known is said, and nothing is written unasked."""
    result = command(spoilt, draw(tmp_path))
    assert result.exit_code == 0
    for text in ("before", "after", "white level", "squared error under gaussian 0.1"):
        assert text in result.stdout
    assert "labels were not judged" in result.stderr
    assert "give --out FILE" in result.stderr


def test_bad_input_is_one_sentence(run: Path, tmp_path: Path) -> None:
    """It ends with exit code 2, and no older file is touched."""
    package = tmp_path / "model.tapetum"
    export(run, package)
    content = package.read_bytes()
    folder = draw(tmp_path / "camera", 2)
    for words, problem in (
        ((run, folder, "--clean", "--noise", "0.1"), "have no noise level"),
        ((run, tmp_path / "none"), "there is no folder"),
        ((tmp_path / "none", folder), "there is no"),
        ((run, folder, "--out", package), "exists already"),
        ((package, folder, "--out", package, "--overwrite"), "is what is calibrated"),
        ((package, folder, "--clean"), "has no effect"),
    ):
        result = command(*words)
        assert result.exit_code == 2, words
        assert problem in result.stderr
        assert "Traceback" not in result.stderr
    assert package.read_bytes() == content


@pytest.mark.parametrize("shared", [0, 7])
def test_images_of_the_training_that_decide_are_said(shared: int, tmp_path: Path) -> None:
    """By their content, where the run keeps the list of its files."""
    images = find_images(draw(tmp_path / "camera"), seed=0)
    other = [images.estimating[0], *images.judging[:shared]]
    listed = [ListedFile(f"another name {one.name}", 1, content_of(one)) for one in other]
    (tmp_path / "request.json").write_text("{}")  # of a run, which it does not read
    assert list(_trained_on(tmp_path, images)) == []
    SplitList(seed=0, train=tuple(listed), validation=()).write(tmp_path / "split.json")
    said = f"the 16 images that decide include {shared} of the training: losses on these are too"
    assert [one.startswith(said) for one in _trained_on(tmp_path, images)] == [True] * bool(shared)


def test_the_content_of_a_file_is_that_of_the_lists(tmp_path: Path) -> None:
    """A calibration and the lists of a training give equal digests."""
    opened = open_dataset(str(draw(tmp_path, labelled=True)), seed=0)
    assert opened.split_list is not None
    for file in opened.split_list.train:
        assert content_of(tmp_path / file.path) == file.digest
