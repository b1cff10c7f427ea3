"""Laws of the cost: it equals torch's own counter, and the reach bounds what a pixel changes."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tapetum.arch import Architecture, architecture_names, find_architecture
from tapetum.arch.cost import bytes_per_pixel, layer_costs, multiply_adds, parameters, reach_px
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
