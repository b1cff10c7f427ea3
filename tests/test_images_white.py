"""White levels: found over a folder, given, kept with the package, and written back."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from packages import DENOISER, toy
from tapetum.data import open_dataset
from tapetum.errors import DataError
from tapetum.images import find_white_level, quiet, read_image, write_image
from tapetum.runtime import Predictor, Preparation


def folder_of(root: Path, largest: float, kind: type, *, count: int = 6) -> list[Path]:
    """Grey TIFF files of two classes, the last of which reaches a value."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        top = largest if number == count - 1 else 0.8 * largest
        values = (random.random((32, 32)) * top).astype(kind)
        values[0, 0] = top
        path = root / "ab"[number % 2] / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("largest", "white"),
    [(700, 1023), (1024, 4095), (4095, 4095), (4096, 16383), (16383, 16383), (16384, None)],
)
def test_white_holds_the_largest_value(largest: int, white: float | None, tmp_path: Path) -> None:
    """White is the largest value of 10, 12 or 14 bits that all files stay below, if any."""
    found = find_white_level(folder_of(tmp_path, largest, np.uint16))
    assert found.white == white
    assert (found.reason is None) == (white is None)


def test_one_file_sets_white_for_all(tmp_path: Path) -> None:
    """A single bright file keeps the others from being stretched."""
    paths = folder_of(tmp_path, 900, np.uint16)
    Image.fromarray(np.full((8, 8), 60_000, np.uint16)).save(tmp_path / "bright.png")
    assert find_white_level(paths).white == 1023
    assert find_white_level([*paths, tmp_path / "bright.png"]).white is None


def test_eight_bits_are_not_looked_at(tmp_path: Path) -> None:
    """Files of 8 bits have white at 255, and nothing is to be said."""
    assert find_white_level(folder_of(tmp_path, 200, np.uint8)) == (None, None, None)


def test_floats_are_taken_or_scaled(tmp_path: Path) -> None:
    """Floats from 0 to 1 stay as they are; others have white at their 99.9th percentile."""
    assert find_white_level(folder_of(tmp_path / "unit", 1.0, np.float32)).white is None
    paths = folder_of(tmp_path / "wide", 4000.0, np.float32)
    expected = max(np.percentile(np.asarray(Image.open(path)), 99.9) for path in paths)
    found = find_white_level(paths)
    assert found.white == pytest.approx(expected)
    assert "99.9th percentile" in str(found.reason)


def test_scales_are_not_mixed(tmp_path: Path) -> None:
    """Floats and 12-bit integers in one folder have no common white."""
    paths = folder_of(tmp_path / "a", 4095, np.uint16) + folder_of(tmp_path / "b", 1.0, np.float32)
    with pytest.raises(DataError, match="floats and of 16 bits are mixed"):
        find_white_level(paths)


def test_a_tag_says_more_than_dark_values(tmp_path: Path) -> None:
    """A file that names its largest value is not taken for one of fewer bits."""
    values = np.full((8, 8), 300, np.uint16)
    Image.fromarray(values).save(tmp_path / "x.tif", tiffinfo={281: 4095})
    assert find_white_level([tmp_path / "x.tif"]).white == 4095
    assert read_image(tmp_path / "x.tif").white == 4095


@pytest.mark.parametrize(
    ("stated", "largest", "white"),
    [
        *((1000, 900, 1000), (2047, 1500, 2047), (8191, 4000, 8191), (4095, 300, 4095)),
        *((65535, 2000, 4095), (1000, 1001, 1023), (65535, 60_000, None)),
    ],
)
def test_a_stated_range_counts_where_it_says_something(
    stated: int, largest: int, white: float | None, tmp_path: Path
) -> None:
    """Any range below 16 bits that holds the values is white; else the values decide."""
    for number, top in enumerate((largest // 2, largest)):
        content = f"P5\n2 1\n{stated}\n".encode() + np.array([0, top], ">u2").tobytes()
        (tmp_path / f"{number}.pgm").write_bytes(content)
    found = find_white_level(sorted(tmp_path.iterdir()))
    assert (found.white, found.brightest) == (white, largest)
    is_stated = found.reason is not None and "state a largest one" in found.reason
    assert is_stated == (white == stated)
    alone = read_image(tmp_path / "1.pgm")
    assert alone.white == (stated if white == stated else 65535)
    assert any("--white 4095" in note for note in alone.notes) == (largest == 2000)


@pytest.mark.parametrize("bits", [11, 13, 15, 16])
def test_a_tag_of_any_depth_counts(bits: int, tmp_path: Path) -> None:
    """A TIFF file of 9 to 15 bits has its white there; other values of the tag are no range."""
    values, largest = np.full((8, 8), 300, np.uint16), 2**bits - 1
    for number, tag in enumerate((largest, 300)):
        path = tmp_path / f"{number}.tif"
        Image.fromarray(values).save(path, tiffinfo={281: tag})
        expected = largest if bits < 16 and tag == largest else 1023
        assert find_white_level([path]).white == expected


def test_training_sees_the_range_in_use(tmp_path: Path) -> None:
    """A folder of 12-bit files fills the scale, and its preparation keeps white."""
    folder_of(tmp_path, 4095, np.uint16, count=20)
    dataset = open_dataset(str(tmp_path), seed=0)
    assert dataset.info.preparation.white == 4095
    images = np.concatenate(
        [
            part.take(range(len(part)), epoch=0, seed=0, train=False).images
            for part in (dataset.train, dataset.validation)
        ]
    )
    assert images.max() == 1
    assert dataset.summary is not None
    assert any("white is 4095" in note for note in dataset.summary.notes)
    given = open_dataset(str(tmp_path), seed=0, white="8190")
    assert given.info.preparation.white == 8190
    assert open_dataset(str(tmp_path), seed=0, white=None).info.preparation.white is None
    with pytest.raises(DataError, match="'bright' is no number above 0"):
        open_dataset(str(tmp_path), seed=0, white="bright")


def test_a_package_reads_and_writes_on_its_scale(tmp_path: Path) -> None:
    """What a network of 12 bits predicts has the values of the camera again."""
    path = folder_of(tmp_path, 4095, np.uint16)[-1]
    preparation = Preparation(size_px=None, channels=1, white=4095)
    prediction = Predictor(toy(DENOISER, preparation=preparation), threads=1)(path)
    assert prediction.pixels is not None
    assert prediction.denoised is not None
    assert prediction.pixels.max() == 1
    write_image(tmp_path / "out.tif", prediction.denoised)
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "out.tif")), np.asarray(Image.open(path))
    )


def test_a_given_white_counts_more_than_that_of_the_package(tmp_path: Path) -> None:
    """An image that was read with another white is not scaled again."""
    path = folder_of(tmp_path, 1023, np.uint16)[-1]
    preparation = Preparation(size_px=None, channels=1, white=4095)
    assert preparation.colours(read_image(path, white=1023)).max() == 1
    assert preparation.colours(read_image(path)).max() == pytest.approx(1023 / 4095)


def test_floats_from_0_to_1_are_not_black_for_a_network_of_12_bits(tmp_path: Path) -> None:
    """Their white is 1, and that is said; other floats have that of the package."""
    preparation = Preparation(size_px=None, channels=1, white=4095)
    for largest, shown, is_said in ((1.0, 1.0, True), (2047.5, 0.5, False)):
        path = folder_of(tmp_path / f"{largest}", largest, np.float32)[-1]
        image = read_image(path, white=preparation.white)
        assert preparation.colours(image).max() == pytest.approx(shown)
        assert any("its white is 1 and not 4095" in note for note in image.notes) == is_said


def test_an_image_that_memory_cannot_hold_does_not_look_for_white(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left out later, with its reason; it must not be decoded before that."""
    paths = folder_of(tmp_path, 4000, np.uint16)
    monkeypatch.setattr("tapetum.images.facts.memory_bytes", lambda: 1000)
    assert find_white_level(paths).white is None


def test_all_frames_are_on_one_side(tmp_path: Path) -> None:
    """Each frame of a stack is an image, and all frames of a file train or all validate."""
    for number in range(10):
        frames = [
            Image.fromarray(np.full((24, 24), 20 * number + frame, np.uint8)) for frame in range(4)
        ]
        path = tmp_path / "ab"[number % 2] / f"{number}.tif"
        path.parent.mkdir(exist_ok=True)
        frames[0].save(path, save_all=True, append_images=frames[1:])
    dataset = open_dataset(str(tmp_path), seed=0)
    sides = [
        {
            int(value)
            for value in np.rint(
                255 * part.take([i], epoch=0, seed=0, train=False).images.mean((1, 2, 3))
            )
            // 20
        }
        for part in (dataset.train, dataset.validation)
        for i in range(len(part))
    ]
    assert len(dataset.train) + len(dataset.validation) == 40
    train = set().union(*sides[: len(dataset.train)])
    validation = set().union(*sides[len(dataset.train) :])
    assert not train & validation
    assert len(validation) * 4 == len(dataset.validation)


def test_warnings_of_decoders_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Others are shown, and filters come back."""
    before = list(warnings.filters)
    with quiet.without_warnings():
        warnings.warn_explicit("corrupt EXIF", UserWarning, "x.py", 1, module="PIL.Image")
    assert "corrupt" not in capsys.readouterr().err
    assert warnings.filters == before
    with pytest.raises(UserWarning, match="ours"):
        warnings.warn("ours", UserWarning, stacklevel=1)


def test_libtiff_prints_nothing(tmp_path: Path) -> None:
    """A damaged TIFF file ends in our sentence alone."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.tif", compression="tiff_deflate")
    content = bytearray((tmp_path / "x.tif").read_bytes())
    content[200:400] = bytes(200)
    (tmp_path / "x.tif").write_bytes(content)
    code = (
        "import sys, pathlib\nfrom tapetum.images import read_image\n"
        "try:\n    read_image(pathlib.Path(sys.argv[1]))\nexcept Exception as e:\n    print(e)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.tif"], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""
    assert "it is damaged" in ran.stdout
