"""What a folder holds and how it was understood, as a record and in short lines for people."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import NonNegativeInt, PositiveInt

from tapetum.data.survey import ValueRange
from tapetum.errors import DataError
from tapetum.records import Record

__all__ = [
    "Duplicate",
    "FolderSummary",
    "NotUsed",
    "PartSummary",
    "Sizes",
    "UsedFile",
    "number_of_classes",
]

_MOST_REASONS = 8  # in one line
_NUM_SHOWN = 3  # examples of files in one line
_DEEP_BITS = 16


class PartSummary(Record):
    """A part of a dataset: its number of images, and that of each class."""

    num_images: NonNegativeInt
    classes: dict[str, NonNegativeInt]


class Sizes(Record):
    """The sizes of the images, in pixels.

    Attributes:
        smallest: Width and height of the image with the shortest side.
        median: Width and height of the image whose shorter side is the median.
        largest: Width and height of the image with the longest shorter side.
        tenth_px: The shorter side that nine of ten images reach.
    """

    smallest: tuple[PositiveInt, PositiveInt]
    median: tuple[PositiveInt, PositiveInt]
    largest: tuple[PositiveInt, PositiveInt]
    tenth_px: PositiveInt


class NotUsed(NamedTuple):
    """A file or folder that is not used, and the reason."""

    path: str
    reason: str


class Duplicate(NamedTuple):
    """A training and a validation file of equal content."""

    train: str
    validation: str


class UsedFile(NamedTuple):
    """A file that is used, with its part, its class, and its side where it belongs to a pair."""

    path: str
    part: Literal["train", "validation"]
    class_name: str | None
    side: Literal["noisy", "clean"] | None


class FolderSummary(Record):
    """What a folder holds and how it was understood.

    Attributes:
        folder: The folder that was given.
        layout: Its layout in a few words.
        notes: How it was understood, in sentences.
        split: Where the validation images come from.
        train: The training part.
        validation: The validation part.
        sizes: Sizes of the images.
        size_px: Height and width of the training images.
        size_rule: The rule that set it.
        odd: Images that are smaller than the training size.
        colours: Number of files that are grey, RGB, and transparent.
        bit_depths: Number of files by bits of a channel; 32 for floats.
        ranges: Lowest and highest stored value in use by bits of a channel.
        num_looked: Number of images whose values were looked at.
        formats: Number of files by format.
        num_files: Number of files; some have several frames or boxes.
        num_pairs: Number of pairs of a noisy and a clean image.
        left_out: Everything that is not used.
        duplicates: Training and validation files of equal content.
        conflicts: Files of equal content in different classes, each group by itself.
        all_decoded: Whether every file was decoded, so that damaged ones are left out.
        files: Every file in use, where the summary is of ``tapetum data``; empty in reports, beside
            which ``split.json`` has them.
        imbalance: Ratio of the largest to the smallest class of the training part, if classes are
            uneven.
        problems: What keeps it from being used as requested, in sentences.
        is_trainable: Whether a training would accept it.
    """

    format: Literal["tapetum-data"] = "tapetum-data"
    schema_version: Literal[1] = 1
    folder: str
    layout: str
    notes: tuple[str, ...]
    split: str
    train: PartSummary
    validation: PartSummary
    sizes: Sizes
    size_px: PositiveInt
    size_rule: str
    odd: tuple[str, ...]
    colours: dict[str, NonNegativeInt]
    bit_depths: dict[int, NonNegativeInt]
    ranges: dict[int, ValueRange]
    num_looked: NonNegativeInt
    formats: dict[str, NonNegativeInt]
    num_files: NonNegativeInt
    num_pairs: NonNegativeInt
    left_out: tuple[NotUsed, ...]
    duplicates: tuple[Duplicate, ...]
    conflicts: tuple[tuple[str, ...], ...] = ()
    all_decoded: bool = False
    files: tuple[UsedFile, ...] = ()
    imbalance: float | None = None
    problems: tuple[str, ...] = ()
    is_trainable: bool = True

    def noted(self, note: str) -> "FolderSummary":
        """Return the summary with one more note."""
        return self.model_copy(update={"notes": (*self.notes, note)})

    def refused(self, error: DataError) -> "FolderSummary":
        """Return the summary of a folder on which a training is refused, for that reason."""
        problems = (*self.problems, f"it cannot be trained on: {error}")
        return self.model_copy(update={"problems": problems, "is_trainable": False})

    def facts(self, *, brief: bool = False) -> dict[str, str]:
        """Return the facts by name, each in a line; in brief without those that are as usual."""
        lines = {
            "layout": "; ".join([self.layout, *self.notes]),
            "problems": "; ".join(self.problems),
            "images": f"{self.train.num_images:,} training and {self.validation.num_images:,} "
            f"validation ({self.split})",
            "classes": self._class_counts(),
            "files": self._files(),
            "pixels": self._decoded(),
            "image sizes": self._size_range(),
            "colours": _counts(self.colours),
            "bits": self._bits(),
            "training size": self.size_rule,
            "smaller than that": _some(self.odd),
            "left out": self._left_out(),
            "duplicates": self._duplicates(),
            "two classes": self._conflicts(),
            "uneven classes": self._imbalance(),
            "missing classes": self._missing(),
        }
        usual = {"files", "pixels", "image sizes", "colours", "bits"} if brief else set()
        if any(bits >= _DEEP_BITS for bits in self.bit_depths):
            usual.discard("bits")
        return {name: line for name, line in lines.items() if line and name not in usual}

    def _class_counts(self) -> str:
        others = self.validation.classes
        shown = [
            f"{name} {count:,} + {others[name]:,}" for name, count in self.train.classes.items()
        ]
        return ", ".join(shown) or "none: for networks that only denoise"

    def _files(self) -> str:
        pairs = f", {self.num_pairs:,} pairs of noisy and clean images" if self.num_pairs else ""
        return f"{self.num_files:,} ({_counts(self.formats)}){pairs}"

    def _decoded(self) -> str:
        if self.all_decoded:
            return f"pixels of all {self.num_files:,} files were decoded"
        return (
            f"pixels of {self.num_looked:,} of {self.num_files:,} files were decoded; of "
            "the others only the header was read"
        )

    def _conflicts(self) -> str:
        if not self.conflicts:
            return ""
        groups = [" = ".join(group[:_NUM_SHOWN]) for group in self.conflicts]
        return f"{len(groups):,} image(s) lie in more than one class: {_some(groups)}"

    def _size_range(self) -> str:
        sizes = self.sizes
        if sizes.smallest == sizes.largest:
            return "{} x {} px".format(*sizes.smallest)
        return (
            "{} x {} to {} x {} px, median {} x {}, nine of ten with a shorter side from {} px"
        ).format(*sizes.smallest, *sizes.largest, *sizes.median, sizes.tenth_px)

    def _bits(self) -> str:
        shown = []
        some = f" in {self.num_looked:,} images that were looked at"
        sample = some if self.num_looked < self.num_files else ""
        for bits, count in sorted(self.bit_depths.items()):
            name = "floats" if bits == 32 else f"{bits} bits"
            values = self.ranges.get(bits)
            used = f", values {values.lowest:,.4g} to {values.highest:,.6g}" if values else ""
            shown.append(f"{name} in {count:,} file(s){used}{sample * bool(used)}")
        return "; ".join(shown)

    def _left_out(self) -> str:
        by_reason: dict[str, list[str]] = {}
        for path, reason in self.left_out:
            by_reason.setdefault(reason, []).append(path)
        shown = [
            f"{len(paths):,}: {reason} ({_some(paths)})"
            for reason, paths in list(by_reason.items())[:_MOST_REASONS]
        ]
        more = len(by_reason) - _MOST_REASONS
        return "; ".join(shown) + (f"; and {more:,} more reasons (--json has all)" * (more > 0))

    def _duplicates(self) -> str:
        if not self.duplicates:
            return ""
        pairs = [f"{one.validation} = {one.train}" for one in self.duplicates]
        return (
            f"{len(pairs):,} validation file(s) have the content of a training file, so scores "
            f"are too good: {_some(pairs)}"
        )

    def _imbalance(self) -> str:
        if self.imbalance is None:
            return ""
        counts = self.train.classes
        largest = max(counts, key=counts.__getitem__)
        share = counts[largest] / self.train.num_images
        return (
            f"{largest!r} has {share:.0%} of the training images, {self.imbalance:.3g} times the "
            "smallest class: a training makes them count alike (--balance); look at the recall of "
            "each class"
        )

    def _missing(self) -> str:
        """Return the classes that a part has no image of."""
        parts = {"training": self.train.classes, "validation": self.validation.classes}
        missing = {
            part: ", ".join(repr(name) for name, count in counts.items() if not count)
            for part, counts in parts.items()
            if any(counts.values())  # all images may be scored, and none trains
        }
        return "; ".join(f"no {part} image of {names}" for part, names in missing.items() if names)


def number_of_classes(class_names: Sequence[str]) -> str:
    """Return the number of classes in words; empty without classes."""
    number = len(class_names)
    return f"{number} {'class' if number == 1 else 'classes'}" if number else ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _some(paths: Sequence[str]) -> str:
    """Return a few paths and the number of the others."""
    more = len(paths) - _NUM_SHOWN
    return ", ".join(paths[:_NUM_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
