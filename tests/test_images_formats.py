"""Files of every format, depth, alpha and number of frames come back as they were written."""

import functools
import io
import itertools
import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from tapetum.errors import DataError
from tapetum.images import (
    DecodedImage,
    inspect_image,
    output_format,
    read_frames,
    read_image,
    write_frames,
    write_image,
)
from tapetum.images.decoded import Metadata, Resolution
from tapetum.images.reading import looks_like_image
from tapetum.images.writing import encode_frames

HEIGHT, WIDTH = 12, 17

LOSSLESS = {  # suffix: depths of grey, depths of RGB, alpha, frames
    ".png": ((8, 16), (8, 16), True, True),
    ".apng": ((8, 16), (8, 16), True, True),
    ".tif": ((8, 16, 32), (8, 16, 32), True, True),
    ".npy": ((8, 16, 32), (8, 16, 32), True, True),
    ".webp": ((8,), (8,), True, True),
    ".gif": ((8,), (), False, True),
    ".bmp": ((8,), (8,), False, False),
    ".dib": ((8,), (8,), False, False),
    ".ppm": ((8, 16), (8, 16), False, False),
    ".jp2": ((8, 16), (8,), True, False),
}

KINDS = [
    (suffix, mode, depth, has_alpha, num_frames)
    for suffix, (grey, rgb, alpha, frames) in LOSSLESS.items()
    for mode, depths in (("grey", grey), ("rgb", rgb))
    for depth, has_alpha, num_frames in itertools.product(depths, (False, True), (1, 3))
    if (alpha or not has_alpha)
    and (frames or num_frames == 1)
    and not (num_frames > 1 and depth > 8 and suffix in (".png", ".apng"))
    and not (suffix == ".jp2" and has_alpha and depth == 16)
]


def drawn(mode: str, depth: int, has_alpha: bool = False, seed: int = 0) -> DecodedImage:
    """A random image whose values are exactly those of its depth."""
    random = np.random.default_rng(seed)
    shape = (1 if mode == "grey" else 3, HEIGHT, WIDTH)
    pixels = random.random(shape, dtype=np.float32)
    alpha = random.random(shape[1:], dtype=np.float32) if has_alpha else None
    made = DecodedImage(pixels, alpha, depth, mode)  # type: ignore[arg-type]
    if depth == 32:
        return made
    largest = np.float32(2**depth - 1)
    return replace(
        made,
        pixels=np.rint(pixels * largest) / largest,
        alpha=None if alpha is None else np.rint(alpha * largest) / largest,
    )


def stored(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


@functools.cache  # it holds the time
def profile_of(space: str = "sRGB") -> bytes:
    """A small colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()  # type: ignore[arg-type]


@pytest.mark.parametrize(("suffix", "mode", "depth", "has_alpha", "num_frames"), KINDS)
def test_lossless_files_return_every_value(
    suffix: str, mode: str, depth: int, has_alpha: bool, num_frames: int, tmp_path: Path
) -> None:
    """Each frame has its pixels, alpha, depth and order after a file without loss."""
    path = tmp_path / f"x{suffix}"
    given = [drawn(mode, depth, has_alpha, seed) for seed in range(num_frames)]
    write_frames(path, given, num_frames=len(given))
    taken = list(read_frames(path))
    assert len(taken) == num_frames
    for before, after in zip(given, taken, strict=True):
        assert (after.mode, after.bit_depth) == (mode, depth)
        # Animated WebP drops colours that cannot be seen.
        seen = slice(None) if after.alpha is None else after.alpha > 0
        np.testing.assert_array_equal(after.pixels[:, seen], before.pixels[:, seen])
        assert (after.alpha is None) == (before.alpha is None)
        if after.alpha is not None and before.alpha is not None:
            np.testing.assert_array_equal(after.alpha, before.alpha)


@pytest.mark.parametrize(("suffix", "mode", "depth", "has_alpha", "num_frames"), KINDS)
def test_header_says_what_decoding_finds(
    suffix: str, mode: str, depth: int, has_alpha: bool, num_frames: int, tmp_path: Path
) -> None:
    """Size, frames, mode, depth and alpha are known before decoding; the file type is kept."""
    path = tmp_path / f"x{suffix}"
    given = (drawn(mode, depth, has_alpha, seed) for seed in range(num_frames))
    write_frames(path, given, num_frames=num_frames)
    facts = inspect_image(path)
    assert (facts.height_px, facts.width_px, facts.num_frames) == (HEIGHT, WIDTH, num_frames)
    mode = "rgb" if suffix == ".webp" else mode  # which has no grey
    assert (facts.mode, facts.bit_depth, facts.has_alpha) == (mode, depth, has_alpha)
    assert looks_like_image(path)
    assert output_format(read_image(path), suffix=suffix, num_frames=num_frames).suffix == suffix


@pytest.mark.parametrize("suffix", [".jpg", ".jpe", ".JFIF", ".avif"])
def test_lossy_files_stay_close(suffix: str, tmp_path: Path) -> None:
    """JPEG and AVIF keep their type, and a smooth image within two steps."""
    ramp = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(1, HEIGHT, WIDTH)
    image = DecodedImage(np.concatenate([ramp, 1 - ramp, ramp]), None, 8, "rgb")
    write_image(tmp_path / f"x{suffix}", image)
    again = read_image(tmp_path / f"x{suffix}")
    assert np.abs(again.pixels - image.pixels).max() < 6 / 255
    assert output_format(again, suffix=suffix).suffix == suffix


@pytest.mark.parametrize("white", [1023.0, 4095.0, 16383.0])
def test_values_return_on_their_scale(white: float, tmp_path: Path) -> None:
    """Data of fewer bits fill the scale inside, and have the input's values in the output."""
    values = np.random.default_rng(1).integers(0, int(white) + 1, (HEIGHT, WIDTH), np.uint16)
    Image.fromarray(values).save(tmp_path / "x.tif")
    image = read_image(tmp_path / "x.tif", white=white)
    assert image.pixels.max() == np.float32(values.max() / white)
    write_image(tmp_path / "y.tif", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "y.tif")), values)


def test_floats_return_on_their_scale(tmp_path: Path) -> None:
    """Floats of another range need a white, and are written in their own range."""
    values = 4000 * np.random.default_rng(1).random((HEIGHT, WIDTH), dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"x\.tif: its floats go from .* --white"):
        read_image(tmp_path / "x.tif")
    image = read_image(tmp_path / "x.tif", white=4000)
    assert image.pixels.max() <= 1
    write_image(tmp_path / "y.tif", image)
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "y.tif")), values, rtol=1e-6)


def test_clipped_values_are_said(tmp_path: Path) -> None:
    """Values above white are clipped, and a note says how many."""
    values = np.full((10, 10), 4095, np.uint16)
    values[0, 0] = 5000
    Image.fromarray(values).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png", white=4095)
    assert image.pixels.max() == 1
    assert image.notes == ("1.0% of its values lie outside of 0 to 4095 and were clipped",)


def test_eight_bits_have_their_own_white(tmp_path: Path) -> None:
    """The white of deep files does not darken files of 8 bits."""
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", white=4095).pixels.min() == 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("depth", [8, 16])
def test_what_a_file_says_is_carried_over(suffix: str, depth: int, tmp_path: Path) -> None:
    """Profile, resolution and Exif data survive, without the orientation."""
    if depth == 16 and suffix in (".jpg", ".webp"):
        pytest.skip("8 bits only")
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", 6
    exif.get_ifd(0x8769)[0x829A] = TiffImagePlugin.IFDRational(1, 50)  # exposure time
    jpeg = stored(
        Image.new("RGB", (WIDTH, HEIGHT), (9, 99, 200)),
        "JPEG",
        icc_profile=profile_of(),
        dpi=(300, 150),
        exif=exif,
    )
    source = read_image(jpeg)
    assert source.pixels.shape == (3, WIDTH, HEIGHT)
    image = replace(source, bit_depth=depth, white=None)
    write_image(tmp_path / f"x{suffix}", image)
    with Image.open(tmp_path / f"x{suffix}") as written:
        written.load()
        assert written.info["icc_profile"] == profile_of()
        found = written.getexif()
        assert found[0x010F] == "a maker"
        assert 0x0112 not in found
        assert found.get_ifd(0x8769)[0x829A] == Fraction(1, 50)
        if suffix != ".webp":  # which has no place for it but Exif
            assert tuple(map(round, written.info["dpi"])) == (300, 150)
    again = read_image(tmp_path / f"x{suffix}").metadata
    assert again.icc_profile == source.metadata.icc_profile


def test_scale_of_a_microscope_is_kept(tmp_path: Path) -> None:
    """The scale that ImageJ writes, in pixels per micron, comes out as it came in."""
    tags = {270: "ImageJ=1.54f\nunit=micron\n", 282: 38.462, 283: 38.462, 296: 1}
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(
        tmp_path / "x.tif", tiffinfo=tags
    )
    write_image(tmp_path / "y.tif", read_image(tmp_path / "x.tif"))
    with Image.open(tmp_path / "y.tif") as written:
        found = written.tag_v2  # type: ignore[attr-defined]
        assert found[270] == tags[270]
        assert float(found[282]) == pytest.approx(38.462)
        assert found[296] == 1


def test_texts_of_a_png_are_kept(tmp_path: Path) -> None:
    """Texts come out as they came in, at 8 and at 16 bits."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a scan")
    texts.add_itxt("Author", "Zoë")
    for depth, kind in ((8, np.uint8), (16, np.uint16)):
        Image.fromarray(np.zeros((4, 4), kind)).save(tmp_path / "x.png", pnginfo=texts)
        image = read_image(tmp_path / "x.png")
        assert image.bit_depth == depth
        write_image(tmp_path / "y.png", image)
        with Image.open(tmp_path / "y.png") as written:
            assert written.text == {"Title": "a scan", "Author": "Zoë"}  # type: ignore[attr-defined]


def test_a_profile_of_other_channels_is_left_out() -> None:
    """The profile of an RGB file does not go to a grey image."""
    source = replace(drawn("rgb", 8), metadata=Metadata(icc_profile=profile_of()))
    assert source.with_pixels(source.pixels, white=255).metadata.icc_profile is not None
    grey = source.with_pixels(source.pixels[:1], white=255)
    assert grey.metadata.icc_profile is None
    assert "colour profile" in grey.notes[-1]


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_keeps_its_time(suffix: str, tmp_path: Path) -> None:
    """Durations and repetitions of an animation come out as they came in."""
    frames = [
        Image.fromarray(np.asarray(np.rint(drawn("grey", 8, seed=seed).pixels[0] * 255), np.uint8))
        for seed in range(4)
    ]
    durations = [50, 100, 150, 400]
    path = tmp_path / f"x{suffix}"
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=durations, loop=3, lossless=True
    )
    write_frames(tmp_path / f"y{suffix}", read_frames(path), num_frames=4)
    again = list(read_frames(tmp_path / f"y{suffix}"))
    assert [frame.metadata.duration_ms for frame in again] == durations
    assert again[0].metadata.loop == 3
    for frame, before in zip(again, frames, strict=True):
        np.testing.assert_array_equal(frame.to_integers()[0], np.asarray(before))


def test_a_few_colours_fit_a_gif(tmp_path: Path) -> None:
    """Frames of at most 256 colours, one of them transparent, lose nothing in a GIF."""
    random = np.random.default_rng(0)
    palette = random.integers(0, 256, (40, 3)).astype(np.float32) / np.float32(255)
    pixels = np.moveaxis(palette[random.integers(0, 40, (HEIGHT, WIDTH))], 2, 0)
    alpha = random.integers(0, 2, (HEIGHT, WIDTH)).astype(np.float32)
    image = DecodedImage(np.ascontiguousarray(pixels), alpha, 8, "rgb")
    write_image(tmp_path / "x.gif", image)
    again = read_image(tmp_path / "x.gif")
    assert again.alpha is not None
    np.testing.assert_array_equal(again.alpha, alpha)
    np.testing.assert_array_equal(again.pixels[:, alpha > 0], pixels[:, alpha > 0])


def test_a_stack_says_its_number(tmp_path: Path) -> None:
    """A frame is read by its number, from 0; a number beyond the last is refused."""
    given = [drawn("grey", 16, seed=seed) for seed in range(5)]
    write_frames(tmp_path / "x.tif", given, num_frames=len(given))
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif", frame=3).pixels, given[3].pixels)
    with pytest.raises(DataError, match=r"x\.tif: it has 5 frames, no frame 5"):
        read_image(tmp_path / "x.tif", frame=5)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_stacks_are_written_frame_by_frame(suffix: str, tmp_path: Path) -> None:
    """A frame is asked for when the one before it is on the disk: two are never held."""
    held: list[weakref.ref[DecodedImage]] = []

    def frames() -> Iterator[DecodedImage]:
        for seed in range(6):
            image = drawn("rgb", 16, seed=seed)
            held.append(weakref.ref(image))
            yield image
            del image
            assert sum(each() is not None for each in held) <= 2  # one is in the hands of a loop

    write_frames(tmp_path / f"x{suffix}", frames(), num_frames=6)
    again = list(read_frames(tmp_path / f"x{suffix}"))
    assert len(again) == 6
    for seed, frame in enumerate(again):
        np.testing.assert_array_equal(frame.pixels, drawn("rgb", 16, seed=seed).pixels)


def test_smaller_copies_are_no_frames(tmp_path: Path) -> None:
    """A preview inside of a TIFF file is left out, with a note."""
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(np.zeros((32, 32), np.uint8))
        file.write(np.zeros((8, 8), np.uint8), subfiletype=1)
    assert inspect_image(tmp_path / "x.tif").num_frames == 1
    frames = list(read_frames(tmp_path / "x.tif"))
    assert len(frames) == 1
    assert frames[0].notes == ("1 smaller copies or masks in the file left out",)


@pytest.mark.parametrize(
    ("image", "suffix", "chosen", "reason"),
    [
        (drawn("rgb", 8, has_alpha=True), ".jpg", ".png", "JPEG cannot keep the image's alpha"),
        (drawn("rgb", 16), ".webp", ".png", "WEBP cannot keep 16 bits of rgb"),
        (drawn("grey", 32), ".png", ".tif", "PNG cannot keep floats"),
        (drawn("rgb", 8), ".gif", ".gif", "GIF holds 256 colours"),
        (drawn("grey", 16), ".dcm", ".png", "DICOM files are read, not written"),
    ],
)
def test_another_file_type_has_a_reason(
    image: DecodedImage, suffix: str, chosen: str, reason: str
) -> None:
    """Where depth, alpha or format force another type, or cost colours, the reason is said."""
    formats = {".jpg": "JPEG", ".webp": "WEBP", ".png": "PNG", ".gif": "GIF", ".dcm": "DICOM"}
    kept = output_format(replace(image, format=formats[suffix]), suffix=suffix)
    assert kept.suffix == chosen
    assert reason in str(kept.reason)


def test_a_requested_type_is_taken_or_refused() -> None:
    """The caller chooses by name or suffix; a type that cannot keep the image is refused."""
    image = replace(drawn("rgb", 8), format="TIFF")
    assert output_format(image, "png", suffix=".tif") == (".png", None)
    assert output_format(image, ".JPG", suffix=".tif") == (".jpg", None)
    with pytest.raises(DataError, match="JPEG cannot keep the image's alpha; use png"):
        output_format(drawn("rgb", 8, has_alpha=True), "jpg")
    with pytest.raises(DataError, match=r"cannot be written as '\.xyz'"):
        output_format(image, "xyz")


def test_resolution_goes_to_other_types(tmp_path: Path) -> None:
    """A resolution in pixels per centimetre is the same in every type of file."""
    image = replace(drawn("grey", 8), metadata=Metadata(resolution=Resolution(100, 50, "cm")))
    for suffix in (".png", ".jpg", ".tif"):
        write_image(tmp_path / f"x{suffix}", image)
        with Image.open(tmp_path / f"x{suffix}") as written:
            assert written.info["dpi"] == pytest.approx((254, 127), abs=0.5)


def test_wrong_ending_does_not_matter(tmp_path: Path) -> None:
    """The content says what a file is, whatever its name."""
    path = tmp_path / "photo.txt"
    path.write_bytes(b"".join(encode_frames([drawn("rgb", 8)], ".png", 1)))
    assert looks_like_image(path)
    assert output_format(read_image(path), suffix=path.suffix).suffix == ".png"


def test_frames_of_no_image_are_refused() -> None:
    """A file without any frame cannot be written."""
    with pytest.raises(DataError, match="no frame"):
        encode_frames([], ".tif", 0)


def array_like(values: NDArray[Any]) -> DecodedImage:
    """What is read from an array in a file."""
    file = io.BytesIO()
    np.save(file, values)
    return read_image(file.getvalue())


def test_an_array_is_an_image() -> None:
    """Arrays of (h, w) and (h, w, c) are images; other shapes and types are refused in words."""
    random = np.random.default_rng(0)
    for channels, mode in ((1, "grey"), (3, "rgb"), (4, "rgb")):
        values = random.integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
        image = array_like(values)
        assert (image.mode, image.bit_depth, image.alpha is not None) == (mode, 8, channels == 4)
        np.testing.assert_array_equal(image.to_samples(), values)
    assert array_like(random.random((HEIGHT, WIDTH))).bit_depth == 32
    with pytest.raises(DataError, match=r"its shape \(3, 12, 17\) is not that of an image"):
        array_like(np.zeros((3, HEIGHT, WIDTH), np.uint8))
    with pytest.raises(DataError, match="its numbers are int64"):
        array_like(np.zeros((HEIGHT, WIDTH), np.int64))
    with pytest.raises(DataError):
        array_like(np.array([{"a": 1}], dtype=object))
