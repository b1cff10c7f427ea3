"""The images of a folder that train and those that validate."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tapetum.data.contents import Contents
from tapetum.data.layout import ImageFile, Layout, examples, quoted
from tapetum.data.splitlist import SplitList, paths_of
from tapetum.data.splitting import stable_split
from tapetum.errors import DataError
from tapetum.images import display_name

__all__ = ["Sides", "divide", "drawn_sides"]


class Sides(NamedTuple):
    """The images of both parts, where that comes from in a few words, and notes on it."""

    train: list[ImageFile]
    validation: list[ImageFile]
    how: str
    notes: tuple[str, ...] = ()


def divide(
    contents: Contents,
    seed: int,
    val_fraction: float,
    *,
    listed: SplitList | None,
    score_all: bool,
) -> Sides:
    """Return the images that train and those that validate.

    Raises:
        DataError: A side, or a class of the training side, has no image.
    """
    if score_all:
        images = contents.images
        notes = (*_trained_on(contents, listed), *_missing(contents.layout, images))
        return Sides([], images, "all of them", notes)
    if listed is not None:
        paths = paths_of(contents.images, contents.layout)
        chosen, notes = listed.choose(paths, contents.seen)
        validation = [one for one in contents.images if one.path in chosen]
        trained = {file.path for file in listed.train}
        train = [one for one in contents.images if paths[one.path] in trained]
        if not validation:
            raise DataError(
                f"{contents.layout.root} has no image that may validate: each of them was trained "
                "on, or is new",
                "score another folder, or all images with --part all",
            )
        notes += _missing(contents.layout, validation)
        return Sides(train, validation, "as in the training", notes)
    sides = drawn_sides(contents, seed, val_fraction)
    if not contents.ask.class_names:
        _require_both(contents, sides)
    return sides


def _trained_on(contents: Contents, listed: SplitList | None) -> tuple[str, ...]:
    """Return a note on the images that are scored though they were trained on."""
    trained = set() if listed is None else {file.digest for file in listed.train}
    number = len({one.path for one in contents.images if contents.seen[one.path].digest in trained})
    return (f"{number:,} of these files were trained on, so scores are too good",) * bool(number)


def drawn_sides(contents: Contents, seed: int, val_fraction: float) -> Sides:
    """Return the sides as the folder has them, or else as the seed draws them."""
    if contents.val is not None:
        return Sides(contents.train, contents.val, "as given")
    drawn = stable_split(contents.train, fraction=val_fraction, seed=seed)
    train = [
        one for one, validates in zip(contents.train, drawn.validates, strict=True) if not validates
    ]
    val = [one for one, validates in zip(contents.train, drawn.validates, strict=True) if validates]
    return Sides(train, val, f"chosen with seed {seed}", drawn.notes)


def _missing(layout: Layout, images: Sequence[ImageFile]) -> tuple[str, ...]:
    """Return a note on the classes that have no image to score."""
    missing = set(layout.class_names) - {one.class_name for one in images}
    if not missing or len(missing) == len(layout.class_names):
        return ()
    return (f"no image is of the class {quoted(map(str, missing))}, so scores are of the others",)


def _require_both(contents: Contents, sides: Sides) -> None:
    """Refuse a training without images on a side, or without images of a class."""
    shown, left_out = display_name(contents.layout.root), examples(contents.left_out)
    counts = Counter(one.class_name for one in sides.train)
    poor = [name for name in contents.layout.class_names if not counts[name]]
    if poor:
        raise DataError(
            f"{shown} has no readable image for training of the class {quoted(poor)}{left_out}",
            "add images or remove empty class folders",
        )
    for images, purpose in ((sides.train, "training"), (sides.validation, "validation")):
        if not images:
            raise DataError(
                f"{shown} has no image for {purpose}: of {len(contents.images):,} readable "
                f"image(s) no class has two{left_out}"
                if contents.val is None
                else f"{shown} has no readable image for {purpose}{left_out}",
                "add images",
            )
