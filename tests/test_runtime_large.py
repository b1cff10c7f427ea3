"""Large images: predicted in bands of rows as they are predicted whole."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from many_images import package_in
from packages import CLASSIFIER, DENOISER, JOINT, real, toy
from tapetum.images import read_image, read_stored
from tapetum.runtime import Predictor, Preparation, large
from tapetum.runtime.bulk import Execution, Job, files, read_rows, run_job


@pytest.fixture(autouse=True)
def _small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "_BAND_PIXELS", 4000)


def drawn(path: Path, channels: int, depth: int) -> Path:
    """A random image of 150 x 70 px."""
    kind = np.uint8 if depth == 8 else np.uint16
    shape = (150, 70, channels)
    samples = np.random.default_rng(0).integers(0, 2**depth, shape, kind)
    np.save(path, samples)
    return path


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", [JOINT, DENOISER, CLASSIFIER])
def test_bands_are_the_whole(name: str, channels: int, depth: int, tmp_path: Path) -> None:
    """An image in bands has the label and, within one step, the values of the whole image."""
    preparation = Preparation(size_px=32, channels=1) if name != DENOISER else None
    boxes = {} if name == DENOISER else {"boxes": False}
    package = real(name, channels=1, preparation=preparation, **boxes)
    predictor = Predictor(package, threads=1)
    assert predictor.takes_bands
    path = drawn(tmp_path / "x.npy", channels, depth)
    whole = predictor(read_image(path))
    banded, denoised = predictor.predict_stored(read_stored(path))
    assert (banded.labels, banded.passes) == (whole.labels, whole.passes)
    if whole.probabilities is not None and banded.probabilities is not None:
        np.testing.assert_allclose(banded.probabilities, whole.probabilities, atol=1e-6)
    assert (denoised is None) == (whole.denoised is None)
    if denoised is not None and whole.denoised is not None:
        expected = whole.denoised.to_samples().astype(int)
        assert denoised.samples.dtype == (np.uint8 if depth == 8 else np.uint16)
        assert np.abs(denoised.samples.astype(int) - expected).max() <= 1


def test_a_white_level_reaches_every_band(tmp_path: Path) -> None:
    """Values in bands are on the scale of the file."""
    values = np.random.default_rng(0).integers(0, 4096, (150, 70, 1), np.uint16)
    np.save(tmp_path / "x.npy", values)
    predictor = Predictor(toy(DENOISER), threads=1)
    _, denoised = predictor.predict_stored(read_stored(tmp_path / "x.npy", white=4095))
    assert denoised is not None
    np.testing.assert_array_equal(denoised.samples, values)


def test_what_sees_all_rows_is_not_cut() -> None:
    """Crops, letterboxes and networks that take other channels work on whole images."""
    for resize in ("crop", "letterbox"):
        preparation = Preparation(size_px=32, channels=1, resize=resize)  # type: ignore[arg-type]
        assert not Predictor(toy(JOINT, preparation=preparation), threads=1).takes_bands
        only = Predictor(toy(JOINT, preparation=preparation), threads=1, mode="image")
        assert only.takes_bands


def test_predict_takes_bands_of_large_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file above the limit is written as a small one would be."""
    values = np.random.default_rng(0).integers(0, 256, (150, 70), np.uint8)
    Image.fromarray(values).save(tmp_path / "x.png", dpi=(300, 300))
    package = package_in(tmp_path, "dc-net-reduced-integrated", num_classes=3, boxes=False)
    rows = []
    for limit, out in ((10**9, "whole"), (1000, "banded")):
        monkeypatch.setattr(files, "LARGE_PIXELS", limit)
        job = Job(package=package, paths=[tmp_path / "x.png"], out=tmp_path / out)
        run_job(job, Execution(threads=1))
        rows += read_rows(job.out)
    whole, banded = rows
    assert (banded.labels, banded.tiled) == (whole.labels, True)
    with Image.open(str(banded.denoised)) as ours, Image.open(str(whole.denoised)) as expected:
        assert ours.info["dpi"] == expected.info["dpi"]
        difference = np.asarray(ours).astype(int) - np.asarray(expected)
        assert np.abs(difference).max() <= 1
