"""Single steps from a shape to others, which are combined to reach a latency.

A level that is one step of the grid wider can take a fifth more time, and a narrower one elsewhere
takes a part of it back. So steps go both ways, and several of them together come near to almost any
latency.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from tapetum.arch.shape import Shape
from tapetum.arch.shapes import ShapeSpace

__all__ = ["Step", "stepped", "steps_from"]

Number = Literal[
    "widths",
    "encoder_depths",
    "decoder_depths",
    "expansion",
    "branch_width",
    "branch_depth",
    "details",
    "levels",
]
PER_LEVEL: tuple[Number, ...] = ("widths", "encoder_depths", "decoder_depths")
# Levels come last, so that the index of a level still holds when another step is taken.
OTHERS: tuple[Number, ...] = ("expansion", "branch_width", "branch_depth", "details", "levels")
MOST_EXPANSION, MOST_BRANCH_DEPTH = 6, 2


class Step(NamedTuple):
    """One number of a shape, one step up (1) or down (-1).

    ``branch_width`` is that of all blocks of the branch, ``details`` the map at full resolution,
    and ``levels`` adds or removes the deepest level.
    """

    number: Number
    by: Literal[-1, 1]
    level: int = 0


def steps_from(space: ShapeSpace, shape: Shape) -> dict[Step, Shape]:
    """Return every step that leads to another shape of the space, with that shape."""
    known = [
        *(
            Step(n, by, i)
            for n in PER_LEVEL
            for i in range(len(getattr(shape, n)))
            for by in (-1, 1)
        ),
        *(Step(n, by) for n in OTHERS for by in (-1, 1)),
    ]
    found = {step: stepped(space, shape, [step]) for step in known}
    return {step: one for step, one in found.items() if one not in (None, shape)}


def stepped(space: ShapeSpace, shape: Shape, steps: Iterable[Step]) -> Shape | None:
    """Return the shape after some steps, in the order of :func:`steps_from`; None for no shape.

    No level becomes narrower than the one before, unless one is already.
    """
    reached = shape
    for step in steps:
        changes = _changes(space, reached, step)
        if changes is None:
            return None
        reached = space.changed(reached, **changes)
    return reached if _widens(reached) or not _widens(shape) else None


def _changes(space: ShapeSpace, shape: Shape, step: Step) -> dict[str, object] | None:
    """Return the fields that a step changes; None where it leads out of the space."""
    number, by, level = step
    if number in PER_LEVEL:
        values = list(getattr(shape, number))
        values[level] += by * (space.width_step if number == "widths" else 1)
        most = space.most_width if number == "widths" else space.most_depth
        least = space.width_step if number == "widths" else 0
        return {number: values} if least <= values[level] <= most else None
    if number == "expansion":
        fits = shape.operator in ("fused", "mbconv") and 1 <= shape.expansion + by <= MOST_EXPANSION
        return {"expansion": shape.expansion + by} if fits else None
    if number == "details":
        is_new = (by == 1) == (shape.detail_channels is None) and shape.stem == "half"
        return {"detail_channels": space.detail_channels if by == 1 else None} if is_new else None
    if number == "levels":
        return _with_levels(space, shape, by)
    return _with_branch(space, shape, number, by)


def _with_levels(space: ShapeSpace, shape: Shape, by: int) -> dict[str, object] | None:
    """Return the changes that add a level, as wide as the deepest, or remove the deepest."""
    lists = {number: getattr(shape, number) for number in PER_LEVEL}
    if not 1 <= len(shape.widths) + by <= space.levels(shape.stem):
        return None
    if by == -1:
        return {number: values[:-1] for number, values in lists.items()}
    new = {"widths": shape.widths[-1], "encoder_depths": 1, "decoder_depths": 1}
    return {number: (*values, new[number]) for number, values in lists.items()}


def _with_branch(
    space: ShapeSpace, shape: Shape, number: Number, by: int
) -> dict[str, object] | None:
    """Return the changes that make the branch wider or narrower, or deeper or flatter."""
    widths = shape.branch.widths
    if number == "branch_width":
        widths = tuple(width + by * space.width_step for width in widths)
    elif by == 1:
        widths = (*widths, widths[-1] if widths else shape.widths[-1])
    else:
        widths = widths[:-1]
    if len(widths) > MOST_BRANCH_DEPTH or any(width < space.width_step for width in widths):
        return None
    return {"branch": shape.branch.model_copy(update={"widths": widths})}


def _widens(shape: Shape) -> bool:
    """Return whether no level is narrower than the one before."""
    return list(shape.widths) == sorted(shape.widths)
