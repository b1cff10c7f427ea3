"""Laws of brightness: an image outside of the training images is named, and no other."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from packages import CLASSIFIER, DENOISER, JOINT, real, toy
from tapetum import Predictor
from tapetum.images import DecodedImage, read_stored, write_frames, write_image
from tapetum.runtime import BrightnessRange, Package, brightness_of, facts_of, write_package
from tapetum.runtime.bulk import Execution, Job, read_rows, run_job

RANGE = BrightnessRange.of([0.21, 0.5, 0.74])
DARKER, BRIGHTER = RANGE.doubt("darker"), RANGE.doubt("brighter")


def known(package: Package) -> Package:
    """The package with a range."""
    return replace(package, manifest=package.manifest.model_copy(update={"brightness": RANGE}))


def grey(level: float, side: int = 16) -> Any:
    """An image of one value."""
    return np.full((side, side), level, np.float32)


def test_a_sentence_has_side_number_and_range() -> None:
    """All that a reader needs in order to look at the images."""
    assert DARKER == (
        "darker than each of 3 measured training images (mean values 0.21 to 0.74): the label may "
        "be wrong"
    )
    assert RANGE.doubt("brighter", "boxes").startswith("a box is brighter than each of 3 ")


@pytest.mark.parametrize(("mean", "side"), [(0.17, "darker"), (0.79, "brighter")])
def test_only_beyond_the_margin_is_doubtful(mean: float, side: str) -> None:
    """15 % of the way to black or to white; an inverted image is on the other side."""
    assert RANGE.limits == pytest.approx((0.85 * 0.21, 1 - 0.85 * 0.26))
    assert RANGE.doubts([mean, 0.5]) == (DARKER if side == "darker" else BRIGHTER,)
    inverted = BrightnessRange.of([0.79, 0.5, 0.26])
    other = "brighter" if side == "darker" else "darker"
    assert other in inverted.doubts([1 - mean])[0]
    assert RANGE.doubts([0.18, 0.77]) == ()


def test_near_black_or_white_the_margin_is_two_hundredths() -> None:
    """Where 15 % would be less than noise changes, as in images of few pixels."""
    assert BrightnessRange.of([0.01]).limits[0] < 0
    assert BrightnessRange.of([0.99]).limits[1] > 1


def test_the_range_has_quantiles_and_what_else_was_shown() -> None:
    """One of a hundred lies below the dark one; what was shown besides counts as covered."""
    found = BrightnessRange.of([index / 100 for index in range(101)], [-0.1, 0.5])
    assert (found.darkest, found.dark, found.bright, found.brightest) == (0, 0.01, 0.99, 1)
    assert (found.covered, found.num_images) == ((-0.1, 1), 101)


def test_the_brightness_of_a_box_is_that_of_its_pixels() -> None:
    """Of each pixel that it touches, also where it is narrower than one or at the edge."""
    pixels = np.zeros((1, 4, 4), np.float32)
    pixels[0, 1, 2], pixels[0, 3, 3] = 0.5, 1.0
    boxes = np.float32([[2, 1, 3, 2], [2.2, 1.2, 2.4, 1.4], [1.5, 0.5, 3, 2], [3, 3, 4, 4]])
    assert brightness_of(pixels, boxes) == (0.5, 0.5, 0.125, 1.0)
    assert brightness_of(pixels) == (0.0938,)


@pytest.mark.parametrize("name", [JOINT, CLASSIFIER])
def test_a_label_outside_of_the_range_has_a_warning(name: str) -> None:
    """With the mean beside; within the range, and from a package without one, there is none."""
    predictor = Predictor(known(toy(name)), threads=1)
    for level, warnings in ((0.02, (DARKER,)), (0.5, ()), (0.98, (BRIGHTER,))):
        result = predictor(grey(level))
        assert (result.brightness, result.warnings) == ((level,), warnings)
    old = Predictor(toy(name), threads=1)(grey(0.02))
    assert (old.brightness, old.warnings) == ((0.02,), ())


def test_an_image_without_a_label_has_no_warning() -> None:
    """A denoiser, or the image alone, gives no label that could be wrong."""
    joint = Predictor(known(toy(JOINT)), threads=1, mode="image")
    for predictor in (joint, Predictor(known(toy(DENOISER)), threads=1)):
        result = predictor(grey(0.02))
        assert (result.brightness, result.warnings) == ((), ())


def test_each_box_is_compared_by_itself() -> None:
    """A dark box in a bright image is named."""
    image = grey(0.5, 64)
    image[:32, :32] = 0.02
    predictor = Predictor(known(real(JOINT, boxes=True, size_px=64)), threads=1, mode="label")
    result = predictor(image, boxes=[[0, 0, 28, 28], [34, 34, 62, 62]])
    assert result.brightness == (0.02, 0.5)
    assert result.warnings == (RANGE.doubt("darker", "boxes"),)


def test_an_image_in_bands_has_the_same_warning(tmp_path: Path) -> None:
    """It is compared as the prepared image that is labelled."""
    write_image(tmp_path / "dark.png", DecodedImage(grey(0.02, 40)[None], None, 8, "grey"))
    predictor = Predictor(known(toy(JOINT)), threads=1)
    result, _ = predictor.predict_stored(read_stored(tmp_path / "dark.png"))
    assert (result.brightness, result.warnings) == ((0.0196,), (DARKER,))


def test_a_folder_gets_one_line_with_a_count(tmp_path: Path) -> None:
    """The rows have the mean and the sentence; other frames of a file that is written have none."""
    package = known(toy(JOINT))
    write_package(tmp_path / "p.tapetum", package.graph_bytes, package.manifest, "")
    for index, level in enumerate((0.02, 0.04, 0.5)):
        image = DecodedImage(grey(level)[None], None, 8, "grey")
        write_image(tmp_path / "in" / f"{index}.png", image)
    frames = [DecodedImage(grey(level)[None], None, 8, "grey") for level in (0.5, 0.04)]
    write_frames(tmp_path / "in" / "stack.tif", iter(frames), num_frames=2)
    job = Job(package=tmp_path / "p.tapetum", paths=[tmp_path / "in"], out=tmp_path / "out")
    summary = run_job(job, Execution(threads=1))
    assert summary is not None
    assert summary.warnings == {DARKER: 3}
    rows = [(row.name, row.frame, bool(row.warnings)) for row in read_rows(job.out)]
    doubtful = {(name, frame) for name, frame, is_so in rows if is_so}
    assert doubtful == {("0.png", 0), ("1.png", 0), ("stack.tif", 1)}
    assert all(len(row.brightness) == 1 for row in read_rows(job.out))


def test_the_range_is_part_of_what_an_export_says() -> None:
    """As JSON, where it is known."""
    found = json.loads(facts_of(known(toy(JOINT)).manifest)["brightness"])
    assert found == RANGE.model_dump(mode="json")
    assert "brightness" not in facts_of(toy(JOINT).manifest)
