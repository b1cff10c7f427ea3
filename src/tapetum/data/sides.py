"""The images of a folder that train and those that validate."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tapetum.data.contents import Contents
from tapetum.data.layout import ImageFile, Layout, examples, quoted
from tapetum.data.splitlist import SplitList, digest_of, list_split
from tapetum.data.splitting import Sides, stable_split
from tapetum.errors import DataError
from tapetum.images import display_name
from tapetum.runtime import Split

__all__ = ["count_trained", "divide", "drawn_sides", "listed_by_rule"]


def divide(
    contents: Contents,
    seed: int,
    val_fraction: float,
    *,
    listed: SplitList | None,
    score_all: bool,
) -> Sides:
    """Return the images that train and those that validate."""
    layout = contents.layout
    if score_all:
        images = list(layout.images)
        return Sides([], images, "all of them", _missing(layout, images))
    if listed is None:
        sides = drawn_sides(layout, seed, val_fraction)
        if not contents.ask.class_names:
            _require_both(layout, sides, has_groups=contents.ask.group_by is not None)
        return sides
    sides = listed.divide(contents)
    if not sides.validation:
        raise DataError(
            f"{layout.root} has no image that may validate: each of them was trained on, or is new",
            "score another folder, or all images with --part all",
        )
    return sides._replace(notes=(*sides.notes, *_missing(layout, sides.validation)))


def drawn_sides(layout: Layout, seed: int, val_fraction: float) -> Sides:
    """Return the sides as the folder has them, or else as the seed draws them."""
    if layout.val is not None:
        return Sides(list(layout.train), list(layout.val), "as given")
    return stable_split(layout.train, fraction=val_fraction, seed=seed)


def listed_by_rule(contents: Contents, val_fraction: float, like: Split) -> SplitList | None:
    """Return the files of a training by its rule; None where the folder is not exactly the same."""
    lists = list_split(contents, drawn_sides(contents.layout, like.seed, val_fraction), like.seed)
    return lists if digest_of(lists) == like.files_sha256 else None


def count_trained(contents: Contents, images: Sequence[ImageFile], listed: SplitList) -> int:
    """Return how many images were trained on, by their content, whatever their names are now.

    A validation file that equals a training file is a duplicate, of which a summary tells.
    """
    names = {(file.path, file.digest) for file in listed.train}
    digests = {file.digest for file in listed.train} - {file.digest for file in listed.validation}

    def trained(path: Path) -> bool:
        digest = contents.seen[path].digest
        return digest in digests or (contents.layout.key(path), digest) in names

    return sum(any(map(trained, one.files)) for one in images)


def _missing(layout: Layout, images: Sequence[ImageFile]) -> tuple[str, ...]:
    """Return a note on the classes that have no image to score."""
    missing = set(layout.class_names) - {one.class_name for one in images}
    if not missing or len(missing) == len(layout.class_names):
        return ()
    return (f"no image is of the class {quoted(map(str, missing))}, so scores are of the others",)


def _require_both(layout: Layout, sides: Sides, *, has_groups: bool) -> None:
    """Refuse a training without images on a side, or without images of a class."""
    shown, left_out = display_name(layout.root), examples(layout.left_out)
    counts = Counter(one.class_name for one in sides.train)
    poor = [name for name in layout.class_names if not counts[name]]
    if poor:
        raise DataError(
            f"{shown} has no readable image for training of the class {quoted(poor)}{left_out}",
            "add images or remove empty class folders",
        )
    none_left = "all are of one group" if has_groups else "none is left for it"
    no_two = f"no class has two {'groups' if has_groups else 'files'}"
    why = no_two if layout.class_names else none_left
    few = f"of {len(layout.images):,} readable image(s) {why}{left_out}"
    remedy = "add images of other groups, or change --group-by" if has_groups else "add images"
    for images, purpose in ((sides.train, "training"), (sides.validation, "validation")):
        if not images and layout.val is None:
            raise DataError(f"{shown} has no image for {purpose}: {few}", remedy)
        if not images:
            raise DataError(f"{shown} has no readable image for {purpose}{left_out}", "add images")
