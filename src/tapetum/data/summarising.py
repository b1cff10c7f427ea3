"""Summarise a folder: count its images, sizes, colours and duplicates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median_low
from typing import Literal

from tapetum.data import summary
from tapetum.data.contents import Contents
from tapetum.data.layout import ImageFile, Layout, quoted
from tapetum.data.splitting import Sides
from tapetum.data.summary import FolderSummary, number_of_classes
from tapetum.data.survey import Surveyed, ValueRange, look
from tapetum.images import display_name

__all__ = ["summarise", "used_files"]

_DEEP_BITS = 16
_UNEVEN = 3.0  # ratio of the largest to the smallest class from which a dataset is uneven


def summarise(contents: Contents, sides: Sides, *, all_decoded: bool = True) -> FolderSummary:
    """Return the summary of a folder that is divided into two sides.

    ``all_decoded`` says whether the files that cannot be decoded are left out.
    """
    layout, seen = contents.layout, contents.seen
    images = [*sides.train, *sides.validation]
    files = {one.path: seen[one.path] for one in images}
    every = dict.fromkeys(path for one in images for path in one.files)  # in a fixed order
    facts = [seen[file].facts for file in every]
    values = look(layout.images, seen, contents.white)
    colours: Counter[str] = Counter("RGB" if one.mode == "rgb" else "grey" for one in facts)
    is_grey = colours["RGB"] > 0 and values.num_images > 0 and not values.has_colour
    colours += Counter({"transparent": sum(one.has_alpha for one in facts)})
    train = _part(sides.train, layout)
    return FolderSummary(
        folder=display_name(layout.root),
        layout=_layout(layout),
        notes=(
            *layout.notes,
            *sides.notes,
            *(("files in RGB show grey images",) if is_grey else ()),
            *_damaged(layout, values.damaged),
        ),
        split=sides.how,
        train=train,
        validation=_part(sides.validation, layout),
        sizes=_sizes(list(files.values())),
        size_px=contents.size.size_px,
        size_rule=contents.size.rule,
        odd=_smaller(layout, files, contents.size.size_px),
        colours=dict(colours),
        bit_depths=dict(Counter(one.bit_depth for one in facts)),
        ranges=_ranges(values.ranges, contents.brightest),
        num_looked=values.num_images,
        formats=dict(Counter(one.format for one in facts)),
        num_files=len(every),
        num_pairs=sum(one.noisy_path is not None for one in images),
        left_out=tuple(
            summary.NotUsed(_inside(path, layout.root), reason) for path, reason in layout.left_out
        ),
        duplicates=_duplicates(contents, sides),
        conflicts=_conflicts(contents),
        all_decoded=all_decoded,
        imbalance=_imbalance(train.classes),
        problems=layout.problems,
    )


def _ranges(looked: Mapping[int, ValueRange], brightest: float | None) -> dict[int, ValueRange]:
    """Return the values in use; those of 16 bits up to the largest of all files, if it is known."""
    ranges = dict(looked)
    if brightest is not None and _DEEP_BITS in ranges:
        lowest, highest = ranges[_DEEP_BITS]
        ranges[_DEEP_BITS] = ValueRange(lowest, max(highest, brightest))
    return ranges


def _layout(layout: Layout) -> str:
    kinds = []
    if layout.is_paired:
        kinds.append("pairs of noisy and clean images")
    if layout.class_names:
        kinds.append(number_of_classes(layout.class_names))
    elif not layout.is_paired:
        kinds.append("images without labels")
    parts = "a training and a validation part" if layout.val is not None else "no parts"
    return f"{' of '.join(kinds)}, {parts}"


def _part(images: Sequence[ImageFile], layout: Layout) -> summary.PartSummary:
    counts = Counter(one.class_name for one in images)
    return summary.PartSummary(
        num_images=len(images), classes={name: counts[name] for name in layout.class_names}
    )


def _sizes(files: Sequence[Surveyed]) -> summary.Sizes:
    ordered = sorted(files, key=lambda one: (one.shorter_side_px, one.facts.width_px))
    sides = [one.shorter_side_px for one in ordered]

    def size(one: Surveyed) -> tuple[int, int]:
        return one.facts.width_px, one.facts.height_px

    return summary.Sizes(
        smallest=size(ordered[0]),
        median=size(ordered[sides.index(median_low(sides))]),
        largest=size(ordered[-1]),
        tenth_px=sides[int(0.1 * len(sides))],
    )


def _smaller(layout: Layout, files: Mapping[Path, Surveyed], size_px: int) -> tuple[str, ...]:
    """Return the files that are smaller than the training size, with their size."""
    small = {file: one for file, one in files.items() if one.shorter_side_px < size_px}
    return tuple(sorted(f"{layout.key(file)} ({one.size})" for file, one in small.items()))


def _duplicates(contents: Contents, sides: Sides) -> tuple[summary.Duplicate, ...]:
    key, seen = contents.layout.key, contents.seen
    trained = {seen[one.path].digest: one.path for one in sides.train}
    paths = sorted({one.path for one in sides.validation if seen[one.path].digest in trained})
    return tuple(summary.Duplicate(key(trained[seen[path].digest]), key(path)) for path in paths)


def _conflicts(contents: Contents) -> tuple[tuple[str, ...], ...]:
    """Return the files of equal content whose classes differ, each group in order."""
    layout = contents.layout
    classes: dict[str, dict[Path, str | None]] = {}
    for one in layout.images:
        if one.box is None:
            classes.setdefault(contents.seen[one.path].digest, {})[one.path] = one.class_name
    groups = (group for group in classes.values() if len(set(group.values())) > 1)
    return tuple(sorted(tuple(sorted(map(layout.key, group))) for group in groups))


def _damaged(layout: Layout, damaged: Sequence[Path]) -> tuple[str, ...]:
    """Return a note on the damaged files among those that were looked at."""
    names = quoted(map(layout.key, damaged))
    return (f"{len(damaged):,} of the decoded files cannot be read: {names}",) * bool(damaged)


def used_files(layout: Layout, sides: Sides) -> tuple[summary.UsedFile, ...]:
    """Return every file in use, sorted by part and path."""
    found: set[summary.UsedFile] = set()
    parts: tuple[tuple[Literal["train", "validation"], list[ImageFile]], ...]
    parts = (("train", sides.train), ("validation", sides.validation))
    for part, images in parts:
        for one in images:
            side: Literal["clean"] | None = None if one.noisy_path is None else "clean"
            found.add(summary.UsedFile(layout.key(one.path), part, one.class_name, side))
            if one.noisy_path is not None:
                noisy = layout.key(one.noisy_path)
                found.add(summary.UsedFile(noisy, part, one.class_name, "noisy"))
    return tuple(sorted(found, key=lambda one: (one.part, one.path, one.class_name or "")))


def _imbalance(counts: Mapping[str, int]) -> float | None:
    present = [count for count in counts.values() if count]
    if len(present) < 2 or max(present) < _UNEVEN * min(present):
        return None
    return max(present) / min(present)


def _inside(path: Path, root: Path) -> str:
    return display_name(path.relative_to(root) if path.is_relative_to(root) else path)
