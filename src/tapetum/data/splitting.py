"""A split that does not move: the side of an image depends on its own name alone.

An image validates if a hash of the seed and its group falls below the fraction.  The group of an
image is its relative path, or what ``--group-by`` says.  So other images may come and go without
moving it.

There is one exception.  Where a class would have no image on one side, the group that is nearest to
that side goes there.  It goes back once other images of the class lie there.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tapetum.data.layout import ImageFile, quoted

__all__ = ["Sides", "draw", "stable_split"]


class Sides(NamedTuple):
    """The side of each image, and notes on what could not be kept.

    Attributes:
        validates: Whether an image validates, in the order of the images.
        notes: Sentences without a full stop.
    """

    validates: tuple[bool, ...]
    notes: tuple[str, ...]


def stable_split(images: Sequence[ImageFile], *, fraction: float, seed: int) -> Sides:
    """Split images into training and validation.

    Args:
        images: Images with their group.
        fraction: Share that validates, more than 0 and below 1.
        seed: Seed of the hash.
    """
    draws = {one.group: draw(seed, one.group) for one in images}
    validates = {group: value < fraction for group, value in draws.items()}
    classes: dict[str | None, set[str]] = {}
    for one in images:
        classes.setdefault(one.class_name, set()).add(one.group)
    lone = []
    for name, groups in sorted(classes.items(), key=lambda item: item[0] or ""):
        if len(groups) == 1:
            validates[next(iter(groups))] = False
            lone.append(name or "the folder")
            continue
        _ensure(groups, validates, draws.__getitem__, side=True)
        _ensure(groups, validates, lambda group: -draws[group], side=False)
    notes = (f"one group alone cannot be split, so all of {quoted(lone)} trains",) if lone else ()
    return Sides(tuple(validates[one.group] for one in images), notes)


def draw(seed: int, group: str) -> float:
    """Return a number in [0, 1) that depends on seed and group alone."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _ensure(
    groups: set[str], validates: dict[str, bool], order: Callable[[str], float], *, side: bool
) -> None:
    """Move the first group to a side that has none."""
    if all(validates[group] is not side for group in groups):
        validates[min(groups, key=order)] = side
