"""Shapes that differ from a given one in a single respect.

A race of these tells what the images of a folder need: a level more or less, fewer blocks, another
way to change the size. A drawn shape differs in many respects at once.
"""

from tapetum.arch.shape import Shape
from tapetum.arch.shapes import ShapeSpace
from tapetum.arch.steps import Step, stepped

__all__ = ["relatives"]


def relatives(space: ShapeSpace, shape: Shape) -> dict[str, Shape]:
    """Return shapes of a space that differ from one in a single respect, and what that is.

    Their latencies differ; they are meant to be scaled to that of the shape.
    """
    found = {
        "one-level-less": stepped(space, shape, [Step("levels", -1)]),
        "strided-convolutions": space.changed(shape, down="strided_conv"),
        "one-level-more": stepped(space, shape, [Step("levels", 1)]),
        "fewer-blocks": _flatter(space, shape),
        "concatenation": space.changed(shape, join="concatenate"),
        "plain-convolutions": space.changed(shape, operator="conv"),
    }
    return {name: one for name, one in found.items() if one not in (None, shape)}


def _flatter(space: ShapeSpace, shape: Shape) -> Shape:
    """Return a shape with a block less in each place."""
    fewer = {
        name: [max(0, depth - 1) for depth in getattr(shape, name)]
        for name in ("encoder_depths", "decoder_depths")
    }
    return space.changed(shape, **fewer)
