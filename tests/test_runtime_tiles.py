"""Tiles: the plan covers the image within its limits, and the pieces equal the whole."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from drawn_shapes import joint
from tapetum.arch.spec import (
    Architecture,
    Conv,
    Decoder,
    DecoderLevel,
    FusedInvertedResidual,
    InvertedResidual,
    Level,
    TransposedConv,
)
from tapetum.arch.zoo import find_architecture
from tapetum.errors import InputError
from tapetum.graph import random_weights, write_graph
from tapetum.runtime.session import GraphSession, keep_outputs
from tapetum.runtime.tiles import Limits, Window, copy_core, halo_px, plan_runs, plan_tiles

SIZES = [(64, 64), (331, 457), (40, 3000), (3001, 33), (127, 1), (801, 799)]
# The radii of the convolutions below: 1 + 1 + 2 places of 2 px + 1 + 1, the fourth because a coarse
# place fills a cell of 2 px.
PYRAMID_REACH_PX = 8


def pyramid() -> bytes:
    """A small encoder and decoder with a skip, for even sizes, of known reach."""
    generator = np.random.default_rng(0)
    shapes = {"a": (2, 1, 3, 3), "b": (4, 2, 3, 3), "c": (4, 4, 5, 5), "d": (4, 2, 2, 2)}
    shapes["e"] = (1, 4, 3, 3)
    weights = [
        onnx.numpy_helper.from_array(generator.normal(0, 0.5, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["noisy", "a"], ["fine"], pads=[1] * 4),
        helper.make_node("Conv", ["fine", "b"], ["low"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Conv", ["low", "c"], ["deep"], pads=[2] * 4),
        helper.make_node("Relu", ["deep"], ["bent"]),
        helper.make_node("ConvTranspose", ["bent", "d"], ["up"], strides=[2, 2]),
        helper.make_node("Concat", ["up", "fine"], ["both"], axis=1),
        helper.make_node("Conv", ["both", "e"], ["denoised"], pads=[1] * 4),
    ]
    border = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1, "h", "w"])
        for name in ("noisy", "denoised")
    ]
    graph = helper.make_graph(nodes, "pyramid", border[:1], border[1:], weights)
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


def run_tiled(
    session: GraphSession, pixels: NDArray[np.float32], limits: Limits
) -> NDArray[np.float32]:
    """What the network makes of an image (1, h, w), tile by tile."""
    whole = np.full_like(pixels, np.nan)
    for window, core in plan_tiles(*pixels.shape[1:], limits):
        answer = session.run(["denoised"], {"noisy": window.cut(pixels)[np.newaxis].copy()})[0]
        copy_core(whole, window, core, answer[0])
    return whole


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("limits", [Limits(16, 8, 64**2), Limits(0, 1, 50**2)], ids=str)
def test_cores_cover_the_image_once(size: tuple[int, int], limits: Limits) -> None:
    """Every pixel belongs to just one core."""
    counts = np.zeros(size, np.float32)
    for _, core in plan_tiles(*size, limits):
        core.cut(counts)[...] += 1
    assert (counts == 1).all()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_windows_keep_their_limits(size: tuple[int, int]) -> None:
    """A window begins at the stride, holds the halo as far as there is an image, and is small."""
    limits = Limits(halo_px=16, stride_px=8, max_pixels=64**2)
    height, width = size
    for window, core in plan_tiles(*size, limits):
        assert window.num_pixels <= limits.max_pixels
        assert window.left % 8 == window.top % 8 == 0
        assert (window.left, window.top) == (max(0, core.left - 16), max(0, core.top - 16))
        assert window.right == min(width, core.right + 16)
        assert window.bottom == min(height, core.bottom + 16)


def test_a_image_within_the_limit_is_one_tile() -> None:
    """What fits is not cut."""
    whole = Window(0, 0, 30, 20)
    assert plan_tiles(20, 30, Limits(64, 8, 600)) == [(whole, whole)]
    assert len(plan_tiles(20, 30, Limits(0, 8, 599))) == 2


def test_a_limit_without_room_says_how_much_is_needed() -> None:
    """The limit that the sentence asks for is just enough."""
    with pytest.raises(InputError, match="so that 1,600 pixels fit"):
        plan_tiles(1000, 1000, Limits(16, 8, 1599))
    assert plan_tiles(1000, 1000, Limits(16, 8, 1600))


@pytest.mark.parametrize("size", [(48, 62), (30, 202)], ids=str)
def test_tiles_equal_the_whole(size: tuple[int, int]) -> None:
    """With a halo as wide as the reach, the pieces are the untiled result up to rounding."""
    session = GraphSession(pyramid(), threads=1)
    pixels = np.random.default_rng(1).random((1, *size), dtype=np.float32)
    whole = session.run(["denoised"], {"noisy": pixels[np.newaxis]})[0][0]
    tiled = run_tiled(session, pixels, Limits(PYRAMID_REACH_PX, 2, 24**2))
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_a_halo_below_the_reach_shows() -> None:
    """The law above can fail: with half of the halo, seams are wider than 1/255."""
    session = GraphSession(pyramid(), threads=1)
    pixels = np.random.default_rng(1).random((1, 48, 62), dtype=np.float32)
    whole = session.run(["denoised"], {"noisy": pixels[np.newaxis]})[0][0]
    tiled = run_tiled(session, pixels, Limits(PYRAMID_REACH_PX // 2, 2, 24**2))
    assert np.abs(tiled - whole).max() > 1 / 255


@pytest.mark.parametrize("name", ["unet-s", "dc-net-reduced-integrated"])
def test_the_halo_holds_all_that_a_pixel_changes(name: str) -> None:
    """One changed pixel of the noisy image changes the denoised one within the halo only."""
    architecture = find_architecture(name)
    halo = halo_px(architecture)
    assert halo is not None
    assert halo % architecture.stride_px == 0
    model = write_graph(architecture, random_weights(architecture, seed=0))
    session = GraphSession(keep_outputs(model, ["denoised"]).SerializeToString(), threads=1)
    side, centre = 2 * halo + 64, halo + 29
    pixels = np.full((1, 1, side, side), 0.5, np.float32)
    feeds = {"noisy": pixels}
    before = session.run(["denoised"], feeds)[0]
    pixels[0, 0, centre, centre] = 1
    changed = np.argwhere(session.run(["denoised"], feeds)[0] != before)[:, 2:]
    assert len(changed) > 100
    assert np.abs(changed - centre).max() <= halo


@pytest.mark.parametrize("operator", ["residual_conv", "conv", "fused", "mbconv"])
@pytest.mark.parametrize(
    "joints",
    [
        {"stem": "half", "down": "strided_conv", "up": "pixel_shuffle", "join": "add"},
        {"stem": "full", "down": "max_pool", "up": "nearest_conv", "join": "concatenate"},
        {
            "stem": "half",
            "down": "max_pool",
            "up": "transposed_conv",
            "join": "add",
            "gated": False,
            "detail_channels": 5,
        },
    ],
    ids=str,
)
def test_tiles_of_every_block_and_joint_equal_the_whole(
    operator: str, joints: dict[str, object]
) -> None:
    """A large image is the same in pieces, with a halo of the reach that the layers have."""
    architecture = joint(
        operator=operator,
        widths=(4, 6, 8),
        encoder_depths=(1, 1, 1),
        decoder_depths=(1, 1),
        **joints,
    )
    halo = halo_px(architecture)
    assert halo is not None
    model = write_graph(architecture, random_weights(architecture, seed=0))
    session = GraphSession(keep_outputs(model, ["denoised"]).SerializeToString(), threads=1)
    pixels = np.random.default_rng(1).random((3, 2 * halo + 70, 3 * halo + 41), dtype=np.float32)
    whole = session.run(["denoised"], {"noisy": pixels[np.newaxis]})[0][0]
    limits = Limits(halo, architecture.stride_px, (2 * halo + 40) ** 2)
    assert len(plan_tiles(*pixels.shape[1:], limits)) > 3
    np.testing.assert_allclose(run_tiled(session, pixels, limits), whole, atol=1e-4)


def test_a_network_that_sees_all_places_has_no_halo() -> None:
    """Where a layer normalises over the whole image, or only it gets a label, there is none."""
    plain = Conv(in_channels=4, out_channels=4)
    up = TransposedConv(in_channels=4, out_channels=4)
    for block in (
        plain,
        Conv(in_channels=4, out_channels=4, norm="group"),
        InvertedResidual(in_channels=4, hidden_channels=4, out_channels=4, squeeze_channels=2),
        FusedInvertedResidual(in_channels=4, hidden_channels=4, out_channels=4, squeeze_channels=2),
    ):
        for first, last in ((block, plain), (plain, block)):
            denoiser = Architecture(
                name="test",
                image_channels=1,
                encoder=(Level(blocks=(Conv(in_channels=1, out_channels=4, stride_px=2),)),),
                decoder=Decoder(
                    blocks=(first,),
                    levels=(DecoderLevel(up=up, blocks=(last,)),),
                    output=Conv(in_channels=4, out_channels=1, norm="none"),
                ),
            )
            assert (halo_px(denoiser) is None) == (block is not plain)
    assert halo_px(find_architecture("mb2.5-s", boxes=False)) is None
    assert halo_px(find_architecture("mb2.5-s", boxes=True)) == 1


def test_every_box_is_named_once_and_seen_whole() -> None:
    """Each box belongs to one run, whose window holds it with its halo inside the image."""
    generator = np.random.default_rng(2)
    height, width, limits = 500, 700, Limits(16, 8, 150**2)
    corners = generator.uniform(0, (width - 60, height - 60), (40, 2))
    boxes = np.hstack([corners, corners + generator.uniform(5, 60, (40, 2))]).astype(np.float32)
    runs = plan_runs(height, width, boxes, limits, with_image=True)
    assert sorted(index for run in runs for index in run.boxes) == list(range(40))
    assert any(run.core is None for run in runs)
    for run in runs:
        for left, top, right, bottom in boxes[run.boxes].tolist():
            seen = [max(0, left - 16), max(0, top - 16), right + 16, bottom + 16]
            assert run.window.holds(np.minimum(seen, [width, height] * 2).astype(np.float32))
            assert run.window.left % 8 == run.window.top % 8 == 0


def test_tiles_without_boxes_are_left_out_where_only_labels_count() -> None:
    """Naming one box of a large image takes one run."""
    boxes = np.array([[5, 5, 20, 20]], np.float32)
    limits = Limits(16, 8, 100**2)
    assert len(plan_runs(500, 500, boxes, limits, with_image=False)) == 1
    assert len(plan_runs(500, 500, boxes, limits, with_image=True)) > 1


def test_a_box_above_the_limit_is_refused() -> None:
    """A box that cannot be seen whole within the limit is not cut in silence."""
    boxes = np.array([[0, 0, 400, 400]], np.float32)
    with pytest.raises(InputError, match=r"needs 173,056 pixels at once.*smaller boxes"):
        plan_runs(500, 500, boxes, Limits(16, 8, 100**2), with_image=True)
