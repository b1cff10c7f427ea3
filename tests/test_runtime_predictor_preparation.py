"""The law of preparation: a predictor labels the prepared image and denoises the whole one."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from packages import DENOISER, JOINT, noise, real, toy
from tapetum.errors import InputError
from tapetum.images import DecodedImage, read_image, write_image
from tapetum.runtime import GraphSession, Package, Predictor, Preparation
from tapetum.runtime.session import keep_outputs

SIZE_PX = 32
SIZES = [(20, 20), (32, 32), (75, 75), (40, 25), (25, 90)]


def network(
    package: Package, output: str, pixels: NDArray[np.float32], boxes: Any = None
) -> NDArray[np.float32]:
    """One output of the graph of a package, run by itself."""
    import onnx

    graph = keep_outputs(onnx.load_model_from_string(package.graph_bytes), [output])
    session = GraphSession(graph.SerializeToString(), threads=1)
    feeds = {"noisy": pixels[np.newaxis]}
    if "boxes" in session.input_names:
        feeds["boxes"] = np.asarray(boxes, np.float32)[np.newaxis]
    return session.run([output], feeds)[0][0]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def written(path: Path, kind: str, height: int, width: int) -> DecodedImage:
    """A file of one kind, read back."""
    is_rgb = kind.startswith("rgb")
    pixels = np.moveaxis(noise(height, width, 3 if is_rgb else 1), 2, 0)
    alpha = noise(width, height).T if kind.endswith("alpha") else None
    depth: Literal[8, 16] = 16 if "16" in kind else 8
    image = DecodedImage(pixels, alpha, depth, "rgb" if is_rgb else "grey")
    write_image(path, image)
    return read_image(path)


@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
@pytest.mark.parametrize("kind", ["grey", "rgb", "grey16", "rgb16", "rgb-alpha", "grey16-alpha"])
@pytest.mark.parametrize("channels", [1, 3])
def test_labels_are_of_the_prepared_image_and_pixels_of_the_whole_one(
    resize: Any, kind: str, channels: int, tmp_path: Path
) -> None:
    """Exactly, for every size and kind of file; one pass where both inputs are the same."""
    preparation = Preparation(size_px=SIZE_PX, channels=channels, resize=resize)
    package = real(JOINT, boxes=False, channels=channels, size_px=SIZE_PX, preparation=preparation)
    predictor = Predictor(package, threads=1)
    for height, width in SIZES:
        image = written(tmp_path / "one.png", kind, height, width)
        result = predictor(tmp_path / "one.png")
        is_prepared = height == width == SIZE_PX
        assert result.passes == (1 if is_prepared else 2)
        assert result.label_size_px == (SIZE_PX, SIZE_PX)
        colours = preparation.colours(image)
        denoised = network(package, "denoised", colours).clip(0, 1)
        probabilities = softmax(network(package, "logits", preparation.resized(colours)))
        assert result.pixels is not None
        given = result.pixels if result.pixels.ndim == 3 else result.pixels[..., np.newaxis]
        # One pass runs the whole graph, which may sum in another order than one of its branches.
        tolerance = 1e-6 if is_prepared else 0.0
        np.testing.assert_allclose(np.moveaxis(given, 2, 0), denoised, rtol=0, atol=tolerance)
        np.testing.assert_allclose(result.probabilities, [probabilities], rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", SIZES)
def test_a_mode_gives_the_label_and_the_image_of_both(size: tuple[int, int]) -> None:
    """Label alone and image alone are the two passes; the time of both is counted."""
    package, pixels = real(JOINT, boxes=False, size_px=SIZE_PX), noise(*size)
    both, label, image = (
        Predictor(package, threads=1, mode=mode)(pixels) for mode in ("both", "label", "image")
    )
    np.testing.assert_allclose(label.probabilities, both.probabilities, rtol=0, atol=1e-6)
    np.testing.assert_allclose(image.pixels, both.pixels, rtol=0, atol=1e-6)
    assert label.passes == image.passes == 1
    assert image.label_size_px is None
    assert min(both.prepare_ms, both.latency_ms) > 0


def test_boxes_are_classified_at_full_resolution_without_a_size() -> None:
    """The network sees the image and its boxes as they are."""
    package, pixels = real(JOINT, boxes=True), noise(70, 50)
    boxes = [[2, 3, 30, 31], [20, 40, 48, 68]]
    result = Predictor(package, threads=1)(pixels, boxes=boxes)
    expected = softmax(network(package, "logits", pixels[np.newaxis], boxes))
    assert (result.passes, result.label_size_px) == (1, (70, 50))
    np.testing.assert_allclose(result.probabilities, expected, rtol=0, atol=1e-6)


def test_boxes_follow_a_preparation_with_a_size() -> None:
    """They are mapped into the prepared image; the denoised image keeps its resolution."""
    preparation = Preparation(size_px=64, channels=1, resize="letterbox")
    package, pixels = real(JOINT, boxes=True, preparation=preparation), noise(70, 100)
    boxes = np.array([[2, 3, 50, 51], [30, 20, 98, 68]], np.float32)
    result = Predictor(package, threads=1)(pixels, boxes=boxes)
    mapped = preparation.boxes(boxes, 70, 100)
    prepared = preparation.resized(pixels[np.newaxis])
    expected = softmax(network(package, "logits", prepared, mapped))
    assert (result.passes, result.label_size_px) == (2, (64, 64))
    np.testing.assert_array_equal(result.probabilities, expected)
    np.testing.assert_array_equal(
        result.pixels, network(package, "denoised", pixels[np.newaxis])[0].clip(0, 1)
    )


def test_a_box_that_crop_hides_is_refused() -> None:
    """The network would see nothing of it."""
    preparation = Preparation(size_px=64, channels=1, resize="crop")
    predictor = Predictor(real(JOINT, boxes=True, preparation=preparation), threads=1)
    with pytest.raises(InputError, match="box 1 is outside of the central square"):
        predictor(noise(70, 200), boxes=[[80, 10, 110, 40], [0, 0, 30, 30]])


@pytest.mark.parametrize("alpha", [0.0, 0.002, 0.5, 0.998, 1.0])
def test_a_network_that_changes_nothing_leaves_transparent_images_as_they_were(
    alpha: float,
) -> None:
    """The colours of every pixel come back, however transparent it is."""
    image = DecodedImage(noise(3, 8, 8), np.full((8, 8), alpha, np.float32), 16, "rgb")
    denoised = Predictor(toy(DENOISER, channels=3), threads=1)(image).denoised
    assert denoised is not None
    np.testing.assert_array_equal(denoised.to_integers(), image.to_integers())
    np.testing.assert_array_equal(denoised.alpha, image.alpha)


def test_a_transparent_image_looks_denoised_over_the_background() -> None:
    """Where the result stays in range, compositing it again gives the output of the network."""
    preparation = Preparation(channels=3, background=0.25)
    alpha = np.linspace(0.3, 1, 64, dtype=np.float32).reshape(8, 8)
    image = DecodedImage(0.3 + 0.4 * noise(3, 8, 8), alpha, 16, "rgb")
    package = toy(DENOISER, channels=3, gain=0.95, preparation=preparation)
    result = Predictor(package, threads=1)(image)
    assert result.denoised is not None
    assert result.pixels is not None
    again = preparation.colours(result.denoised)
    np.testing.assert_allclose(np.moveaxis(again, 0, 2), result.pixels, atol=1e-6)


def test_hidden_colours_do_not_change_the_prediction() -> None:
    """Two images that look alike get the same label and the same pixels."""
    predictor = Predictor(real(JOINT, boxes=False, channels=3, size_px=SIZE_PX), threads=1)
    shown = (255 * noise(40, 40, 4)).astype(np.uint8)
    shown[:20, :, 3] = 0
    other = shown.copy()
    other[:20, :, :3] = 255 - other[:20, :, :3]
    first, second = predictor(shown), predictor(other)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_the_white_of_the_package_scales_deep_images_alone(tmp_path: Path) -> None:
    """4095 is white in files and arrays of 16 bits, is written back so, and 8 bits stay alone."""
    preparation = Preparation(channels=1, white=4095)
    predictor = Predictor(toy(DENOISER, preparation=preparation), threads=1)
    stored = (noise(8, 8) * 4095).astype(np.uint16)
    wanted = stored.astype(np.float32) / np.float32(4095)
    write_image(
        tmp_path / "deep.png", DecodedImage(wanted[np.newaxis], None, 16, "grey", white=4095)
    )
    full = DecodedImage(wanted[np.newaxis] * 4095 / 65535, None, 16, "grey")
    for given in (stored, tmp_path / "deep.png", full):
        result = predictor(given)
        np.testing.assert_allclose(result.pixels, wanted, atol=1e-6)
        assert result.denoised is not None
        np.testing.assert_array_equal(result.denoised.to_samples()[..., 0], stored)
    for plain in ((255 * noise(8, 8)).astype(np.uint8), noise(8, 8)):
        scale = 255 if plain.dtype == np.uint8 else 1
        np.testing.assert_allclose(predictor(plain).pixels, plain / scale, atol=1e-6)
