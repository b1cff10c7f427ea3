"""Laws of the shapes: they describe valid networks, and the plain one of the paper among them."""

import pytest
from pydantic import ValidationError

from drawn_shapes import draw_architecture, draw_shape, joint
from tapetum.arch import Architecture, Branch, Shape, find_architecture
from tapetum.arch.spec import Conv, FusedInvertedResidual, level_channels, projection


def medium(branch: Branch) -> Shape:
    """Return the medium DC-Net of the paper as a shape, with a branch."""
    return Shape(
        widths=(16, 32, 64, 128),
        encoder_depths=(1, 1, 1, 1),
        decoder_depths=(2, 2, 2),
        operator="conv",
        stem="full",
        down="max_pool",
        up="transposed_conv",
        join="concatenate",
        gated=False,
        branch=branch,
    )


def test_the_network_of_the_paper_is_a_shape() -> None:
    """Full resolution, two convolutions a level, maxima, transposed and concatenated."""
    network = find_architecture("dc-net-medium-integrated", channels=3, num_classes=7, boxes=False)
    shape = medium(Branch(operator="mbconv", widths=(256, 512)))
    assert shape.architecture(network.name, image_channels=3, num_classes=7) == network


def test_the_network_of_the_paper_for_boxes_is_a_shape() -> None:
    """Its branch has no effect: boxes are read from the deepest level by one linear layer."""
    network = find_architecture("dc-net-medium-integrated", channels=1, num_classes=10, boxes=True)
    shape = medium(Branch(widths=(256,)))
    assert shape.architecture(network.name, image_channels=1, num_classes=10, boxes=True) == network


@pytest.mark.parametrize("seed", range(40))
def test_a_shape_gives_a_network_of_its_widths_and_stride(seed: int) -> None:
    """Levels, stride and kind follow from the numbers; JSON gives both back."""
    shape, network = draw_shape(seed), draw_architecture(seed)
    details = [] if shape.detail_channels is None else [shape.detail_channels]
    assert level_channels(network) == [*details, *shape.widths]
    assert network.stride_px == 2 ** (len(shape.widths) - (shape.stem == "full"))
    assert network.kind == ("denoiser" if network.num_classes is None else "integrated")
    assert Shape.from_json(shape.to_json(), source="memory") == shape
    assert Architecture.from_json(network.to_json(), source="memory") == network


def test_a_deeper_shape_has_more_blocks() -> None:
    """Depths count the blocks after a change of size, 0 included."""
    shallow = joint(encoder_depths=(0, 0), decoder_depths=(0,))
    deep = joint(encoder_depths=(2, 3), decoder_depths=(4,))
    blocks = [[len(level.blocks) for level in network.encoder] for network in (shallow, deep)]
    assert blocks == [[1, 1], [3, 4]]
    assert [len(level.blocks) for level in deep.decoder.levels] == [4, 0]
    assert [len(level.blocks) for level in shallow.decoder.levels] == [0, 0]


def test_a_narrow_expansion_keeps_a_channel() -> None:
    """No block is without channels inside."""
    block = joint(operator="fused", expansion=0.01).encoder[0].blocks[1]
    assert isinstance(block, FusedInvertedResidual)
    assert block.hidden_channels == 1


def test_only_a_full_stem_needs_an_output_layer() -> None:
    """At half resolution the last upsampling returns the image and its gate."""
    half, full = joint(stem="half").decoder, joint(stem="full").decoder
    assert half.output is None
    assert half.levels[-1].up.out_channels == 4
    assert full.output == projection(6, 4)


def test_details_are_added_before_the_output() -> None:
    """The half stem reads a map at full resolution, which joins the last upsampling."""
    shape = {"widths": (6, 8), "encoder_depths": (1, 1), "decoder_depths": (1,)}
    network = joint(**shape, detail_channels=12, join="concatenate")
    assert network.stride_px == joint(**shape).stride_px == 4
    assert network.encoder[0].blocks == (Conv(in_channels=3, out_channels=12),)
    assert [level.skip_level for level in network.decoder.levels] == [1, 0]
    last = network.decoder.levels[-1]
    assert (last.up.out_channels, last.join, last.blocks) == (12, "add", ())
    assert network.decoder.output == projection(12, 4)


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        ({"stem": "full", "detail_channels": 12}, "detail_channels belong to the half stem"),
        ({"encoder_depths": (1,)}, "2 levels need 2 encoder depths and 1 decoder depths"),
        ({"squeezes": True}, "a residual_conv block has no squeeze-and-excitation"),
    ],
)
def test_contradictions_are_refused(numbers: dict[str, object], fault: str) -> None:
    """Each in one sentence."""
    with pytest.raises(ValidationError, match=fault):
        joint(**numbers)
