"""A table of labels: a CSV file with a row for each image, or for each box in an image.

::

    file,label,split,left,top,right,bottom
    images/a.png,scratch,train,10,12,40,52

Columns are known by the usual names whatever their case; ``split`` and the box are optional.  Cells
are separated by commas, semicolons, tabs or bars.  Files are named by their path, by their name, or
by their name without its ending.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tapetum.data.layout import Findings, ImageFile, PartFiles, doubt, quoted
from tapetum.data.names import Part, meaning
from tapetum.errors import DataError, InputError
from tapetum.images import LeftOut, display_name
from tapetum.records import read_bytes

__all__ = ["LabelsFile", "find_labels", "read_labels"]

_SUFFIXES = (".csv", ".tsv", ".tab")
_COLUMNS: Mapping[str, frozenset[str]] = {
    "file": frozenset(
        {"file", "filename", "filepath", "filenames", "files", "image", "imagename", "imagepath"}
        | {"images", "imageid", "imagefile", "img", "imgname", "imgpath", "path", "name", "id"}
        | {"photo", "picture"}
    ),
    "label": frozenset(
        {"label", "labels", "class", "classname", "classes", "category", "target", "diagnosis"}
        | {"dx", "y", "species", "type", "tag", "grade", "defect", "labelname"}
    ),
    "split": frozenset({"split", "part", "set", "subset", "phase", "usage", "partition"}),
    "left": frozenset({"left", "xmin", "x1", "x0", "x", "bboxx", "boxleft"}),
    "top": frozenset({"top", "ymin", "y1", "y0", "y", "bboxy", "boxtop"}),
    "right": frozenset({"right", "xmax", "x2", "boxright"}),
    "bottom": frozenset({"bottom", "ymax", "y2", "boxbottom"}),
    "width": frozenset({"w", "boxwidth", "bboxwidth", "bboxw"}),
    "height": frozenset({"h", "boxheight", "bboxheight", "bboxh"}),
    "box": frozenset({"box", "bbox", "boundingbox"}),
}
_ENOUGH = 0.5  # share of rows whose file must be there, before a table is taken unasked

Box = tuple[float, float, float, float]


class _Row(NamedTuple):
    number: int
    file: str
    label: str
    split: str
    box: Box | None


class LabelsFile(NamedTuple):
    """A table of labels with the images that it names.

    Attributes:
        path: The table.
        base: The folder of the images.
        rows: Rows whose image is there, each with it.
        lost: Rows whose image is missing.
        unnamed: Images that no row names.
    """

    path: Path
    base: Path
    rows: tuple[tuple[_Row, Path], ...]
    lost: tuple[_Row, ...]
    unnamed: tuple[Path, ...]

    def parts(self, found: Findings) -> dict[Part | None, PartFiles]:
        """Return the images of each part that the table names, or of all under None.

        Raises:
            DataError: An image has two labels, or a part has an unknown name.
        """
        shown = display_name(self.path.name)
        found.left_out = [entry for entry in found.left_out if entry.path != self.path]
        found.notes.append(f"labels come from the table {shown!r}")
        found.leave_out(self.unnamed, f"the table {shown!r} has no row for it")
        for row in self.lost:
            reason = f"row {row.number} of the table {shown!r} names it, but no single image is it"
            found.leave_out([self.base / row.file], reason)
        parts: dict[Part | None, list[ImageFile]] = {}
        for image, split in self._images(found):
            parts.setdefault(self._part(split), []).append(image)
        if None in parts and len(parts) > 1:
            raise DataError(
                f"some rows of {shown} have a split and others have none",
                "give every row a split, or remove the column",
            )
        if len({file.box is None for files in parts.values() for file in files}) > 1:
            raise DataError(
                f"some rows of {shown} have a box and others have none",
                "give every row a box, or remove the columns",
            )
        names = sorted({str(file.class_name) for files in parts.values() for file in files})
        return {
            part: PartFiles(tuple(files), _present(files, names)) for part, files in parts.items()
        }

    def compare(self, read: Mapping[Part | None, PartFiles], base: Path, found: Findings) -> None:
        """Refuse a table that disagrees with the folders of classes; one that agrees is not used.

        Raises:
            DataError: The table and the folders label images in different ways.
        """
        by_folder = {file.path: file.class_name for part in read.values() for file in part.files}
        pairs = {(row.label, by_folder[path]) for row, path in self.rows if path in by_folder}
        labels, classes = {label for label, _ in pairs}, {name for _, name in pairs}
        if len(pairs) == len(labels) == len(classes):  # one to one
            agrees = LeftOut(self.path, "its labels agree with the folders, which are taken")
            found.left_out = [agrees if one.path == self.path else one for one in found.left_out]
            return
        shown = display_name(self.path.name)
        raise doubt(
            base,
            (
                f"folders are classes: {quoted(str(name) for name in classes)}",
                "add --layout classes",
            ),
            (f"the table {shown!r} has the labels {quoted(labels)}", f"add --labels {self.path}"),
        )

    def _images(self, found: Findings) -> Iterable[tuple[ImageFile, str]]:
        """Yield an image for each row, or one for equal rows, with the name of its part."""
        labels: dict[tuple[Path, Box | None], _Row] = {}
        for row, path in self.rows:
            if not row.label:
                found.leave_out([path], f"row {row.number} of the table gives it no label")
                continue
            first = labels.setdefault((path, row.box), row)
            if (first.label, first.split) != (row.label, row.split):
                raise DataError(
                    f"{display_name(self.path)} has two labels for {row.file!r}: {first.label!r} "
                    f"in row {first.number} and {row.label!r} in row {row.number}",
                    "keep one label for each image, or give each row its box",
                )
        for (path, box), row in labels.items():
            inside = path.relative_to(self.base).parts
            group = display_name(inside[-2]) if len(inside) > 1 else ""
            yield ImageFile(path, None, row.label, box=box, group=group), row.split

    def _part(self, split: str) -> Part | None:
        if not split:
            return None
        part = meaning(split).part
        if part is None:
            raise DataError(
                f"{display_name(self.path)} has the unknown split {split!r}",
                "use train, val and test",
            )
        return part


def read_labels(path: Path, files: Sequence[Path], base: Path) -> LabelsFile:
    """Read a table of labels.

    Args:
        path: The table.
        files: All images of the folder.
        base: The folder of the images.

    Raises:
        DataError: The table cannot be read, has no such columns, or names none of the images.
    """
    shown = display_name(path)
    header, rows = _cells(path)
    columns = _columns(header)
    if columns is None:
        raise DataError(
            f"{shown} has no columns for files and labels, but {quoted(header)}",
            "name two of its columns 'file' and 'label'",
        )
    table = _matched(path, files, base, list(_rows(rows, columns)))
    if not table.rows:
        named = table.lost[0].file if table.lost else ""
        raise DataError(
            f"{shown} names no image of {display_name(base)}"
            f"{f'; its first file is {named!r}' if named else ''}",
            "give files by their path in the folder, or by their name",
        )
    return table


def find_labels(
    left_out: Sequence[LeftOut], files: Sequence[Path], base: Path
) -> LabelsFile | None:
    """Return the table of labels that lies in a folder, None where there is none.

    Raises:
        DataError: There are several.
    """
    tables = []
    for path, _ in left_out:
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            continue
        try:
            table = read_labels(path, files, base)
        except InputError:  # of which a DataError is one
            continue
        if len(table.rows) >= _ENOUGH * (len(table.rows) + len(table.lost)):
            tables.append(table)
    if len(tables) > 1:
        raise doubt(
            base,
            *(
                (
                    f"labels come from {display_name(table.path.name)!r}",
                    f"add --labels {table.path}",
                )
                for table in tables
            ),
        )
    return tables[0] if tables else None


def _cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of a table."""
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    first = text.partition("\n")[0]
    separator = max(",;\t|", key=first.count)
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{display_name(path)} is no table: {error}", "save it as CSV") from error
    if not rows:
        raise DataError(f"{display_name(path)} is empty", "give a table of files and labels")
    return rows[0], rows[1:]


def _columns(header: Sequence[str]) -> dict[str, int] | None:
    """Return the place of each known column; None without files or labels."""
    plain = ["".join(c for c in name.casefold() if c.isalnum()) for name in header]
    columns = {}
    for column, names in _COLUMNS.items():
        places = [place for place, name in enumerate(plain) if name in names]
        if places:
            columns[column] = places[0]
    is_label_y = columns.get("label") == columns.get("top") and "left" in columns
    if not {"file", "label"} <= columns.keys() or is_label_y:
        return None
    return columns


def _rows(rows: Sequence[Sequence[str]], columns: Mapping[str, int]) -> Iterable[_Row]:
    for number, cells in enumerate(rows, start=2):
        given = {
            column: cells[place].strip() if place < len(cells) else ""
            for column, place in columns.items()
        }
        if given["file"]:
            split = given.get("split", "")
            yield _Row(number, given["file"], given["label"], split, _box(given, number))


def _box(given: Mapping[str, str], number: int) -> Box | None:
    """Return the box of a row, None where it has none."""
    if given.get("box"):
        texts = given["box"].strip("[]()").replace(",", " ").split()
    elif {"left", "top", "right", "bottom"} <= given.keys():
        texts = [given[name] for name in ("left", "top", "right", "bottom")]
    elif {"left", "top", "width", "height"} <= given.keys():
        texts = [given[name] for name in ("left", "top", "width", "height")]
    else:
        return None
    if not any(texts):
        return None
    try:
        left, top, right, bottom = (float(text) for text in texts)
    except ValueError as error:
        raise DataError(
            f"row {number} of the table has no box of four numbers: {' '.join(texts)!r}",
            "give left, top, right and bottom in pixels",
        ) from error
    if "width" in given and "right" not in given and not given.get("box"):
        right, bottom = left + right, top + bottom
    return left, top, right, bottom


def _matched(path: Path, files: Sequence[Path], base: Path, rows: Sequence[_Row]) -> LabelsFile:
    """Find the image of each row: by its path, else by its name where that is unique."""
    names: dict[str, set[Path]] = {}
    for file in files:
        inside = display_name(file.relative_to(base).as_posix())
        beside = (
            display_name(file.relative_to(path.parent).as_posix())
            if (file.is_relative_to(path.parent))
            else inside
        )
        for place in {inside, beside, display_name(file.name)}:
            names.setdefault(place, set()).add(file)
            names.setdefault(place.removesuffix(file.suffix), set()).add(file)
    matched, lost = [], []
    part = meaning(path.stem).part
    for row in rows:
        name = display_name(row.file.replace("\\", "/")).removeprefix("./")
        found = names.get(name) or names.get(name.rpartition("/")[2]) or set()
        if len(found) > 1 and part is not None:  # train.csv names the images in train/
            found = {file for file in found if part in _parts_of(file, base)}
        if len(found) == 1:
            matched.append((row, next(iter(found))))
        else:
            lost.append(row)
    used = {file for _, file in matched}
    unnamed = tuple(file for file in files if file not in used)
    return LabelsFile(path, base, tuple(matched), tuple(lost), unnamed)


def _parts_of(file: Path, base: Path) -> set[Part | None]:
    return {meaning(folder).part for folder in file.relative_to(base).parts[:-1]}


def _present(files: Sequence[ImageFile], names: Sequence[str]) -> tuple[str, ...]:
    present = {file.class_name for file in files}
    return tuple(name for name in names if name in present)
