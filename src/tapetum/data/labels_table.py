"""The rows of a table of labels: a CSV file whose columns have the usual names in any case.

Cells are separated by commas, semicolons, tabs or bars.  A box is given by its edges, by a corner
with width and height, or by four numbers in one cell.
"""

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tapetum.data.layout import Box, quoted
from tapetum.errors import DataError
from tapetum.images import display_name
from tapetum.records import read_bytes

__all__ = ["Row", "Table", "read_rows"]

_COLUMNS: Mapping[str, frozenset[str]] = {
    "file": frozenset(
        {"file", "filename", "filepath", "filenames", "files", "image", "imagename", "imagepath"}
        | {"images", "imagefile", "img", "imgname", "imgpath", "path", "photo", "picture"}
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
    "width": frozenset({"w", "boxwidth", "bboxwidth", "bboxw", "width"}),
    "height": frozenset({"h", "boxheight", "bboxheight", "bboxh", "height"}),
    "box": frozenset({"box", "bbox", "boundingbox"}),
}
_NUMBERED = frozenset({"name", "imageid", "id"})  # files, where no other column has them
_EDGES = ("left", "top", "right", "bottom")
_CORNER_AND_SIZE = ("left", "top", "width", "height")


class Row(NamedTuple):
    """A row of a table, with its number in the file; an empty text where a cell is empty."""

    number: int
    file: str
    label: str
    split: str
    box: Box | None


class Table(NamedTuple):
    """The rows of a table that name a file.

    Attributes:
        rows: The rows.
        columns: The names of the columns that were read, by what they mean.
        unused: Columns of a part of a box, without the rest of it.
    """

    rows: tuple[Row, ...]
    columns: Mapping[str, str]
    unused: tuple[str, ...]

    @property
    def text(self) -> str:
        """Which columns were read, in words."""
        said = [
            f"{name} from the column {column!r}"
            for name, column in self.columns.items()
            if column.casefold() != name and name != "box"
        ]
        if "box" in self.columns:
            said.append(f"{', '.join(_EDGES)} of boxes from the column {self.columns['box']!r}")
        if self.unused:
            said.append(f"no whole box in {quoted(self.unused)}, so labels are of whole images")
        return f" ({', '.join(said)})" if said else ""


def read_rows(path: Path) -> Table:
    """Read the rows that name a file.

    Raises:
        InputError: The table cannot be read, or has no columns for files and labels.
    """
    header, *rows = _cells(path)
    places = _columns(header)
    if not {"file", "label"} <= places.keys():
        raise DataError(
            f"{display_name(path)} has no columns for files and labels, but {quoted(header)}",
            "name two of its columns 'file' and 'label'",
        )
    unused = _parts_of_boxes(places)
    read = []
    for number, cells in enumerate(rows, start=2):
        cells += [""] * (len(header) - len(cells))
        given = {column: cells[place].strip() for column, place in places.items()}
        if given["file"]:
            split = given.get("split", "")
            read.append(Row(number, given["file"], given["label"], split, _box(given, number)))
    if "box" in places:
        _refuse_sizes(read)
    columns = {name: header[place] for name, place in places.items() if name not in unused}
    return Table(tuple(read), columns, tuple(header[places[name]] for name in unused))


def _refuse_sizes(rows: Sequence[Row]) -> None:
    """Refuse boxes of one column that cannot be edges: many tools write corner and size there."""
    boxes = [(row.number, row.box) for row in rows if row.box is not None]
    empty = [(n, box) for n, box in boxes if box[2] <= box[0] or box[3] <= box[1]]
    if empty:
        number, box = empty[0]
        shown = ", ".join(f"{edge:g}" for edge in box)
        raise DataError(
            f"{len(empty):,} of {len(boxes):,} boxes are not left, top, right, bottom, such as "
            f"{shown} in row {number}",
            "if they are x, y, width and height, give these in columns x, y, w and h",
        )


def _parts_of_boxes(columns: Collection[str]) -> tuple[str, ...]:
    """Return the columns of a box that have no use: width and height alone are of the image."""
    known = set(columns)
    is_whole = "box" in known or known >= set(_EDGES) or known >= set(_CORNER_AND_SIZE)
    if is_whole or known.isdisjoint(_EDGES):
        return ()
    return tuple(name for name in (*_EDGES, "width", "height") if name in known)


def _cells(path: Path) -> list[list[str]]:
    """Return the cells of each row, those of the heading first."""
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    separator = max(",;\t|", key=text.partition("\n")[0].count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{display_name(path)} is no table: {error}", "save it as CSV") from error
    if not rows:
        raise DataError(f"{display_name(path)} is empty", "give a table of files and labels")
    return rows


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Return the place of each known column, of the first where several would do."""
    plain = ["".join(c for c in name.casefold() if c.isalnum()) for name in header]

    def first(names: frozenset[str], *, without: int | None = None) -> int | None:
        places = (place for place, name in enumerate(plain) if name in names and place != without)
        return next(places, None)

    found = {column: first(names) for column, names in _COLUMNS.items()}
    if found["file"] is None:
        found["file"] = first(_NUMBERED)
    if found["left"] is not None:  # a column y beside x is the edge of a box
        found["label"] = first(_COLUMNS["label"], without=found["top"])
    return {column: place for column, place in found.items() if place is not None}


def _box(given: Mapping[str, str], number: int) -> Box | None:
    """Return the box of a row, None where it has none."""
    has_size = False
    if given.get("box"):
        texts = given["box"].strip("[]()").replace(",", " ").split()
    else:
        has_size = not given.keys() >= set(_EDGES)
        texts = [given.get(name, "") for name in (_CORNER_AND_SIZE if has_size else _EDGES)]
        if not any(texts) or (has_size and not given.keys() >= set(_CORNER_AND_SIZE)):
            return None
    try:
        left, top, right, bottom = (float(text) for text in texts)
        if not math.isfinite(left + top + right + bottom):
            raise ValueError
    except ValueError as error:
        raise DataError(
            f"row {number} of the table has no box of four numbers: {' '.join(texts)!r}",
            "give left, top, right and bottom in pixels",
        ) from error
    return (left, top, left + right, top + bottom) if has_size else (left, top, right, bottom)
