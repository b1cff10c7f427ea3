"""Which images a job has, in a fixed order and one by one, and where their results go.

Nothing here grows with the number of images but the names in one folder. The place of a result
follows from the names of its neighbours alone, so that processes agree on it without talking:

- one folder: ``a/x.png`` goes to ``OUT/a/x.png``;
- several folders or images: each goes below its own name, with a number where two have one name;
- an image that changes its file type keeps its stem if no neighbour has it: ``x.tif`` becomes
  ``x.png``, or ``x.tif.png`` beside ``x.bmp``.
"""

import hashlib
import os
from bisect import bisect_left
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from tapetum.errors import DataError, InputError
from tapetum.images import LeftOut, scan, should_be_image
from tapetum.runtime.bulk.job import Job, as_text

__all__ = ["WHOLE", "Shard", "Task", "about_how_many", "digest_of", "plan", "require_images"]

LONGEST_NAME = 255  # bytes, of every common file system
MOST_REASONS = 3  # in one sentence


@dataclass(frozen=True)
class Shard:
    """A part of the images: those whose name has a hash of ``index - 1`` modulo ``count``.

    Adding an image moves no other one to another shard.

    Attributes:
        index: The number of this part, from 1 to ``count``.
        count: Number of parts.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise InputError(
                f"there is no shard {self.index} of {self.count}", f"use 1 to {self.count}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a shard such as ``3/16``.

        Raises:
            InputError: The text is not such a shard.
        """
        index, _, count = text.partition("/")
        try:
            return cls(int(index), int(count))
        except ValueError as error:
            raise InputError(
                f"{text!r} is not a shard", "write 3/16 for the third of 16"
            ) from error

    def holds(self, digest: int) -> bool:
        """Return whether an image belongs to this part."""
        return digest % self.count == self.index - 1

    @property
    def suffix(self) -> str:
        """The part of a file name that tells the shards apart."""
        width = len(str(self.count))
        return "" if self.count == 1 else f"-{self.index:0{width}}-of-{self.count}"


WHOLE = Shard()


@dataclass(frozen=True)
class Task:
    """One file to predict.

    Attributes:
        source: The file.
        name: Its path in its folder, which no other task of the job has.
        place: Where its result goes in ``out``, if its file type stays.
        siblings: The folder whose names the result must not take, or those names.
        left_out: Why it is left out, if it is.
    """

    source: Path
    name: str
    place: Path
    siblings: Path | tuple[str, ...]
    left_out: str | None = None

    def result(self, suffix: str, *, kind: str = "") -> Path:
        """Return where a result of a file type goes; ``kind`` is such as ``.noisy``."""
        names = _names_in(self.siblings) if isinstance(self.siblings, Path) else self.siblings
        return self.place.with_name(_free_name(self.place.name, kind, suffix, names))


def digest_of(name: str) -> int:
    """Return 64 bits that follow from the name of an image."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def plan(job: Job, shard: Shard, *, done: Container[int] = ()) -> Iterator[Task]:
    """Yield the tasks of a part of the job, without those whose digests are done."""
    _names_in.cache_clear()  # images may have come since an earlier job of this process

    def is_wanted(name: str) -> bool:
        digest = digest_of(name)
        return shard.holds(digest) and digest not in done

    places = _places(job.paths)
    for path, place in zip(job.paths, places, strict=True):
        if os.path.isdir(path):  # unlike Path.is_dir, false without permission
            yield from _tasks_in(job, path, Path(place), is_wanted)
        elif is_wanted(as_text(place)):
            yield Task(path, as_text(place), job.out / place, tuple(sorted(places)))


def about_how_many(job: Job) -> int:
    """Return the number of tasks quickly: without opening a file, and so not exactly."""
    total = 0
    for path in job.paths:
        if not os.path.isdir(path):
            total += 1
            continue
        for place, folders, names in os.walk(path):
            folders[:] = [
                name
                for name in folders
                if name[0] not in ".@$#" and not _is_same(os.path.join(place, name), job.out)
            ]
            total += len(names)
    return total


def require_images(job: Job) -> None:
    """Refuse a job without an image, and one that writes among the images that it reads."""
    if not job.paths:
        raise InputError("no image was given", "give image files, or folders of them")
    out = job.out.resolve()
    for path in job.paths:
        if path.resolve().is_relative_to(out):
            raise InputError(
                f"{path} lies inside of the folder for the results, {job.out}, which could "
                "replace it",
                "choose another --out",
            )
    left_out: list[str] = []
    for task in plan(job, WHOLE):
        if task.left_out is None:
            return
        if len(left_out) < MOST_REASONS:
            left_out.append(f"{task.name}: {task.left_out}")
    where = ", ".join(str(path) for path in job.paths)
    raise DataError(
        f"no image in {where}{''.join(f' ({reason})' for reason in left_out)}",
        "give image files, or folders of them",
    )


def _places(paths: Sequence[Path]) -> list[str]:
    """Return where the results of each path go in ``out``: nowhere deeper for a single folder."""
    if len(paths) == 1 and os.path.isdir(paths[0]):
        return [""]
    taken: set[str] = set()
    places = []
    for path in paths:
        name = Path(os.path.abspath(path)).name or "root"
        stem, suffix = os.path.splitext(name)
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        taken.add(name)
        places.append(name)
    return places


def _tasks_in(
    job: Job, folder: Path, place: Path, is_wanted: Callable[[str], bool]
) -> Iterator[Task]:
    """Yield the tasks of a folder."""

    def name_of(source: Path) -> str:
        return as_text(place / source.relative_to(folder)).replace(os.sep, "/")

    is_inside = job.out.resolve().is_relative_to(folder.resolve())
    without = (job.out,) if is_inside else ()
    for entry in scan(folder, without=without, only=lambda source: is_wanted(name_of(source))):
        source, reason = entry if isinstance(entry, LeftOut) else (entry, None)
        name = name_of(source)
        if not is_wanted(name) or (is_inside and _is_same(source, job.out)):
            continue
        if reason is not None and should_be_image(source):
            reason = None  # predicting it says what is wrong with it
        yield Task(
            source, name, job.out / place / source.relative_to(folder), source.parent, reason
        )


def _is_same(path: Path | str, out: Path) -> bool:
    return os.path.basename(path) == out.resolve().name and Path(path).resolve() == out.resolve()


@lru_cache(maxsize=2)
def _names_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(os.listdir(folder)))


def _free_name(name: str, kind: str, suffix: str, names: Sequence[str]) -> str:
    """Return a name for a result that no result of a neighbour takes."""
    stem, own = os.path.splitext(name)
    if own.lower() == suffix.lower():
        if not kind:
            return name
        suffix = own
    elif _begins_others(stem, name, names):
        stem = name
    wanted, number = f"{stem}{kind}", 1
    while _begins_others(wanted, name, names):
        number += 1
        wanted = f"{stem}{kind}-{number}"
    return _fitting(wanted, suffix)


def _begins_others(stem: str, name: str, names: Sequence[str]) -> bool:
    """Return whether another name than ``name`` is the stem, alone or with an ending."""
    for prefix in (stem, f"{stem}."):
        first = bisect_left(names, prefix)
        for other in names[first : first + 2]:
            is_same = other == stem or other.startswith(f"{stem}.")
            if is_same and other != name:
                return True
    return False


def _fitting(stem: str, suffix: str) -> str:
    """Shorten a name that is longer than file systems allow; a hash keeps it apart from others."""
    room = LONGEST_NAME - len(os.fsencode(suffix))
    if len(os.fsencode(stem)) <= room:
        return f"{stem}{suffix}"
    tag = "-" + hashlib.blake2b(os.fsencode(stem), digest_size=4).hexdigest()
    return os.fsencode(stem)[: room - len(tag)].decode(errors="ignore") + tag + suffix
