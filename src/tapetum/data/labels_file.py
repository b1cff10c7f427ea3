"""A table of labels with the images that it names: a row for each image, or for each box.

::

    file,label,split,left,top,right,bottom
    images/a.png,scratch,train,10,12,40,52

``split`` and the box are optional.  Files are named by their path, by their name, or by their name
without its ending.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tapetum.data.labels_table import Row, Table, read_rows
from tapetum.data.layout import AS_CLASSES, Box, Findings, ImageFile, PartFiles, doubt, quoted
from tapetum.data.names import Part, meaning
from tapetum.errors import DataError, InputError
from tapetum.images import LeftOut, display_name

__all__ = ["LabelsFile", "find_labels", "read_labels"]

_SUFFIXES = (".csv", ".tsv", ".tab")
_NUM_SHOWN = 3  # rows in one sentence
_ENOUGH = 0.5  # share of rows whose file must be there, before a table is taken unasked


class LabelsFile(NamedTuple):
    """A table of labels with the images that it names.

    ``lost`` are the rows whose image is missing, ``unnamed`` the images that no row names;
    ``columns`` says which columns were read.
    """

    path: Path
    base: Path
    rows: tuple[tuple[Row, Path], ...]
    lost: tuple[Row, ...]
    unnamed: tuple[Path, ...]
    columns: str

    @property
    def name(self) -> str:
        """The name of the table, for people."""
        return display_name(self.path.name)

    def parts(self, found: Findings) -> dict[Part | None, PartFiles]:
        """Return the images of each part that the table names, or of all under None."""
        found.left_out = [entry for entry in found.left_out if entry.path != self.path]
        found.notes.append(f"labels come from the table {self.name!r}{self.columns}")
        found.leave_out(self.unnamed, f"the table {self.name!r} has no row for it")
        if self.lost:
            shown = self.lost[:_NUM_SHOWN]
            numbers = ", ".join(f"{row.number:,}" for row in shown)
            found.leave_out(
                [self.path],
                f"{len(self.lost):,} row(s) of the table name no single image, such as row "
                f"{numbers}: {shown[0].file!r}",
            )
        self._note_other_folders(found)
        parts: dict[Part | None, list[ImageFile]] = {}
        for image, split in self._images(found):
            parts.setdefault(self._part(split), []).append(image)
        files = [file for part in parts.values() for file in part]
        self._refuse_some("split", {part is None for part in parts})
        self._refuse_some("box", {file.box is None for file in files})
        return {part: PartFiles.labelled(files) for part, files in parts.items()}

    def _note_other_folders(self, found: Findings) -> None:
        """Note rows whose image lies in a folder of another name."""
        others = [
            (row, path)
            for row, path in self.rows
            if not _agree(_place(row)[0], display_name(path.parent.relative_to(self.base)))
        ]
        if others:
            row, path = others[0]
            found.notes.append(
                f"{len(others):,} row(s) of {self.name!r} name another folder than their image is "
                f"in, such as {row.file!r} for {display_name(path.relative_to(self.base))!r}"
            )

    def compare(self, read: Mapping[Part | None, PartFiles], base: Path, found: Findings) -> None:
        """Refuse a table that disagrees with folders of classes; one that agrees is not used."""
        by_folder = {file.path: file.class_name for part in read.values() for file in part.files}
        pairs = {(row.label, by_folder[path]) for row, path in self.rows if path in by_folder}
        labels, classes = {label for label, _ in pairs}, {str(name) for _, name in pairs}
        if not len(pairs) == len(labels) == len(classes):  # one to one
            raise doubt(
                base,
                (f"folders are classes: {quoted(classes)}", AS_CLASSES),
                (
                    f"the table {self.name!r} has the labels {quoted(labels)}",
                    f"add --labels {self.path}",
                ),
            )
        agrees = LeftOut(self.path, "its labels agree with the folders, which are taken")
        found.left_out = [agrees if one.path == self.path else one for one in found.left_out]

    def _images(self, found: Findings) -> Iterable[tuple[ImageFile, str]]:
        """Yield an image for each row, or one for equal rows, with the name of its part."""
        labels: dict[tuple[Path, Box | None], Row] = {}
        for row, path in self.rows:
            if not row.label:
                found.leave_out([path], f"the table {self.name!r} gives it no label")
                continue
            first = labels.setdefault((path, row.box), row)
            if (first.label, first.split) != (row.label, row.split):
                raise DataError(
                    f"{display_name(self.path)} has two labels for {row.file!r}: {first.label!r} "
                    f"in row {first.number} and {row.label!r} in row {row.number}",
                    "keep one label for each image, or give each row its box",
                )
        for (path, box), row in labels.items():
            folder = path.parent.name if path.parent != self.base else ""
            yield ImageFile(path, None, row.label, box=box, group=display_name(folder)), row.split

    def _part(self, split: str) -> Part | None:
        part = meaning(split).part
        if split and part is None:
            raise DataError(
                f"{display_name(self.path)} has the unknown split {split!r}",
                "use train, val and test",
            )
        return part

    def _refuse_some(self, column: str, missing: set[bool]) -> None:
        if len(missing) > 1:
            raise DataError(
                f"some rows of {self.name} have a {column} and others have none",
                f"give every row a {column}, or remove the column",
            )


def read_labels(path: Path, files: Sequence[Path], base: Path) -> LabelsFile:
    """Read a table of labels for the images of the folder ``base``."""
    table = _matched(path, files, base, read_rows(path))
    if not table.rows:
        named = f"; its first file is {table.lost[0].file!r}" if table.lost else ""
        raise DataError(
            f"{display_name(path)} names no image of {display_name(base)}{named}",
            "give files by their path in the folder, or by their name",
        )
    return table


def find_labels(found: Findings, files: Sequence[Path], base: Path) -> LabelsFile | None:
    """Return the one table of labels that lies in a folder, None where there is none.

    Why another table is none stands among what is left out.
    """
    tables = []
    for number, (path, _) in enumerate(found.left_out):
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            continue
        try:
            table = read_labels(path, files, base)
        except InputError as error:  # of which a DataError is one
            problem = error.problem.removeprefix(f"{display_name(path)} ")
            found.left_out[number] = LeftOut(path, f"no table of labels: {problem}")
            continue
        if len(table.rows) >= _ENOUGH * (len(table.rows) + len(table.lost)):
            tables.append(table)
    if len(tables) > 1:
        ways = ((f"labels come from {one.name!r}", f"add --labels {one.path}") for one in tables)
        raise doubt(base, *ways)
    return tables[0] if tables else None


def _matched(path: Path, files: Sequence[Path], base: Path, table: Table) -> LabelsFile:
    """Find the image of each row: by its path, else by its name where nothing speaks against it.

    A name has to be unique among the images and among the rows, and the folder of a row unknown:
    in a folder that is there, the file itself is missing.
    """
    names: dict[str, set[Path]] = {}
    for file in files:
        folders = [place for place in (base, path.parent) if file.is_relative_to(place)]
        places = {file.relative_to(folder).as_posix() for folder in folders} | {file.name}
        for name in map(display_name, places):
            names.setdefault(name, set()).add(file)
            names.setdefault(name.removesuffix(file.suffix), set()).add(file)
    places_of_rows = [_place(row) for row in table.rows]
    known = {name.rpartition("/")[0] for name in names}
    rivals = Counter(name for _, name in set(places_of_rows))
    matched, lost = [], []
    part = meaning(path.stem).part
    for row, (folder, name) in zip(table.rows, places_of_rows, strict=True):
        found = names.get(f"{folder}/{name}" if folder else name, set())
        if not found and folder not in known and rivals[name] == 1:
            found = names.get(name, set())
        if len(found) > 1 and part is not None:  # train.csv names the images in train/
            found = {file for file in found if part in _parts_of(file, base)}
        if len(found) == 1:
            matched.append((row, next(iter(found))))
        else:
            lost.append(row)
    used = {file for _, file in matched}
    unnamed = tuple(file for file in files if file not in used)
    return LabelsFile(path, base, tuple(matched), tuple(lost), unnamed, table.text)


def _place(row: Row) -> tuple[str, str]:
    """Return the folder that a row names, empty for none, and the name of its file."""
    folder, _, name = display_name(row.file.replace("\\", "/")).removeprefix("./").rpartition("/")
    return folder, name


def _agree(folder: str, other: str) -> bool:
    """Return whether two folders may be the same one, seen from different places above it."""
    given, found = (PurePosixPath(one).parts for one in (folder, other))
    count = min(len(given), len(found))
    return given[len(given) - count :] == found[len(found) - count :]


def _parts_of(file: Path, base: Path) -> set[Part | None]:
    return {meaning(folder).part for folder in file.relative_to(base).parts[:-1]}
