"""What a predictor accepts, in which layout, and how it refuses the rest."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from packages import CLASSIFIER, DENOISER, JOINT, noise, real, toy
from tapetum.errors import DataError, InputError
from tapetum.images import DecodedImage, write_image
from tapetum.runtime import Predictor


def file_bytes(image: Image.Image, kind: str = "PNG") -> bytes:
    """The content of an image file."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def drawn(*shape: int, dtype: type = np.uint8) -> Any:
    """Random integers."""
    return (noise(*shape) * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "P", "grey P", "1", "CMYK"])
def test_every_form_of_an_image_gives_the_same_prediction(
    mode: str, channels: int, tmp_path: Path
) -> None:
    """A path, bytes, an open file, a Pillow image, and an array of its samples are one image."""
    if mode == "I;16":
        image = Image.fromarray(drawn(20, 30, dtype=np.uint16))
    else:
        image = Image.fromarray(drawn(20, 30, 4)).convert("RGBA" if "A" in mode else "RGB")
        image = image.convert("L").convert("P") if mode == "grey P" else image.convert(mode)
    content = file_bytes(image, "TIFF" if mode == "CMYK" else "PNG")
    path = tmp_path / "one.png"
    path.write_bytes(content)
    predictor = Predictor(real(JOINT, boxes=False, channels=channels, size_px=32), threads=1)
    wanted = predictor(path)
    forms = [str(path), content, bytearray(content), memoryview(content), io.BytesIO(content)]
    for form in [*forms, image, Image.open(path)]:
        result = predictor(form)
        np.testing.assert_array_equal(result.probabilities, wanted.probabilities)
        np.testing.assert_array_equal(result.pixels, wanted.pixels)
    if mode in ("L", "LA", "RGB", "RGBA", "I;16"):
        result = predictor(np.asarray(image))
        np.testing.assert_array_equal(result.probabilities, wanted.probabilities)


def test_a_pillow_image_is_turned_upright() -> None:
    """As a file is, by its Exif tag."""
    image = Image.fromarray(drawn(10, 20))
    image.getexif()[274] = 6
    content = io.BytesIO()
    image.save(content, "JPEG", exif=image.getexif())
    result = Predictor(toy(DENOISER), threads=1)(Image.open(content))
    assert result.pixels is not None
    assert result.pixels.shape == (20, 10)


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((9, 7), 1, (9, 7)),
        ((9, 7, 1), 1, (9, 7, 1)),
        ((9, 7, 2), 1, (9, 7)),
        ((9, 7, 3), 1, (9, 7)),
        ((9, 7), 3, (9, 7, 3)),
        ((9, 7, 3), 3, (9, 7, 3)),
        ((9, 7, 4), 3, (9, 7, 3)),
        ((1, 1), 1, (1, 1)),
        ((3, 3, 3), 3, (3, 3, 3)),
    ],
    ids=str,
)
def test_arrays_come_back_in_the_layout_in_which_they_were_given(
    shape: tuple[int, ...], channels: int, expected: tuple[int, ...]
) -> None:
    """Channels are last; grey has none, unless the array that was given has that axis."""
    pixels = Predictor(toy(DENOISER, channels=channels), threads=1)(drawn(*shape)).pixels
    assert pixels is not None
    assert pixels.shape == expected


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (noise(3, 40, 50), r"channels come first here, so pass np.moveaxis\(array, 0, 2\)"),
        (noise(1, 40, 50), r"channels come first here"),
        (noise(2, 8, 8, 3), "a batch goes to predict_many"),
        (noise(9), r"shape \(9,\) is not an image; pass \(h, w\)"),
        ([noise(8, 8)], "a list is not an image.*a list of images goes to predict_many"),
        (7, "an int is not an image; pass a path, bytes"),
        (None, "a NoneType is not an image"),
        (io.StringIO("x"), "open as text; open it with mode 'rb'"),
        (b"", "the file is empty"),
        (b"no image at all", "not an image"),
        (np.zeros((0, 3)), "is empty"),
        (np.array([["a"]]), "is not an image; pass uint8"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_image_is_refused_in_one_sentence(image: Any, fault: str) -> None:
    """The sentence names the likely mistake."""
    with pytest.raises(InputError, match=fault) as caught:
        Predictor(toy(DENOISER), threads=1)(image)
    assert "\n" not in str(caught.value)


def test_a_tensor_is_refused_with_the_way_to_convert_it() -> None:
    """Tensors have their channels first, which would be taken for another image."""

    class Tensor:
        """As torch has it."""

        def permute(self) -> None: ...

    with pytest.raises(InputError, match=r"a Tensor is not an image.*permute\(1, 2, 0\).numpy\(\)"):
        Predictor(toy(DENOISER), threads=1)(Tensor())  # type: ignore[arg-type]


def test_a_truncated_pillow_image_is_refused(tmp_path: Path) -> None:
    """Pillow decodes only when pixels are needed; the reason is ours."""
    content = file_bytes(Image.fromarray(drawn(64, 64)))
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with (
        Image.open(tmp_path / "cut.png") as image,
        pytest.raises(DataError, match="the Pillow image cannot be decoded"),
    ):
        Predictor(toy(DENOISER), threads=1)(image)


@pytest.mark.parametrize("as_array", [True, False])
def test_a_batch_gives_what_its_images_give(as_array: bool) -> None:
    """Labels, probabilities and pixels equal those of single calls, in their order."""
    predictor = Predictor(real(JOINT, boxes=False, channels=3, size_px=32), threads=1)
    batch = drawn(3, 40, 50, 3)
    images = batch if as_array else [batch[0], Image.fromarray(batch[1]), batch[2]]
    results = predictor.predict_many(images)
    assert len(results) == 3
    for result, image in zip(results, batch, strict=True):
        one = predictor(image)
        np.testing.assert_array_equal(result.probabilities, one.probabilities)
        np.testing.assert_array_equal(result.pixels, one.pixels)


def test_a_batch_has_boxes_for_each_image() -> None:
    """As many arrays of boxes as images, of any number each."""
    predictor = Predictor(real(JOINT, boxes=True), threads=1, mode="label")
    boxes = [[[0, 0, 20, 20]], [[0, 0, 30, 30], [5, 5, 40, 40]]]
    results = predictor.predict_many(noise(2, 48, 48), boxes=boxes)
    assert [len(result.labels) for result in results] == [1, 2]
    with pytest.raises(InputError, match="2 images have 1 arrays of boxes"):
        predictor.predict_many(noise(2, 48, 48), boxes=boxes[:1])


@pytest.mark.parametrize(
    "images",
    [noise(8, 8), noise(8, 8, 3), noise(2, 2, 8, 8, 3), "one.png", b"x", 3, io.BytesIO(b"x")],
    ids=lambda value: str(value)[:20],
)
def test_a_single_image_is_no_batch(images: Any) -> None:
    """It would be cut into rows, or into letters."""
    with pytest.raises(InputError, match="is not a batch of images"):
        Predictor(toy(DENOISER), threads=1).predict_many(images)


def test_all_probabilities_have_names_most_probable_first() -> None:
    """``top_k`` keeps the first of them."""
    package = real(CLASSIFIER, boxes=False, size_px=32)
    everything = Predictor(package, threads=1)(noise(32, 32))
    (by_name,) = everything.by_class
    assert list(by_name.values()) == sorted(by_name.values(), reverse=True)
    assert everything.probabilities is not None
    for index, name in enumerate(everything.class_names):
        assert by_name[name] == everything.probabilities[0, index]
    first = next(iter(by_name.items()))
    assert first == (everything.label, everything.confidence)
    few = Predictor(package, threads=1, top_k=3)(noise(32, 32))
    assert few.by_class == (dict(list(by_name.items())[:3]),)
    assert few.probabilities is not None
    assert few.probabilities.shape == (1, 10)


def test_an_uncertain_label_is_unknown() -> None:
    """At the limit it is still a label; its probability stays readable."""
    package = toy(CLASSIFIER, scale=2)
    image = np.full((16, 16), 0.6, np.float32)
    plain = Predictor(package, threads=1)(image)
    assert plain.label == "bright"
    limit = plain.confidence
    assert limit is not None
    for reject_below, label in ((limit, "bright"), (limit + 1e-6, "unknown")):
        result = Predictor(package, threads=1, reject_below=reject_below)(image)
        assert (result.label, result.confidence) == (label, limit)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"threads": 0}, "threads"),
        ({"threads": "many"}, "threads: .*valid integer"),
        ({"mode": "all"}, "mode: .*'both', 'label' or 'image'"),
        ({"memory_mib": None}, "memory_mib"),
        ({"max_pixels": -1}, "max_pixels"),
        ({"provider": "gpu9"}, "there is no provider 'gpu9'.*cuda"),
        ({"provider": 3}, "provider"),
        ({"top_k": 0}, "top_k"),
        ({"reject_below": 1.5}, "reject_below"),
        ({"reject_below": "high"}, "reject_below"),
    ],
    ids=str,
)
def test_impossible_options_are_refused_in_one_sentence(
    options: dict[str, Any], fault: str
) -> None:
    """The name of the option is in it."""
    with pytest.raises(InputError, match=fault) as caught:
        Predictor(toy(JOINT), **options)
    assert "\n" not in str(caught.value)


def test_a_path_goes_to_open(tmp_path: Path) -> None:
    """The class itself takes an opened package, and ``open`` takes a path."""
    with pytest.raises(InputError, match=r"not a str; open a file with Predictor.open\(path\)"):
        Predictor("photos.tapetum")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a package is given by its path, not by 3 of type int"):
        Predictor.open(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a folder is given by its path, not by .* of type list"):
        Predictor(toy(JOINT), threads=1).folder([tmp_path])  # type: ignore[arg-type]


def test_a_profile_of_other_channels_is_left_out_with_a_note(tmp_path: Path) -> None:
    """An RGB profile does not describe a grey image."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "one.png"
    Image.fromarray(drawn(8, 8, 3)).save(path, icc_profile=profile)
    same, other = (
        Predictor(toy(DENOISER, channels=channels), threads=1)(path).denoised for channels in (3, 1)
    )
    assert same is not None
    assert other is not None
    assert (same.metadata.icc_profile, same.notes) == (profile, ())
    assert other.metadata.icc_profile is None
    assert "is grey, as the network is, and not RGB" in other.notes[0]
    assert "colour profile was left out" in other.notes[1]


def test_a_decoded_image_keeps_what_its_file_says(tmp_path: Path) -> None:
    """Resolution and format of the file are those of the denoised image."""
    path = tmp_path / "one.png"
    Image.fromarray(drawn(8, 8)).save(path, dpi=(300, 300))
    denoised = Predictor(toy(DENOISER), threads=1)(path).denoised
    assert isinstance(denoised, DecodedImage)
    assert denoised.format == "PNG"
    assert denoised.metadata.resolution is not None


@pytest.mark.parametrize("kind", ["TIFF", "GIF"])
def test_every_frame_of_a_file_is_predicted(kind: str, tmp_path: Path) -> None:
    """One prediction for each, also in a folder; a call alone refuses to choose one."""
    frames = [Image.fromarray(np.full((12, 10), level, np.uint8)) for level in (20, 220, 90)]
    path = tmp_path / f"movie.{kind.lower()}"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])
    predictor = Predictor(toy(JOINT), threads=1)
    labels = ["dark", "bright", "dark"]
    for form in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        assert [result.label for result in predictor.frames(form)] == labels
        if not isinstance(form, io.BytesIO):
            with pytest.raises(InputError, match="several frames; pass it to the method frames"):
                predictor(form)
    found = list(predictor.folder(tmp_path))
    assert [entry for entry, _ in found] == [path] * 3
    with Image.open(path) as image:
        image.seek(1)
        assert predictor(image).label == "bright"


def test_an_image_is_a_file_of_one_frame(tmp_path: Path) -> None:
    """So one loop serves files of both kinds."""
    Image.fromarray(drawn(8, 8)).save(tmp_path / "one.png")
    predictor = Predictor(toy(JOINT), threads=1)
    (result,) = predictor.frames(tmp_path / "one.png")
    assert result.label == predictor(tmp_path / "one.png").label
    with pytest.raises(InputError, match="is not an image"):
        predictor.frames(3)  # type: ignore[arg-type]


def test_arrays_of_any_byte_order_are_read_and_masked_values_refused() -> None:
    """What numpy can hold is read as its values, or refused with the way out."""
    predictor = Predictor(toy(DENOISER), threads=1)
    image = drawn(8, 8, dtype=np.uint16)
    wanted, swapped = predictor(image).pixels, predictor(image.astype(">u2")).pixels
    assert wanted is not None
    assert swapped is not None
    np.testing.assert_array_equal(swapped, wanted)
    unmasked = predictor(np.ma.array(image)).pixels
    np.testing.assert_array_equal(unmasked, wanted)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"masked values.*filled"):
        predictor(np.ma.array(image, mask=image > image.mean()))


def test_white_of_32_bit_integers_is_said() -> None:
    """They do not say themselves whether 255 is white."""
    warnings = Predictor(toy(DENOISER), threads=1)(Image.new("I", (8, 8), 200)).warnings
    assert warnings == ("its integers of 32 bits were read as 16 bits, with 65535 for white",)


def test_a_closed_file_is_refused(tmp_path: Path) -> None:
    """One sentence instead of an error of Python."""
    with (tmp_path / "x.png").open("w+b") as file:
        pass
    with pytest.raises(InputError, match="cannot be read"):
        Predictor(toy(DENOISER), threads=1)(file)


@pytest.mark.parametrize("image", [None, np.zeros((8, 8))])
def test_only_decoded_images_are_written(image: Any, tmp_path: Path) -> None:
    """Anything else is refused in one sentence, and no file is left."""
    with pytest.raises(InputError, match="to write is a DecodedImage"):
        write_image(tmp_path / "x.png", image)
    assert not list(tmp_path.iterdir())
