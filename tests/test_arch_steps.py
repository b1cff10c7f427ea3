"""Laws of the steps between shapes: each changes one number, back and forth, within the space."""

from itertools import pairwise

import numpy as np
import pytest

from tapetum.arch import Shape, ShapeSpace
from tapetum.arch.steps import Step, stepped, steps_from
from test_arch_shapes import drawn, space


@pytest.mark.parametrize("shape", drawn(space(), 12), ids=lambda shape: shape.operator)
def test_every_step_stays_in_the_space_and_leads_back(shape: Shape) -> None:
    """Its network is valid, its widths lie on the grid, and the opposite step undoes it."""
    given = space()
    for step, other in steps_from(given, shape).items():
        assert given.architecture(other).denoises
        assert other == given.changed(other)
        assert other != shape
        if step.number not in ("levels", "branch_depth"):
            assert stepped(given, other, [step._replace(by=-step.by)]) in (shape, None)


def test_one_number_changes_with_each_step() -> None:
    """A width by one step of the grid, a depth by one block, and so on."""
    given = space(size_px=256)
    shape = given.rule(720e6)
    steps = steps_from(given, shape)
    assert steps[Step("widths", 1, 4)].widths[4] == shape.widths[4] + 16
    assert steps[Step("encoder_depths", -1, 1)].encoder_depths == (1, 1, 2, 2, 1)
    assert steps[Step("decoder_depths", 1, 3)].decoder_depths == (1, 2, 2, 2)
    assert steps[Step("branch_depth", 1)].branch.widths == (shape.widths[-1],)
    assert steps[Step("details", 1)].detail_channels == 16
    assert steps[Step("levels", -1)].widths == shape.widths[:-1]
    assert not {step.number for step in steps} & {"expansion", "branch_width"}


def test_steps_end_where_the_space_ends() -> None:
    """Nothing below the smallest shape, no level that the image is too small for."""
    given = space(size_px=16)
    smallest = steps_from(given, given.smallest())
    assert all(step.by == 1 for step in smallest)
    deepest = given.rule(45e6)
    assert len(deepest.widths) == given.levels("half")
    assert Step("levels", 1) not in steps_from(given, deepest)


def test_a_level_never_becomes_narrower_than_the_one_before() -> None:
    """Unless one is already."""
    given = space(size_px=256)
    flat = given.changed(given.rule(720e6), widths=(16, 32, 32, 64, 64))
    assert Step("widths", -1, 2) not in steps_from(given, flat)
    narrowing = given.changed(flat, widths=(32, 16, 32, 64, 64))
    assert Step("widths", -1, 2) in steps_from(given, narrowing)


def test_steps_of_boxes_leave_the_branch_alone() -> None:
    """It has no effect there."""
    given = ShapeSpace(width_step=8, size_px=64, image_channels=1, num_classes=5, boxes=True)
    steps = steps_from(given, given.draw(np.random.default_rng(0)))
    assert not [step for step in steps if step.number.startswith("branch")]


def test_several_steps_are_taken_one_after_the_other() -> None:
    """One level wider, another narrower, a block more."""
    given = space(size_px=256)
    shape = given.rule(720e6)
    taken = [Step("widths", 1, 4), Step("widths", -1, 3), Step("encoder_depths", 1, 0)]
    reached = stepped(given, shape, taken)
    assert reached is not None
    for before, after in pairwise([shape, *(stepped(given, shape, taken[:n]) for n in (1, 2, 3))]):
        assert before != after
    assert reached == stepped(given, shape, taken[::-1])
