"""The files of a split, as a run keeps them, and what has changed since.

A run keeps ``split.json``: the relative path, size and digest of every file of both parts, noisy
twins too.  So its network is never validated on a file that it was trained on, whatever has been
added or renamed.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import NonNegativeInt

from tapetum.data.contents import Contents
from tapetum.data.layout import ImageFile, quoted
from tapetum.data.splitting import Sides
from tapetum.records import Record, write_atomically

__all__ = ["SplitList", "digest_of", "list_split"]


class ListedFile(NamedTuple):
    """A file of a split: its path relative to the folder, its size and digest."""

    path: str
    size_bytes: NonNegativeInt
    digest: str


class SplitList(Record):
    """The files that trained and those that validated, with the seed of the split."""

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

    def divide(self, contents: Contents) -> Sides:
        """Return the images of a folder that trained and those that may validate.

        Files that validated are taken.  Where a folder has none of them, it is another one: every
        file is taken whose content was not trained on.  The notes say what differs from the lists.
        """
        layout = contents.layout
        now = {file.path: file.digest for file in _listed(contents, layout.images)}
        trained = {file.digest for file in self.train}
        validated = {file.path for file in self.validation}
        known = {file.path: file.digest for file in (*self.train, *self.validation)}
        added = now.keys() - known
        changed = {name for name in now.keys() & known if now[name] != known[name]}
        again = {name for name in changed | (now.keys() - validated) if now[name] in trained}
        chosen = (now.keys() & validated) - again
        is_another = not chosen and bool(added - again)
        notes = _differences(added, known.keys() - now, changed, again & validated)
        if is_another:
            chosen = added - again
            notes = ("no file of it took part in the training, so each of them is scored",)
        names = {file.path for file in self.train}

        def of(side: set[str]) -> list[ImageFile]:
            return [one for one in layout.images if set(map(layout.key, one.files)) <= side]

        return Sides(of(names), of(chosen), "as in the training", notes)


def _differences(
    added: set[str], missing: set[str], changed: set[str], again: set[str]
) -> tuple[str, ...]:
    """Return a sentence for each way in which the files of a folder differ from the lists."""
    ways = (
        (added, "were added since the training and are not scored"),
        (missing, "of the training are missing"),
        (changed, "have another content than in the training"),
        (again, "of the validation hold images that were trained on, and are not scored"),
    )
    return tuple(f"{len(names):,} file(s) {what}: {quoted(names)}" for names, what in ways if names)


def list_split(contents: Contents, sides: Sides, seed: int) -> SplitList:
    """Return the lists of the files of two parts."""
    train, validation = (_listed(contents, side) for side in (sides.train, sides.validation))
    return SplitList(seed=seed, train=train, validation=validation)


def digest_of(lists: SplitList) -> str:
    """Return the digest of all paths, contents and sides."""
    digest = hashlib.sha256()
    for side, files in (("train", lists.train), ("validation", lists.validation)):
        for file in files:
            digest.update(json.dumps([side, *file]).encode())
    return digest.hexdigest()


def _listed(contents: Contents, images: Sequence[ImageFile]) -> tuple[ListedFile, ...]:
    """Return every file of some images once, sorted."""
    key, seen = contents.layout.key, contents.seen
    paths = {path for one in images for path in one.files}
    rows = (ListedFile(key(path), seen[path].size_bytes, seen[path].digest) for path in paths)
    return tuple(sorted(rows))
