"""The layout of a folder: which image belongs to which part, class and noisy twin.

::

    CLASS/a.png                      labelled
    a.png                            without labels: for networks that only denoise
    noisy/a.png      clean/a.png     paired
    noisy/CLASS/...  clean/CLASS/... paired and labelled
    a_noisy.png      a_clean.png     paired by names
    images/...       labels.csv      labelled by a table (:mod:`tapetum.data.labels_file`)

Each may lie in parts (``train``, ``val``, ``test``) and one folder or more too deep.  Names are
understood by :mod:`tapetum.data.names`.  A folder that can be read in two ways is refused.
Only names are looked at, except where two sides have names that classes have too.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypedDict

from tapetum.data.names import same_name
from tapetum.errors import DataError
from tapetum.images import AnyPath, LeftOut, display_name

__all__ = [
    "AS_CLASSES",
    "Ask",
    "Box",
    "Findings",
    "FolderOptions",
    "ImageFile",
    "Layout",
    "PartFiles",
    "as_classes",
    "doubt",
    "examples",
    "quoted",
]

LAYOUTS = ("classes", "leaves", "flat", "pairs", "parts", "pooled")
"""How to read a folder that can be read in two ways.

``classes``: the folders directly in the folder are classes, whatever their names.  ``leaves``: the
innermost folders are classes.  ``flat``: all images, without labels.  ``pairs``: noisy and clean
images, in two folders or by their names, without labels.  ``parts``: training and validation as
they are, without images of classes that training lacks.  ``pooled``: all parts together, split
anew.
"""

AS_CLASSES = "add --layout classes"

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels

_MOST_NAMED = 3  # files in one error message


class ImageFile(NamedTuple):
    """A clean image: a file, a frame of it, or a box in it."""

    path: AnyPath
    noisy_path: AnyPath | None  # None where noise is added later
    class_name: str | None
    frame: int = 0
    box: Box | None = None  # None for the whole image
    group: str = ""  # images of one group stay on one side of a split

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, and that of its noisy twin."""
        return (self.path,) if self.noisy_path is None else (self.path, self.noisy_path)


class PartFiles(NamedTuple):
    """The images of one part, its classes in order, and whether images have noisy twins."""

    files: tuple[ImageFile, ...]
    class_names: tuple[str, ...] = ()
    is_paired: bool = False

    @classmethod
    def labelled(cls, files: Iterable[ImageFile]) -> "PartFiles":
        """Return labelled images with the classes that they have."""
        files = tuple(files)
        return cls(files, tuple(sorted({str(file.class_name) for file in files})))


class Layout(NamedTuple):
    """The files of a folder.

    Attributes:
        root: The folder that was given.
        base: The folder that paths are relative to: the root, or one in it.
        train: Training files; all files where ``val`` is None.
        val: Validation files; None where the folder has no validation part.
        class_names: All classes, sorted; empty without labels.
        is_paired: Whether images come with a noisy twin.
        notes: How the folder was understood, in sentences without a full stop.
        left_out: Files and folders that are not used, each with the reason.
        problems: What was requested without an effect, in sentences without a full stop.
    """

    root: Path
    base: Path
    train: tuple[ImageFile, ...]
    val: tuple[ImageFile, ...] | None
    class_names: tuple[str, ...]
    is_paired: bool
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    problems: tuple[str, ...] = ()

    def key(self, path: Path) -> str:
        """Return the name of a file for splits and lists: relative, in NFC, with slashes."""
        return display_name(path.relative_to(self.base).as_posix())

    @property
    def images(self) -> tuple[ImageFile, ...]:
        """All images, those of the validation part last."""
        return (*self.train, *(self.val or ()))

    def changed(
        self,
        change: Callable[[Sequence[ImageFile]], Iterable[ImageFile]],
        left_out: Iterable[LeftOut] = (),
    ) -> "Layout":
        """Return the layout with the images of both parts changed, and more that is left out."""
        return self._replace(
            train=tuple(change(self.train)),
            val=None if self.val is None else tuple(change(self.val)),
            left_out=(*self.left_out, *left_out),
        )


class FolderOptions(TypedDict, total=False):
    """How a folder is requested to be read; by default its names and its structure decide.

    Attributes:
        labels: A table of labels (:mod:`tapetum.data.labels_file`); by default one in the folder.
        layout: How to read a folder that can be read in two ways, such as ``classes``
            (:mod:`tapetum.data.layout`).
        group_by: ``folder``, or a regular expression on the relative path whose match (or first
            group) names the group of an image: images of a group stay on one side of the split.
        white: Stored value that 1.0 stands for in files of more than 8 bits, such as 4095 for
            12-bit data; ``auto`` (the default) finds it, None takes what each file says, or the
            largest value of its type.
    """

    labels: Path | None
    layout: str | None
    group_by: str | None
    white: float | str | None


class Ask(NamedTuple):
    """Folder options with their defaults, and the classes of a trained network, if there is one."""

    layout: str | None = None
    labels: Path | None = None
    group_by: str | None = None
    class_names: tuple[str, ...] = ()
    white: float | str | None = "auto"

    def checked(self) -> "Ask":
        """Return the request; values that are impossible are refused."""
        if self.layout is not None and self.layout not in LAYOUTS:
            raise DataError(
                f"there is no layout {self.layout!r}", f"choose one of {', '.join(LAYOUTS)}"
            )
        if self.labels is not None and self.layout in ("leaves", "flat", "pairs"):
            raise DataError(
                f"--layout {self.layout} has no effect: the table of --labels says the classes",
                "leave one of them out",
            )
        if self.group_by not in (None, "folder"):
            try:
                re.compile(str(self.group_by))
            except re.error as error:
                raise DataError(
                    f"--group-by {self.group_by!r} is no regular expression: {error}",
                    "give 'folder', or an expression such as '^([^_]+)_'",
                ) from error
        labels = None if self.labels is None else Path(self.labels)
        return self._replace(white=self._checked_white(), labels=labels)

    def _checked_white(self) -> float | str | None:
        if self.white in (None, "auto"):
            return self.white
        try:
            white = float(str(self.white))
        except ValueError:
            white = math.nan
        if not 0 < white < math.inf:
            problem = f"a white of {self.white!r} is no number above 0"
            raise DataError(problem, "give a number such as 4095, or 'auto'")
        return white


@dataclass
class Findings:
    """What is noticed while a folder is read."""

    ask: Ask
    notes: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def knows(self, name: str) -> bool:
        """Return whether a trained network has a class of this name."""
        return same_name(name) in map(same_name, self.ask.class_names)

    def leave_out(self, paths: Sequence[Path], reason: str) -> None:
        """Note files or folders that are not used."""
        self.left_out.extend(LeftOut(path, reason) for path in paths)


def doubt(folder: Path, *readings: tuple[str, str]) -> DataError:
    """Return the error for a folder with several readings, each with what to do to choose it."""
    listed = "; ".join(f"({number}) {reading}" for number, (reading, _) in enumerate(readings, 1))
    choices = "; ".join(f"for ({number}) {how}" for number, (_, how) in enumerate(readings, 1))
    ways = {2: "two", 3: "three"}.get(len(readings), "several")
    problem = f"{display_name(folder)} can be read in {ways} ways: {listed}"
    return DataError(problem, f"choose: {choices}")


def as_classes(names: Iterable[str]) -> tuple[str, str]:
    """Return the reading that some folders are classes, and how to choose it."""
    return f"{quoted(names)} are classes", AS_CLASSES


def quoted(names: Iterable[str]) -> str:
    """Return some names in quotes, at most six of them."""
    known = sorted(names)
    return ", ".join([*map(repr, known[:6]), *(["..."] if len(known) > 6 else [])])


def examples(left_out: Sequence[LeftOut]) -> str:
    """Return some of the files that were left out, in brackets, for the message of an error."""
    if not left_out:
        return ""
    shown = ", ".join(f"{display_name(path)} ({reason})" for path, reason in left_out[:_MOST_NAMED])
    more = len(left_out) - _MOST_NAMED
    return f" (left out: {shown}{f' and {more:,} more' if more > 0 else ''})"
