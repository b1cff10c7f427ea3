"""Laws of the families: what a number changes, and what it refuses."""

import pytest

from tapetum.arch import find_architecture
from tapetum.arch.cost import multiply_adds
from tapetum.arch.families import integrated, sequential, unet
from tapetum.arch.spec import Architecture, Conv, InvertedResidual, level_channels
from tapetum.errors import ArchitectureError


def plain(**numbers: int) -> Architecture:
    """A UNet with some numbers of the baseline replaced."""
    return unet("test", **{"base_width": 8, "depth": 4, "multiplier": 2, "convs": 2} | numbers)


@pytest.mark.parametrize("number", ["base_width", "multiplier", "convs"])
def test_more_of_any_number_costs_more(number: str) -> None:
    """Every number of the UNet scales its cost upwards."""
    smaller, larger = (multiply_adds(plain(**{number: value}), 96, 96) for value in (1, 3))
    assert smaller < larger


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_each_level_but_the_first_halves_the_image(depth: int) -> None:
    """A depth of d gives d levels and a stride of 2 ** (d - 1)."""
    architecture = plain(depth=depth)
    assert len(level_channels(architecture)) == depth
    assert architecture.stride_px == 2 ** (depth - 1)


def test_an_expansion_replaces_all_but_the_first_convolution() -> None:
    """The MBConv UNet keeps one plain convolution, on the image itself."""
    architecture = find_architecture("unet-s-mb")
    blocks = [block for level in architecture.encoder for block in level.blocks]
    assert sum(isinstance(block, Conv) for block in blocks) == 1
    assert sum(isinstance(block, InvertedResidual) for block in blocks) == 7


def test_numbers_that_make_no_network_are_refused() -> None:
    """A depth of nothing gives a sentence."""
    with pytest.raises(ArchitectureError, match="is not possible"):
        plain(depth=0)
    for numbers in ({"channels": 0}, {"num_classes": 1, "boxes": False}):
        with pytest.raises(ArchitectureError, match="these numbers make no network"):
            find_architecture("mb2.5-m", **numbers)


def test_parts_that_do_not_join_are_refused() -> None:
    """Joining needs a denoiser, and a classifier of images."""
    with pytest.raises(ArchitectureError, match="mb1-s is a classifier"):
        integrated(find_architecture("mb1-s"), "test")
    with pytest.raises(ArchitectureError, match="unet-s is a denoiser"):
        sequential(find_architecture("unet-s"), find_architecture("unet-s"), "test")
