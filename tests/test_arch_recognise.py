"""The shape of a network is found again from its layers."""

import numpy as np
import pytest

from tapetum.arch import ShapeSpace, find_architecture, shape_of


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("num_classes", [None, 4])
def test_the_shape_of_a_drawn_network_is_found(num_classes: int | None, boxes: bool) -> None:
    """It makes the same layers; numbers without effect may differ."""
    space = ShapeSpace(
        width_step=8, size_px=64, image_channels=3, num_classes=num_classes, boxes=boxes
    )
    generator = np.random.default_rng(0)
    shapes = [
        space.plain(),
        space.plain("mbconv"),
        space.mobile(),
        space.rule(3e7),
        space.smallest(),
    ]
    for shape in [*shapes, *(space.draw(generator) for _ in range(60))]:
        network = space.architecture(shape, "mine")
        found = shape_of(network)
        assert found is not None
        assert space.architecture(found, "mine") == network


@pytest.mark.parametrize("name", ["mb1-s", "dc-net-reduced-sequential"])
def test_a_network_that_is_no_shape_has_none(name: str) -> None:
    """Classifiers, and networks whose levels differ in kind."""
    assert shape_of(find_architecture(name, channels=3, num_classes=4)) is None
