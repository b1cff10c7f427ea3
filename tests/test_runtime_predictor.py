"""The predictor: what goes in comes out as deep as it was, denoised and named."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from packages import CLASSIFIER, DENOISER, JOINT, noise, real, toy
from tapetum.errors import DataError, InputError, PackageError
from tapetum.images import DecodedImage, read_image, write_image
from tapetum.runtime import network as module
from tapetum.runtime.package import Package, write_package
from tapetum.runtime.predictor import Predictor


@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 8), (np.uint16, 16)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_integers_come_back_as_they_were(dtype: type, depth: int, channels: int) -> None:
    """A network that changes nothing gives every integer back, with its depth and alpha."""
    array = np.random.default_rng(0).integers(2**depth, size=(9, 7, channels)).astype(dtype)
    colours = 1 if channels < 3 else 3
    denoised = Predictor(toy(DENOISER, channels=colours), threads=1)(array).denoised
    assert denoised is not None
    assert denoised.bit_depth == depth
    assert (denoised.to_integers() == np.moveaxis(array[..., :colours], 2, 0)).all()
    assert (denoised.alpha is None) == (channels in (1, 3))
    if denoised.alpha is not None:
        assert (np.rint(denoised.alpha * (2**depth - 1)) == array[..., -1]).all()


def test_a_file_keeps_its_depth_and_alpha(tmp_path: Path) -> None:
    """A 16-bit file with alpha is denoised into a 16-bit image with that alpha."""
    given = DecodedImage(noise(3, 6, 5), noise(6, 5), 16, "rgb")
    write_image(tmp_path / "deep.png", given)
    denoised = Predictor(toy(DENOISER, channels=3), threads=1)(tmp_path / "deep.png").denoised
    assert denoised is not None
    write_image(tmp_path / "denoised.png", denoised)
    again = read_image(tmp_path / "denoised.png")
    assert again.bit_depth == 16
    assert (again.to_integers() == given.to_integers()).all()
    assert again.alpha is not None
    np.testing.assert_allclose(again.alpha, given.alpha, atol=1e-5)


def test_a_package_file_is_opened_and_run(tmp_path: Path) -> None:
    """From the file of a package to a label and an image, and the time that it took."""
    package = toy(JOINT)
    model = onnx.load_model_from_string(package.graph_bytes)
    write_package(tmp_path / "toy.tapetum", model, package.manifest, "")
    predictor = Predictor.open(tmp_path / "toy.tapetum", threads=1)
    predictor.warm_up()
    result = predictor(np.full((8, 8), 0.9, np.float32))
    assert (result.label, result.labels, result.tiled) == ("bright", ("bright",), False)
    assert result.confidences[0] > 0.99
    assert result.latency_ms > 0


def test_the_denoised_image_stays_on_its_scale() -> None:
    """What a network returns outside [0, 1] is clamped."""
    result = Predictor(toy(DENOISER, gain=3), threads=1)(noise(8, 8))
    assert result.pixels is not None
    np.testing.assert_array_equal(result.pixels, np.clip(3 * noise(8, 8), 0, 1))


def test_probabilities_are_probabilities() -> None:
    """Rows add up to one, however large the logits are."""
    for scale in (1, 1e30):
        result = Predictor(toy(CLASSIFIER, scale=scale), threads=1)(noise(8, 8))
        assert result.probabilities is not None
        assert result.probabilities.shape == (1, 2)
        assert result.probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize(("given", "wanted"), [(1, 3), (3, 1)])
def test_colours_become_those_of_the_network(given: int, wanted: int) -> None:
    """A grey network is given the luma of a colour image, a colour network three times grey."""
    array = noise(8, 8, given)
    denoised = Predictor(toy(DENOISER, channels=wanted), threads=1)(array).denoised
    assert denoised is not None
    assert denoised.mode == ("grey" if wanted == 1 else "rgb")
    grey = array @ np.float32([0.299, 0.587, 0.114]) if given == 3 else array[..., 0]
    np.testing.assert_allclose(denoised.pixels, np.broadcast_to(grey, (wanted, 8, 8)), atol=1e-6)


def test_other_channels_are_arrays_only(tmp_path: Path) -> None:
    """A network of five channels takes and gives arrays; no image file has as many."""
    predictor = Predictor(toy(DENOISER, channels=5), threads=1)
    result = predictor(noise(8, 6, 5))
    assert result.denoised is None
    assert result.pixels is not None
    np.testing.assert_array_equal(result.pixels, noise(8, 6, 5))
    with pytest.raises(InputError, match=r"takes 5 channels.*pass an array of shape \(h, w, 5\)"):
        predictor(tmp_path / "any.png")
    with pytest.raises(InputError, match=r"shape \(8, 6, 3\) but .* takes 5 channels"):
        predictor(noise(8, 6, 3))


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.full((4, 4), np.nan), "not finite"),
        (np.full((4, 4), 255.0), r"from 255 to 255; divide floats to the scale \[0, 1\]"),
        (np.full((4, 4), -128.0), "from -128 to"),
        (np.zeros((4, 4), np.int64), "int64 is not an image; pass uint8, uint16"),
        (np.zeros((4, 4), bool), "bool is not an image"),
        (np.zeros((1, 3, 4, 4)), r"shape \(1, 3, 4, 4\) is not an image"),
        (np.zeros((3, 4, 7)), r"channels last.*first here, so pass np.moveaxis\(array, 0, 2\)"),
        (np.zeros((7, 4, 7)), "channels last: grey or RGB, then alpha if there is any$"),
        (np.zeros((0, 4)), "is empty"),
    ],
    ids=str,
)
def test_an_array_that_is_no_image_is_refused(array: NDArray[Any], fault: str) -> None:
    """Shape, type and range are checked, and the sentence says what is accepted."""
    with pytest.raises(InputError, match=fault):
        Predictor(toy(DENOISER), threads=1)(array)


def test_a_mode_runs_its_own_branch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Label-only and image-only graphs have fewer nodes, and give what the whole one gives."""
    graphs: list[onnx.ModelProto] = []
    session = module.GraphSession

    def recorded(model: bytes, **options: Any) -> module.GraphSession:
        graphs.append(onnx.load_model_from_string(model))
        return session(model, **options)

    monkeypatch.setattr(module, "GraphSession", recorded)
    package = real(JOINT, boxes=False, size_px=40)
    both, label, image = (
        Predictor(package, threads=1, mode=mode)(noise(40, 40))
        for mode in ("both", "label", "image")
    )
    whole, named, denoised = (len(graph.graph.node) for graph in graphs)
    assert named < whole
    assert denoised < whole
    assert label.pixels is image.probabilities is None
    assert (label.labels, image.labels) == (both.labels, ())
    np.testing.assert_allclose(label.probabilities, both.probabilities, atol=1e-6)
    np.testing.assert_allclose(image.pixels, both.pixels, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "mode", "remedy"), [(DENOISER, "label", "image"), (CLASSIFIER, "image", "label")]
)
def test_a_mode_that_the_package_lacks_is_refused(name: str, mode: Any, remedy: str) -> None:
    """A denoiser has no labels and a classifier no image; the other mode is named."""
    with pytest.raises(InputError, match=f"choose the mode '{remedy}'"):
        Predictor(toy(name), mode=mode)


def test_boxes_are_asked_for_where_labels_need_them() -> None:
    """Without boxes there is no label; the image alone needs none, and refuses them."""
    package = real(JOINT, boxes=True)
    boxes = np.array([[2, 3, 30, 31], [40, 10, 68, 38]])
    for mode in ("both", "label"):
        predictor = Predictor(package, threads=1, mode=mode)
        with pytest.raises(InputError, match=r"of shape \(k, 4\), or choose the mode 'image'"):
            predictor(noise(70, 70))
        result = predictor(noise(70, 70), boxes=boxes)
        assert len(result.labels) == 2
        assert result.label is None
        assert result.probabilities is not None
        assert result.probabilities.shape == (2, 10)
    image = Predictor(package, threads=1, mode="image")
    assert image(noise(70, 70)).labels == ()
    with pytest.raises(InputError, match="leave the boxes out"):
        image(noise(70, 70), boxes=boxes)


@pytest.mark.parametrize(
    "box",
    [[-1, 0, 5, 5], [0, 0, 71, 5], [0, 0, 5, 51], [5, 0, 5, 5], [0, 9, 5, 5], [0, 0, np.nan, 5]],
    ids=str,
)
def test_boxes_outside_the_image_are_refused(box: list[float]) -> None:
    """A box that is empty or leaves the image is named with its index."""
    predictor = Predictor(real(JOINT, boxes=True), threads=1, mode="label")
    with pytest.raises(InputError, match=r"box 1, .* is not inside the image of 70 x 50 px"):
        predictor(noise(50, 70), boxes=np.array([[0, 0, 28, 28], box]))


def test_boxes_of_another_shape_are_refused() -> None:
    """One flat box, or one without numbers, ends in a sentence."""
    predictor = Predictor(real(JOINT, boxes=True), threads=1, mode="label")
    for boxes in ([0, 0, 5, 5], [[]]):
        with pytest.raises(InputError, match=r"pass numbers of shape \(k, 4\)"):
            predictor(noise(50, 70), boxes=np.array(boxes))


@pytest.mark.parametrize("mode", ["both", "label"])
def test_an_image_without_boxes_is_denoised_and_has_no_labels(mode: Any) -> None:
    """Where a detector has found nothing, the pixels are those of the image with a box."""
    predictor = Predictor(real(JOINT, boxes=True), threads=1, mode=mode)
    one, none, empty = (
        predictor(noise(50, 70), boxes=boxes) for boxes in ([[0, 0, 9, 9]], [], np.zeros((0, 4)))
    )
    for found in (none, empty):
        assert (found.labels, found.confidences, found.by_class) == ((), (), ())
        assert found.brightness == ()
        assert found.label is None
        if mode == "both":
            np.testing.assert_array_equal(found.pixels, one.pixels)


@pytest.mark.parametrize("name", ["dc-net-reduced-integrated", "dc-net-reduced-sequential"])
@pytest.mark.parametrize("mode", ["both", "label"])
def test_a_tiled_image_is_the_untiled_one(name: str, mode: Any) -> None:
    """Of a real network on odd sizes, denoised pixels and the labels of boxes stay the same."""
    package, pixels = real(name, boxes=True), noise(251, 317)
    boxes = np.array([[3, 3, 31, 31], [120.5, 90, 148, 118], [289, 223, 317, 251]])
    whole = Predictor(package, threads=1, mode=mode)(pixels, boxes=boxes)
    tiled = Predictor(package, threads=1, mode=mode, max_pixels=200**2)(pixels, boxes=boxes)
    assert (whole.tiled, tiled.tiled) == (False, True)
    assert tiled.labels == whole.labels
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-4)
    if mode == "both":
        assert whole.pixels is not None
        assert tiled.pixels is not None
        assert np.abs(tiled.pixels - whole.pixels).max() <= 1 / 255


@pytest.mark.parametrize("name", [CLASSIFIER, "dc-net-reduced-sequential"])
def test_boxes_narrower_than_their_region_are_named_as_untiled(name: str) -> None:
    """Boxes of a few pixels, sampled beside their edges, get the labels of the whole image."""
    package, pixels = real(name, boxes=True), noise(150, 190)
    corners = [(x, y) for x in range(8, 170, 20) for y in range(8, 130, 20)]
    boxes = np.array([[x, y, x + 5, y + 3.5] for x, y in corners])
    whole = Predictor(package, threads=1, mode="label")(pixels, boxes=boxes)
    tiled = Predictor(package, threads=1, mode="label", max_pixels=150**2)(pixels, boxes=boxes)
    assert (whole.tiled, tiled.tiled) == (False, True)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)


def test_a_narrow_box_reads_beside_its_edge() -> None:
    """The law above can fail: without a halo the probabilities of narrow boxes differ."""
    package, pixels = real(CLASSIFIER, boxes=True), noise(64, 64)
    bare = package.manifest.model_copy(update={"tile_halo_px": 0})
    boxes = np.array([[x, y, x + 5, y + 3.5] for x in range(1, 59) for y in (9, 30)])
    whole = Predictor(package, threads=1)(pixels, boxes=boxes)
    blind = Predictor(Package(bare, package.graph_bytes, ""), threads=1, max_pixels=20**2)
    seeing = Predictor(package, threads=1, max_pixels=20**2)
    assert np.abs(seeing(pixels, boxes=boxes).probabilities - whole.probabilities).max() < 1e-6
    assert np.abs(blind(pixels, boxes=boxes).probabilities - whole.probabilities).max() > 1e-5


def test_the_label_of_a_whole_image_is_never_made_from_tiles() -> None:
    """An image is denoised in tiles but labelled at once; a limit below its size is refused."""
    package, pixels = real(JOINT, boxes=False, size_px=32), noise(300, 200)
    whole = Predictor(package, threads=1)(pixels)
    tiled = Predictor(package, threads=1, max_pixels=160**2)(pixels)
    assert (whole.tiled, tiled.tiled) == (False, True)
    np.testing.assert_array_equal(tiled.probabilities, whole.probabilities)
    assert tiled.pixels is not None
    assert whole.pixels is not None
    assert np.abs(tiled.pixels - whole.pixels).max() <= 1 / 255
    small = Predictor(package, threads=1, max_pixels=1000, mode="label")
    with pytest.raises(InputError, match=r"32 x 32 px is above .* its label is of the whole image"):
        small(pixels)


def test_an_image_that_cannot_be_tiled_is_refused_above_the_limit() -> None:
    """Where tiles would change the answer, the image is refused rather than cut."""
    package = toy(DENOISER)
    blind = package.manifest.model_copy(update={"tile_halo_px": None})
    predictor = Predictor(Package(blind, package.graph_bytes, ""), threads=1, max_pixels=100)
    assert predictor(noise(10, 10)).pixels is not None
    with pytest.raises(InputError, match=r"11 x 10 px is above the limit of 100 pixels.*raise"):
        predictor(noise(10, 11))


def test_the_memory_limit_sets_the_largest_window() -> None:
    """Twice the memory holds twice the pixels."""
    package = toy(DENOISER)
    small, large = (Predictor(package, threads=1, memory_mib=m) for m in (50, 100))
    assert large.max_pixels == pytest.approx(2 * small.max_pixels, abs=1)
    with pytest.raises(InputError, match=r"memory_mib: .*greater than 0; correct"):
        Predictor(package, memory_mib=0)


def test_a_folder_is_gone_through_in_order(tmp_path: Path) -> None:
    """Every image comes with its prediction; whatever is left out comes with its reason."""
    for index, name in enumerate(["b.png", "a.png"]):
        level = np.full((1, 8, 8), 0.1 + 0.8 * index, np.float32)
        write_image(tmp_path / name, DecodedImage(level, None, 8, "grey"))
    (tmp_path / "c.PNG").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("mine")
    results = list(Predictor(toy(JOINT), threads=1).folder(str(tmp_path)))
    assert [path.name for path, _ in results] == ["a.png", "b.png", "c.PNG", "notes.txt"]
    labels = [getattr(result, "label", str(result)) for _, result in results]
    assert labels[:2] == ["bright", "dark"]
    assert "its content is not an image" in str(labels[2])
    assert isinstance(results[3][1], DataError)


def test_a_folder_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    """A missing or empty folder, and a package that needs boxes, fail before the first image."""
    predictor = Predictor(toy(JOINT), threads=1)
    with pytest.raises(DataError, match=r"there is no folder .*none; give a folder"):
        predictor.folder(tmp_path / "none")
    with pytest.raises(DataError, match="no image in"):
        predictor.folder(tmp_path)
    with pytest.raises(InputError, match="choose the mode 'image'"):
        Predictor(real(JOINT, boxes=True), threads=1).folder(tmp_path)


def test_an_answer_of_another_size_is_refused() -> None:
    """A graph that crops where it should not is reported, not written into the image."""
    package = toy(DENOISER)
    model = onnx.load_model_from_string(package.graph_bytes)
    model.graph.node[0].CopyFrom(
        helper.make_node("MaxPool", ["noisy"], ["denoised"], kernel_shape=[2, 2])
    )
    cropping = Package(package.manifest, model.SerializeToString(), "")
    with pytest.raises(PackageError, match=r"shape \(1, 1, 3, 3\) instead of \(1, 1, 4, 4\)"):
        Predictor(cropping, threads=1)(noise(4, 4))


def test_numbers_that_are_not_finite_are_not_an_answer() -> None:
    """A damaged network is reported; its label would be a guess."""
    with pytest.raises(PackageError, match="not finite; its weights are damaged"):
        Predictor(toy(DENOISER, gain=float("nan")), threads=1)(noise(4, 4))
