"""Files that need another package, that are no files, or that are too large."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.errors import DataError
from tapetum.images import (
    DecodedImage,
    facts,
    find_white_level,
    inspect_image,
    read_frames,
    read_image,
    source,
)
from tapetum.images.reading import looks_like_image
from tapetum.images.writing import encode_frames

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


def scan(
    path: Path,
    *,
    bits: int,
    frames: int = 1,
    kind: str = "MONOCHROME2",
    largest: int | None = None,
) -> np.ndarray:
    """Write a DICOM file of random values, at most the largest one, and return them."""
    pydicom = pytest.importorskip("pydicom")
    values = np.random.default_rng(0).integers(0, 2**bits, (frames, 9, 7), np.uint16)
    values = np.minimum(values, largest or values)
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file = pydicom.dataset.FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    file.SOPClassUID, file.SOPInstanceUID = meta[0x00020002].value, meta[0x00020003].value
    file.Rows, file.Columns, file.SamplesPerPixel, file.NumberOfFrames = 9, 7, 1, frames
    file.PhotometricInterpretation, file.PixelRepresentation = kind, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, bits, bits - 1
    file.PixelSpacing = [0.5, 0.25]
    file.PixelData = values.tobytes()
    file.save_as(path, enforce_file_format=True)
    return values


def test_a_scan_of_8_bits_in_16_has_8_bits(tmp_path: Path) -> None:
    """So its white is 255, and it does not count where white is looked for."""
    path = tmp_path / "scan.dcm"
    values = scan(path, bits=8)[0]
    assert inspect_image(path).bit_depth == 8
    assert read_image(path).pixels.max() == pytest.approx(values.max() / 255)
    assert find_white_level([path]) == (None, None, None)


def test_scans_that_store_16_bits_are_not_black(tmp_path: Path) -> None:
    """Such a file may have a detector of 12 bits, which the values show; 13 bits are stated."""
    path = tmp_path / "x.dcm"
    values = scan(path, bits=16, largest=2000)
    assert values.max() == 2000
    assert find_white_level([path]).white == 4095
    assert any("give --white 4095" in note for note in read_image(path).notes)
    scan(path, bits=13, largest=2000)
    assert find_white_level([path]).white == read_image(path).white == 8191


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_scans_are_read_on_their_scale(kind: str, tmp_path: Path) -> None:
    """Every frame of a DICOM file has white at its bits, and is inverted where 0 is white."""
    values = scan(tmp_path / "x.dcm", bits=12, frames=3, kind=kind)
    found = inspect_image(tmp_path / "x.dcm")
    assert (found.format, found.height_px, found.width_px, found.num_frames) == ("DICOM", 9, 7, 3)
    frames = list(read_frames(tmp_path / "x.dcm"))
    assert len(frames) == 3
    for frame, given in zip(frames, values, strict=True):
        assert (frame.white, frame.bit_depth, frame.mode) == (4095, 16, "grey")
        expected = 4095 - given if kind == "MONOCHROME1" else given
        np.testing.assert_array_equal(frame.to_samples()[:, :, 0], expected)
    assert frames[0].metadata.resolution == (40, 20, "cm")


def test_photos_of_phones_are_read() -> None:
    """HEIC files are read and written where the package for them is installed."""
    pytest.importorskip("pillow_heif")
    image = DecodedImage(np.full((3, 32, 48), 0.5, np.float32), None, 8, "rgb")
    again = read_image(b"".join(encode_frames([image], ".heic", 1)))
    assert again.format == "HEIF"
    assert np.abs(again.pixels - image.pixels).max() < 0.03


@pytest.mark.parametrize(
    ("content", "package", "extra"),
    [
        (HEIC, "pillow_heif", "heif"),
        (bytes(128) + b"DICM" + bytes(64), "pydicom", "dicom"),
    ],
)
def test_a_missing_package_is_named(
    content: bytes, package: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without its package a file is still known as an image, and the extra is named."""
    monkeypatch.setattr(source, "importlib", _Without())
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    assert looks_like_image(path)
    with pytest.raises(DataError, match=rf"x\.bin: this needs {package}.*\[{extra}\]"):
        read_image(path)


def test_unusual_tiff_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats in colour are read with tifffile; without it, the extra is named."""
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(0).random((9, 7, 3), dtype=np.float32)
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="rgb")
    np.testing.assert_array_equal(read_image(file.getvalue()).to_samples(), values)
    monkeypatch.setattr(source, "importlib", _Without())
    with pytest.raises(DataError, match=r"this needs tifffile.*\[tiff\]"):
        read_image(file.getvalue())


class _Without:
    """An importlib for which nothing is installed."""

    @staticmethod
    def import_module(name: str) -> None:
        raise ImportError(name)


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    """What is no regular file is never opened, so nothing waits for it."""
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        assert not looks_like_image(path)
        with pytest.raises(DataError, match="not a regular file but a pipe or device"):
            read_image(path)
    with pytest.raises(DataError, match="it is a folder"):
        read_image(tmp_path)


def test_a_sparse_giant_costs_nothing(tmp_path: Path) -> None:
    """A file of 200 GB without an image in it is refused by its first bytes."""
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(200 * 10**9)
    with pytest.raises(DataError, match=r"x\.png: not an image"):
        read_image(tmp_path / "x.png")


def test_memory_sets_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that would fill half of the memory is refused before it is decoded, unless allowed."""
    image = DecodedImage(np.zeros((3, 1000, 1000), np.float32), None, 8, "rgb")
    content = b"".join(encode_frames([image], ".png", 1))
    monkeypatch.setattr(facts, "memory_bytes", lambda: 50_000_000)
    with pytest.raises(DataError, match=r"too many pixels: 1000 x 1000.*--max-megapixels 2"):
        read_image(content)
    assert read_image(content, max_megapixels=2).pixels.shape == (3, 1000, 1000)
    with pytest.raises(DataError, match=r"which is 1 megapixels; the limit is 0\.4"):
        read_image(content, max_megapixels=0.4)


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_bombs_are_refused_by_their_header(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes that would become gigabytes are refused whatever their mode."""
    monkeypatch.setattr(facts, "memory_bytes", lambda: 2**30)
    file = io.BytesIO()
    Image.new(mode, (9000, 9000)).save(file, "PNG")
    assert len(file.getvalue()) < 300_000
    with pytest.raises(DataError, match="too many pixels"):
        read_image(file.getvalue())


def test_many_frames_count_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stack whose frames fit one by one, but not all together, is refused as a whole."""
    frames = [Image.new("L", (500, 500), level) for level in range(20)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    monkeypatch.setattr(facts, "memory_bytes", lambda: 40_000_000)
    assert read_image(tmp_path / "x.gif", frame=3).pixels.shape == (1, 500, 500)
    with pytest.raises(DataError, match="20 frames of 500 x 500"):
        list(read_frames(tmp_path / "x.gif"))


def test_an_array_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    """A header that promises more than the file holds ends in a sentence."""
    file = io.BytesIO()
    np.save(file, np.zeros((8, 8), np.uint8))
    content = file.getvalue().replace(b"(8, 8)", b"(99, 9)"[:6])
    (tmp_path / "x.npy").write_bytes(content[:100] + struct.pack("<I", 0))
    with pytest.raises(DataError, match=r"x\.npy: it is damaged"):
        read_image(tmp_path / "x.npy")


def test_what_was_read_before_changes_no_message() -> None:
    """A file of no format is refused in the same words before and after a HEIC file."""
    pytest.importorskip("pillow_heif")
    messages = []
    for _ in range(2):
        with pytest.raises(DataError) as refused:
            read_image(b"no image at all")
        messages.append(str(refused.value))
        source.add_heif()
    assert messages[0] == messages[1]


def test_a_bitmap_of_16_bits_a_pixel_has_8_bits_a_sample(tmp_path: Path) -> None:
    """Five, six and five bits: red, green and blue are 0 or all ones."""
    pixels = np.array([[0xF800, 0x07E0], [0x001F, 0xFFFF]], "<u2")
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 2, -2, 1, 16, 3, pixels.nbytes, 0, 0, 0, 0) + masks
    offset = 14 + len(header)
    start = b"BM" + struct.pack("<IHHI", offset + pixels.nbytes, 0, 0, offset)
    (tmp_path / "a.bmp").write_bytes(start + header + pixels.tobytes())
    assert inspect_image(tmp_path / "a.bmp").bit_depth == 8
    found = read_image(tmp_path / "a.bmp").pixels
    wanted = [[(1, 0, 0), (0, 1, 0)], [(0, 0, 1), (1, 1, 1)]]
    np.testing.assert_array_equal(np.moveaxis(found, 0, 2), wanted)


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_each_frame_of_an_animation_is_turned_upright(suffix: str, tmp_path: Path) -> None:
    """The orientation of the file holds for all of them."""
    frames = [Image.new("RGB", (6, 4), (0, 0, 40 * number)) for number in range(3)]
    for frame in frames:
        frame.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned right: the first pixel of a row comes into the upper right corner
    path = tmp_path / f"a{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], exif=exif, **options)
    found = list(read_frames(path))
    assert len(found) == 3
    for number, frame in enumerate(found):
        assert frame.pixels.shape == (3, 6, 4)
        assert frame.pixels[:, 0, 3].tolist() == [1, 0, 0]
        assert frame.pixels[2, 3, 0] == pytest.approx(40 * number / 255)
