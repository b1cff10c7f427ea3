"""Laws of the shapes that resemble a given one."""

import pytest

from tapetum.arch import ShapeSpace, relatives

LEVELS = {"widths", "encoder_depths", "decoder_depths"}
FIELDS = {
    "one-level-less": LEVELS,
    "strided-convolutions": {"down"},
    "one-level-more": LEVELS,
    "fewer-blocks": {"encoder_depths", "decoder_depths"},
    "concatenation": {"join", "decoder_depths"},
    "plain-convolutions": {"operator"},
}


@pytest.mark.parametrize("size_px", [16, 28, 64, 128])
@pytest.mark.parametrize("multiply_adds_a_pixel", [3e3, 3e4])
def test_a_relative_differs_in_the_respect_that_its_name_says(
    size_px: int, multiply_adds_a_pixel: float
) -> None:
    """Every other number stays."""
    space = ShapeSpace(width_step=16, size_px=size_px, image_channels=1, num_classes=3)
    shape = space.rule(multiply_adds_a_pixel * size_px**2)
    found = relatives(space, shape)
    for name, one in found.items():
        known, given = one.model_dump(), shape.model_dump()
        assert {field for field in known if known[field] != given[field]} <= FIELDS[name]
        assert one != shape
    more = {name: len(one.widths) - len(shape.widths) for name, one in found.items()}
    assert (more["one-level-less"], more.get("one-level-more", 1)) == (-1, 1)
    assert ("one-level-more" in found) == (len(shape.widths) < space.levels("half"))
