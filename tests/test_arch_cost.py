"""Laws of the cost: it equals torch's own counter, and the reach bounds what a pixel changes."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from drawn_shapes import draw_architecture, joint
from tapetum.arch import Architecture, architecture_names, find_architecture
from tapetum.arch.cost import (
    block_costs,
    bytes_per_pixel,
    layer_costs,
    multiply_adds,
    parameters,
    reach_px,
)
from tapetum.arch.spec import Downsample, FusedInvertedResidual, ResidualConv
from tapetum.nn import build
from test_graph_writer import upsampling_by

SMALL = [
    name for name in architecture_names() if name != "unet-original"
]  # which takes seconds to run


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("name", SMALL)
def test_multiply_adds_are_half_of_torchs_operations(name: str, boxes: bool) -> None:
    """The description and the running network agree, odd sizes included."""
    architecture = find_architecture(name, channels=3, boxes=boxes)
    network = build(architecture, seed=0).eval()
    places = torch.tensor([[[1.0, 2.0, 29.0, 30.0], [5.0, 9.0, 33.0, 37.0]]])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 45, 61), places if architecture.classifies_boxes else None)
    assert counter.get_total_flops() == 2 * multiply_adds(architecture, 45, 61, num_boxes=2)


@pytest.mark.parametrize("name", SMALL)
def test_parameters_are_those_of_the_network(name: str) -> None:
    """The description knows how many numbers are trained."""
    architecture = find_architecture(name, channels=3, boxes=False)
    network = build(architecture, seed=0)
    assert parameters(architecture) == sum(weight.numel() for weight in network.parameters())


def test_the_layers_add_up() -> None:
    """The cost of a network is the sum of its layers, each named once."""
    architecture = find_architecture("dc-net-reduced-sequential")
    layers = layer_costs(architecture, 96, 96, num_boxes=2)
    assert sum(layer.multiply_adds for layer in layers) == multiply_adds(
        architecture, 96, 96, num_boxes=2
    )
    assert len({layer.path for layer in layers}) == len(layers)


@pytest.mark.parametrize("name", ["unet-s", "unet-s-mb"])
def test_a_pixel_changes_nothing_beyond_the_reach(name: str) -> None:
    """Changing one pixel leaves every pixel farther away than the reach exactly as it was."""
    architecture = find_architecture(name)
    reach = reach_px(architecture)
    assert reach / 2 < changed_px(architecture) <= reach


def changed_px(architecture: Architecture) -> int:
    """How far from a pixel the denoised image changes with it."""
    network = build(architecture, seed=0).eval()
    noisy = torch.zeros(1, 1, 256, 256)
    with torch.no_grad():
        before = network(noisy).image
        noisy[..., 128, 128] = 100
        changed = (network(noisy).image != before).nonzero()
    return int((changed[:, 2:] - 128).abs().amax())


def test_a_network_that_does_not_clean_has_no_reach() -> None:
    """Without a decoder no pixel changes another."""
    assert reach_px(find_architecture("mb1-s")) == 0


def test_memory_grows_with_the_width() -> None:
    """A wider network takes more bytes a pixel."""
    assert (
        4
        < bytes_per_pixel(find_architecture("unet-s"))
        < bytes_per_pixel(find_architecture("unet"))
    )


@pytest.mark.parametrize("kind", ["nearest_conv", "pixel_shuffle"])
def test_every_way_to_double_is_counted(kind: str) -> None:
    """Multiply-adds, weights and reach, as for the transposed convolution of the others."""
    architecture = upsampling_by(kind)
    network = build(architecture, seed=0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 45, 61))
    assert counter.get_total_flops() == 2 * multiply_adds(architecture, 45, 61)
    assert parameters(architecture) == sum(weight.numel() for weight in network.parameters())
    reach = reach_px(architecture)
    assert reach / 2 < changed_px(architecture) <= reach


@pytest.mark.parametrize("seed", range(25))
def test_the_cost_of_a_drawn_network_is_that_of_torch(seed: int) -> None:
    """Multiply-adds and weights, with any block, joint, gate and branch, odd sizes included."""
    architecture = draw_architecture(seed)
    network = build(architecture, seed=0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, architecture.image_channels, 45, 61))
    assert counter.get_total_flops() == 2 * multiply_adds(architecture, 45, 61)
    assert parameters(architecture) == sum(weight.numel() for weight in network.parameters())


def test_the_new_blocks_cost_what_a_count_by_hand_gives() -> None:
    """Multiply-adds, parameters and elements of each, for an input of 8 x 6."""
    sizes = {"in_channels": 3, "out_channels": 5}
    fused = FusedInvertedResidual(**sizes, hidden_channels=7, stride_px=2, squeeze_channels=2)
    costs = {
        ResidualConv(channels=3): [(9 * 3 * 3 * 48, 81 + 6, 3 * 48)],
        Downsample(**sizes, kernel_px=4, norm="none"): [(16 * 15 * 12, 240 + 5, 5 * 12)],
        fused: [
            (9 * 3 * 7 * 12, 189 + 14, 7 * 12),
            (14, 14 + 2, 2),
            (14, 14 + 7, 7),
            (35 * 12, 35 + 10, 5 * 12),
        ],
    }
    for block, expected in costs.items():
        assert [tuple(layer)[1:] for layer in block_costs(block, (8, 6), "")] == expected


@pytest.mark.parametrize("operator", ["residual_conv", "fused", "mbconv"])
@pytest.mark.parametrize("stem", ["half", "full"])
@pytest.mark.parametrize("down", ["strided_conv", "max_pool"])
@pytest.mark.parametrize("up", ["pixel_shuffle", "nearest_conv"])
def test_no_pixel_of_a_cell_changes_anything_beyond_the_reach(
    operator: str, stem: str, down: str, up: str
) -> None:
    """Even kernels and maxima reach farther to one side, which depends on the place in the cell."""
    details = {"detail_channels": 5} if stem == "half" and down == "max_pool" else {}
    architecture = joint(operator=operator, stem=stem, down=down, up=up, **details)
    network = build(architecture, seed=0).eval()
    noisy = torch.zeros(1, 3, 128, 128)
    farthest = 0
    with torch.no_grad():
        before = network(noisy).image
        for place in range(64, 64 + architecture.stride_px):
            noisy.zero_()[..., place, place] = 100
            changed = (network(noisy).image != before).nonzero()[:, 2:]
            farthest = max(farthest, int((changed - place).abs().amax()))
    assert reach_px(architecture) / 2 < farthest <= reach_px(architecture)


def test_a_gate_takes_memory_but_no_reach() -> None:
    """It is local, and the noisy image waits for it."""
    plain, gated = (joint(gated=gated) for gated in (False, True))
    assert reach_px(plain) == reach_px(gated)
    assert bytes_per_pixel(gated) >= bytes_per_pixel(plain) + 3 * 4
