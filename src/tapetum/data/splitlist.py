"""The files of a split, as a run keeps them, and what has changed since.

A run keeps ``split.json``: the relative path, size and digest of every file of both parts.  So its
network is never validated on a file that it was trained on, whatever has been added or renamed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import NonNegativeInt

from tapetum.data.layout import ImageFile, Layout, quoted
from tapetum.data.survey import Surveyed
from tapetum.records import Record, write_atomically

__all__ = ["SplitList", "digest_of", "list_split"]


class ListedFile(NamedTuple):
    """A file of a split.

    Attributes:
        path: Relative to the images' folder, in NFC, with slashes.
        size_bytes: Size of the file.
        digest: Digest of its content, in hexadecimal.
    """

    path: str
    size_bytes: NonNegativeInt
    digest: str


class SplitList(Record):
    """The files that trained and those that validated.

    Attributes:
        seed: Seed of the split.
        train: Files that trained.
        validation: Files that validated.
    """

    format: Literal["tapetum-split"] = "tapetum-split"
    schema_version: Literal[1] = 1
    seed: int
    train: tuple[ListedFile, ...]
    validation: tuple[ListedFile, ...]

    def write(self, path: Path) -> None:
        """Write the lists as JSON with a line for each file, in one step."""
        fields = self.model_dump(mode="json", exclude={"train", "validation"})
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
        for name, files in (("train", self.train), ("validation", self.validation)):
            rows = ",\n".join(json.dumps(file, ensure_ascii=False) for file in files)
            lines.append(f'"{name}": [\n{rows}\n]')
        write_atomically(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())

    def choose(
        self, files: Mapping[Path, str], seen: Mapping[Path, Surveyed]
    ) -> tuple[set[Path], tuple[str, ...]]:
        """Return the files of a folder that may validate, and what differs from the lists.

        Files that validated are taken.  Where a folder has none of them, it is another one: every
        file is taken whose content was not trained on.

        Args:
            files: The relative path of each file of the folder.
            seen: The files as they are now.
        """
        trained_digests = {file.digest for file in self.train}
        known = {file.path: file for file in (*self.train, *self.validation)}
        validated = {file.path for file in self.validation}
        changed = {
            path
            for path, name in files.items()
            if name in known and seen[path].digest != known[name].digest
        }
        trained_again = {
            path
            for path, name in files.items()
            if seen[path].digest in trained_digests and (path in changed or name not in validated)
        }
        added = {path for path, name in files.items() if name not in known}
        missing = known.keys() - set(files.values())
        chosen = {path for path, name in files.items() if name in validated} - trained_again
        notes = []
        if not chosen:
            chosen = added - trained_again
            if chosen:
                notes.append("no file of it took part in the training, so each of them is scored")
                return chosen, tuple(notes)
        for paths, what in (
            ({files[path] for path in added}, "were added since the training and are not scored"),
            (set(missing), "of the training are missing"),
            ({files[path] for path in changed}, "have another content than in the training"),
            (
                {files[p] for p in trained_again if files[p] in validated},
                "of the validation hold images that were trained on, and are not scored",
            ),
        ):
            if paths:
                notes.append(f"{len(paths):,} file(s) {what}: {quoted(paths)}")
        return chosen, tuple(notes)


def list_split(
    layout: Layout,
    seen: Mapping[Path, Surveyed],
    train: Iterable[ImageFile],
    validation: Iterable[ImageFile],
    *,
    seed: int,
) -> SplitList:
    """Return the lists of the files of two parts; every file once, sorted."""

    def listed(images: Iterable[ImageFile]) -> tuple[ListedFile, ...]:
        paths = {one.path for one in images}
        rows = (
            ListedFile(layout.key(path), seen[path].size_bytes, seen[path].digest) for path in paths
        )
        return tuple(sorted(rows))

    return SplitList(seed=seed, train=listed(train), validation=listed(validation))


def digest_of(lists: SplitList) -> str:
    """Return the digest of all paths, contents and sides."""
    digest = hashlib.sha256()
    for side, files in (("train", lists.train), ("validation", lists.validation)):
        for file in files:
            digest.update(json.dumps([side, *file]).encode())
    return digest.hexdigest()


def paths_of(images: Sequence[ImageFile], layout: Layout) -> dict[Path, str]:
    """Return the relative path of each file."""
    return {one.path: layout.key(one.path) for one in images}
