"""A split that does not move: the side of an image depends on its own name alone.

An image validates if a hash of the seed and its group falls below the fraction.  The group of an
image is its relative path, or what ``--group-by`` says.  So other images may come and go without
moving it.

There is one exception.  Where a class would have no image on one side, the group that is nearest to
that side goes there.  It goes back once other images of the class lie there.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from tapetum.data.layout import ImageFile, quoted

__all__ = ["Sides", "draw", "group_of", "stable_split", "validating_groups"]


class Sides(NamedTuple):
    """The images of both parts, where that comes from in a few words, and notes on it."""

    train: list[ImageFile]
    validation: list[ImageFile]
    how: str
    notes: tuple[str, ...] = ()


def group_of(key: str, folder: str, group_by: str | None) -> str:
    """Return the group of an image: its folder, what matches in its path, or the path itself.

    The path is the default, so that frames and boxes of a file stay together.
    """
    if group_by == "folder":
        return f"{folder}/" if folder else key
    match = None if group_by is None else re.search(group_by, key)
    if match is None:
        return key
    return match[1] if match.re.groups and match[1] is not None else match[0]


def stable_split(images: Sequence[ImageFile], *, fraction: float, seed: int) -> Sides:
    """Split images by their groups; the fraction, between 0 and 1, validates."""
    found = ((one.group, one.class_name) for one in images)
    validates, lone = validating_groups(found, fraction=fraction, draw=partial(draw, seed))
    notes = (f"one group alone cannot be split, so all of {quoted(lone)} trains",) if lone else ()
    train = [one for one in images if not validates[one.group]]
    validation = [one for one in images if validates[one.group]]
    return Sides(train, validation, f"chosen with seed {seed}", notes)


def validating_groups(
    images: Iterable[tuple[str, str | None]], *, fraction: float, draw: Callable[[str], float]
) -> tuple[dict[str, bool], list[str]]:
    """Return whether each group validates, and the classes with one group alone, which trains."""
    classes: dict[str | None, set[str]] = {}
    for group, class_name in images:
        classes.setdefault(class_name, set()).add(group)
    draws = {group: draw(group) for groups in classes.values() for group in groups}
    validates = {group: value < fraction for group, value in draws.items()}
    lone = []
    for name, groups in sorted(classes.items(), key=lambda item: item[0] or ""):
        if len(groups) == 1:
            validates[next(iter(groups))] = False
            lone.append(name or "the folder")
            continue
        _ensure(groups, validates, draws.__getitem__, side=True)
        _ensure(groups, validates, lambda group: -draws[group], side=False)
    return validates, lone


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
