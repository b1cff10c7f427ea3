"""Image files: every kind comes in with its depth and alpha, and goes out as it came."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tapetum.errors import DataError
from tapetum.images import (
    DecodedImage,
    as_colour,
    inspect_image,
    output_format,
    read_image,
    write_image,
)
from tapetum.images.writing import encode_frames

HEIGHT, WIDTH = 13, 17


def samples(channels: int, bit_depth: int) -> NDArray[Any]:
    """Random (h, w, c) samples."""
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    return np.random.default_rng(0).integers(0, 2**bit_depth, (HEIGHT, WIDTH, channels), dtype)


def image(channels: int, bit_depth: int) -> DecodedImage:
    """A random image; an even number of channels includes alpha."""
    values = samples(channels, bit_depth).astype(np.float32) / np.float32(2**bit_depth - 1)
    planes = np.moveaxis(values, 2, 0)
    num_colours = channels - (channels % 2 == 0)
    return DecodedImage(
        pixels=planes[:num_colours],
        alpha=planes[-1] if num_colours < channels else None,
        bit_depth=8 if bit_depth == 8 else 16,
        mode="grey" if num_colours == 1 else "rgb",
    )


def file_bytes(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One part of a PNG file."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_with_key(values: NDArray[np.uint16], key: tuple[int, ...]) -> bytes:
    """A 16-bit PNG in which one value, or one colour, is transparent."""
    channels = values.shape[2]
    written = DecodedImage(
        pixels=np.moveaxis(values.astype(np.float32) / np.float32(65535), 2, 0),
        alpha=None,
        bit_depth=16,
        mode="grey" if channels == 1 else "rgb",
    )
    content = b"".join(encode_frames([written], ".png", 1))
    place = content.index(b"IDAT") - 4
    return (
        content[:place] + png_chunk(b"tRNS", struct.pack(f">{channels}H", *key)) + content[place:]
    )


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_returns_what_was_written(tmp_path: Path, channels: int, bit_depth: int) -> None:
    """A PNG keeps every sample, its depth and its alpha, grey and RGB."""
    written = image(channels, bit_depth)
    write_image(tmp_path / "a.png", written)
    read = read_image(tmp_path / "a.png")
    assert (read.bit_depth, read.mode) == (written.bit_depth, written.mode)
    np.testing.assert_array_equal(read.pixels, written.pixels)
    assert (read.alpha is None) == (written.alpha is None)
    if read.alpha is not None and written.alpha is not None:
        np.testing.assert_array_equal(read.alpha, written.alpha)


def test_pillow_agrees_on_our_sixteen_bits() -> None:
    """Pillow opens the 16-bit PNG that we write and sees the high byte of every sample."""
    content = b"".join(encode_frames([image(3, 16)], ".png", 1))
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(content))), samples(3, 16) >> 8, strict=False
    )


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_tiff_is_read_whole(channels: int, compression: str | None, byte_order: Any) -> None:
    """16-bit TIFF is read at full depth, whatever its byte order and compression."""
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    values = samples(channels, 16)
    tifffile.imwrite(
        file,
        values[:, :, 0] if channels == 1 else values,
        byteorder=byte_order,
        compression=compression,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
    )
    read = read_image(file.getvalue())
    assert read.bit_depth == 16
    np.testing.assert_array_equal(np.moveaxis(read.to_integers(), 0, 2), values[:, :, :3])


@pytest.mark.parametrize("mode", ["grey", "rgb"])
def test_key_value_becomes_alpha(mode: str) -> None:
    """In a 16-bit PNG with a transparent value exactly the pixels of that value are clear."""
    values = samples(1 if mode == "grey" else 3, 16)
    key = tuple(int(value) for value in values[2, 3])
    read = read_image(png_with_key(values, key))
    assert read.alpha is not None
    np.testing.assert_array_equal(read.alpha == 0, (values == np.array(key)).all(axis=2))


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("is_grey", [False, True])
def test_palette_is_looked_up(is_grey: bool, has_alpha: bool) -> None:
    """A palette image has the colours of its palette, and is grey where all of these are."""
    colours = np.array([[0, 0, 0], [90, 90, 90], [255, 255, 255]] if is_grey else [[9, 99, 200]])
    image = Image.new("P", (4, 2), color=len(colours) - 1)
    image.putpalette(colours.astype(np.uint8).tobytes())
    options = {"transparency": len(colours) - 1} if has_alpha else {}
    read = read_image(file_bytes(image, **options))
    assert read.mode == ("grey" if is_grey else "rgb")
    np.testing.assert_array_equal(
        read.to_integers()[:, 0, 0], colours[-1][: 1 if is_grey else 3], strict=False
    )
    assert (read.alpha is not None) == has_alpha
    if read.alpha is not None:
        assert not read.alpha.any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_exif_turn_is_undone(orientation: int, bit_depth: int) -> None:
    """An image that its EXIF tag says is turned comes in upright, at 8 and at 16 bits."""
    upright = samples(1, bit_depth)[:, :, 0]
    stored = {  # what a camera stores so that a viewer's turn makes it upright (EXIF 2.32, 4.6.4)
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    read = read_image(file_bytes(image, exif=exif))
    np.testing.assert_array_equal(read.to_integers()[0], upright)


@pytest.mark.parametrize(
    ("mode", "file_format", "expected"),
    [
        ("1", "PNG", "grey"),
        ("L", "JPEG", "grey"),
        ("LA", "PNG", "grey"),
        ("RGB", "JPEG", "rgb"),
        ("RGB", "BMP", "rgb"),
        ("RGB", "WEBP", "grey"),  # it is black, and WebP has no grey
        ("CMYK", "JPEG", "rgb"),
        ("CMYK", "TIFF", "rgb"),
        ("YCbCr", "TIFF", "rgb"),
    ],
)
def test_every_usual_kind_is_read(mode: str, file_format: str, expected: str) -> None:
    """Kinds of 8-bit images that cameras and programs write come in as grey or RGB."""
    read = read_image(file_bytes(Image.new(mode, (WIDTH, HEIGHT)), file_format))
    assert (read.mode, read.bit_depth, read.pixels.shape[1:]) == (expected, 8, (HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no image at all", "not an image in a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image in a known format"),
        (file_bytes(Image.new("L", (64, 64)))[:60], "damaged"),
        (file_bytes(Image.effect_noise((64, 64), 50), "JPEG")[:900], "damaged"),
        (file_bytes(Image.new("F", (4, 4), 7.5), "TIFF"), "floats go from 7.5 to 7.5"),
        (file_bytes(Image.new("I", (4, 4), -5), "TIFF"), "integers are negative"),
        (b"P6 2 1 65535\n" + bytes(6), "damaged"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    """A file that is no readable image ends in one sentence with its path and the reason."""
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"cannot read .*broken\.png: .*{reason}"):
        read_image(path)


def test_too_many_pixels_are_refused() -> None:
    """A small file that would fill the memory is refused, not opened."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")
    with pytest.raises(DataError, match="too many pixels"):
        read_image(content)


def test_a_header_of_billions_of_frames_is_refused() -> None:
    """A file of some bytes would fill the memory with the numbers of its frames."""
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    frames = png_chunk(b"acTL", struct.pack(">II", 1 << 27, 0))
    rows = png_chunk(b"IDAT", zlib.compress(bytes(8 * 9)))
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + frames + rows
    for look in (inspect_image, read_image):
        with pytest.raises(DataError, match="says that it has 134,217,729 frames"):
            look(content + png_chunk(b"IEND", b""))


def test_an_image_without_pixels_is_refused(tmp_path: Path) -> None:
    """An array of no rows, and a graymap of no columns."""
    np.save(tmp_path / "x.npy", np.zeros((0, 64), np.uint8))
    (tmp_path / "x.pgm").write_bytes(b"P5 0 10 65535\n")
    for name in ("x.npy", "x.pgm"):
        with pytest.raises(DataError, match="no pixels"):
            inspect_image(tmp_path / name)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A path without a file ends in a sentence that names it."""
    with pytest.raises(DataError, match=r"cannot read .*nothing\.png: No such file"):
        read_image(tmp_path / "nothing.png")


@pytest.mark.parametrize(
    ("name", "channels", "bit_depth", "reason"),
    [
        ("a.jpg", 3, 16, "cannot keep 16 bits"),
        ("a.webp", 3, 16, "cannot keep 16 bits"),
        ("a.jpg", 4, 8, "alpha"),
        ("a.bmp", 2, 8, "alpha"),
        ("a.xyz", 3, 8, "cannot be written as"),
    ],
)
def test_nothing_is_lost_silently(
    tmp_path: Path, name: str, channels: int, bit_depth: int, reason: str
) -> None:
    """A format that cannot keep depth or alpha is refused, and no file is left behind."""
    with pytest.raises(DataError, match=reason):
        write_image(tmp_path / name, image(channels, bit_depth))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "channels", "bit_depth"),
    [("a.tif", 1, 16), ("a.tiff", 4, 8), ("a.webp", 4, 8), ("a.bmp", 3, 8), ("a", 3, 16)],
)
def test_other_formats_keep_every_sample(
    tmp_path: Path, name: str, channels: int, bit_depth: int
) -> None:
    """Formats without loss return every sample; a name without a suffix becomes a PNG."""
    written = image(channels, bit_depth)
    write_image(tmp_path / name, written)
    np.testing.assert_array_equal(read_image(tmp_path / name).pixels, written.pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".jpg", ".webp", ".gif", ""])
@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_lossless_ending_keeps_every_bit(
    channels: int, bit_depth: int, suffix: str, tmp_path: Path
) -> None:
    """Whatever the source was called, its lossless ending gives each sample back, as deep."""
    given = image(channels, bit_depth)
    chosen = output_format(given, suffix=suffix).suffix
    write_image(tmp_path / f"x{chosen}", given)
    again = read_image(tmp_path / f"x{chosen}")
    assert chosen in (suffix, ".png")
    assert again.bit_depth == bit_depth
    assert (again.to_integers() == given.to_integers()).all()
    assert (again.alpha is None) == (given.alpha is None)


def test_a_format_that_cannot_hold_an_image_is_named() -> None:
    """The image is not damaged: it is too wide for WebP."""
    wide = DecodedImage(np.zeros((1, 2, 16_400), np.float32), None, 8, "grey")
    with pytest.raises(DataError, match=r"WEBP cannot keep this image .*use png"):
        list(encode_frames([wide], ".webp", num_frames=1))


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    """Writing below a file, where no folder can be, ends in a sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_image(tmp_path / "file" / "a.png", image(1, 8))


def test_values_are_clipped_and_rounded() -> None:
    """Denoised values outside [0, 1] become black and white, others the nearest step."""
    pixels = np.array([[[-0.5, 0.0, 100.4 / 255, 100.6 / 255, 1.0, 1.5]]], dtype=np.float32)
    stored = DecodedImage(pixels=pixels, alpha=None, bit_depth=8, mode="grey").to_integers()
    assert stored.tolist() == [[[0, 0, 100, 101, 255, 255]]]


def test_luma_is_pillows() -> None:
    """RGB turns grey as in Pillow, up to its rounding; grey turns RGB and back unchanged."""
    values = samples(3, 8)
    pixels = np.moveaxis(values, 2, 0).astype(np.float32) / np.float32(255)
    grey = as_colour(pixels, 1)
    expected = np.asarray(Image.fromarray(values).convert("L")) / 255
    np.testing.assert_allclose(grey[0], expected, atol=0.51 / 255)
    np.testing.assert_allclose(as_colour(as_colour(grey, 3), 1), grey, atol=1e-6)


def test_colour_works_on_batches() -> None:
    """A batch is converted as its images are."""
    batch = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    np.testing.assert_array_equal(as_colour(batch, 1)[1], as_colour(batch[1], 1))


def test_odd_channels_are_refused() -> None:
    """An image of two channels has no colour to convert."""
    with pytest.raises(DataError, match="cannot turn 2 channels into 3"):
        as_colour(np.zeros((2, 4, 4), dtype=np.float32), 3)


def test_image_checks_its_shape() -> None:
    """An image whose channels contradict its mode, or whose alpha is of another size, fails."""
    pixels = np.zeros((3, 4, 4), dtype=np.float32)
    with pytest.raises(DataError, match=r"grey image has shape \(1, h, w\)"):
        DecodedImage(pixels=pixels, alpha=None, bit_depth=8, mode="grey")
    with pytest.raises(DataError, match="does not fit pixels"):
        DecodedImage(pixels=pixels, alpha=pixels[0, :2], bit_depth=8, mode="rgb")
