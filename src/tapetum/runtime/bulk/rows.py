"""The rows of a job: JSON Lines that a kill can only shorten.

The rows of one file are written together, as its last step. What a kill leaves of them after the
last complete image is cut off when the job goes on, and that image is predicted again.
"""

import heapq
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import MissingExtraError
from tapetum.records import Record
from tapetum.runtime.bulk.plan import WHOLE, Shard, digest_of

__all__ = [
    "DoneImages",
    "PredictionRow",
    "RowsFile",
    "join_rows",
    "path_of",
    "read_rows",
    "row_files",
    "write_parquet",
]

STEM, SUFFIX = "predictions", ".jsonl"
ROWS = STEM + SUFFIX
_ROWS_AT_ONCE = 10_000  # in a group of a Parquet file


class PredictionRow(Record):
    """The prediction for one image, or for one frame of a file; or why there is none.

    Labels, confidences, passes and tiling are those of
    :class:`Prediction`.

    Attributes:
        name: Path of the image in its folder; no other image of the job has it.
        image: The input file.
        frame: Number of the frame in the file, from 0.
        num_frames: Number of frames of the file.
        width_px: Width of the image; None if it could not be read.
        height_px: Height of the image; None if it could not be read.
        labels: The label of the image, or of each box.
        confidences: The probability of each label.
        by_class: The probability of each class for each label, the most probable first; only where
            they are requested.
        latency_ms: Time in the network, in milliseconds.
        prepare_ms: Time to prepare the image for the network, in milliseconds.
        passes: Number of passes of the network.
        tiled: Whether the image was cut into tiles.
        denoised: The denoised file, if any.
        noisy: The file with added noise, if any.
        warnings: What was guessed or changed.
        left_out: Why the file is not an image of the job, if so.
        error: Why the prediction failed, if it did.
    """

    name: str
    image: str
    frame: int = 0
    num_frames: int = 1
    width_px: int | None = None
    height_px: int | None = None
    labels: tuple[str, ...] = ()
    confidences: tuple[float, ...] = ()
    by_class: tuple[dict[str, float], ...] = ()
    latency_ms: float | None = None
    prepare_ms: float | None = None
    passes: int = 0
    tiled: bool = False
    denoised: str | None = None
    noisy: str | None = None
    warnings: tuple[str, ...] = ()
    left_out: str | None = None
    error: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is a prediction."""
        return self.error is None and self.left_out is None


class RowsFile:
    """The rows of one shard, open for more; what a kill has left half-written is cut off."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._file.truncate(sum(len(block) for _, block in _blocks(path)))

    @classmethod
    def of(cls, out: Path, shard: Shard) -> Self:
        """Open the file of a shard."""
        return cls(path_of(out, shard))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def add(self, rows: Iterable[PredictionRow]) -> None:
        """Write all rows of one file; they survive a kill of this process."""
        self._file.write(b"".join(_line(row) for row in rows))
        self._file.flush()


class DoneImages:
    """The images that have rows, in 8 bytes each."""

    def __init__(self, out: Path) -> None:
        found = [_digests(path) for path in row_files(out)]
        self._digests = np.unique(np.concatenate([np.empty(0, np.uint64), *found]))

    def count(self, shard: Shard) -> int:
        """Return how many of them belong to a shard."""
        return int(np.count_nonzero(self._digests % shard.count == shard.index - 1))

    def __contains__(self, digest: Any) -> bool:
        place = int(np.searchsorted(self._digests, np.uint64(digest)))
        return place < len(self._digests) and int(self._digests[place]) == digest


def path_of(out: Path, shard: Shard) -> Path:
    """Return the file that a shard writes its rows to."""
    return out / f"{STEM}{shard.suffix}{SUFFIX}"


def row_files(out: Path) -> list[Path]:
    """Return the files with rows that there are, whatever shards wrote them."""
    return sorted(out.glob(f"{STEM}*{SUFFIX}"))


def read_rows(out: Path, shard: Shard = WHOLE) -> Iterator[PredictionRow]:
    """Yield the rows of a job one by one, also while it runs.

    Args:
        out: The folder of the job.
        shard: The part of the images whose rows are wanted.
    """
    for path in row_files(out):
        for name, block in _blocks(path):
            if shard.holds(digest_of(name)):
                for line in block.splitlines():
                    yield PredictionRow.model_validate(json.loads(line))


def join_rows(out: Path) -> None:
    """Join the rows of all shards in one file, sorted by name; an image stays once.

    It can be repeated after a kill at any moment: the files of the shards go last.
    """
    paths = row_files(out)
    if paths == [out / ROWS]:
        return
    digests = [_digests(path) for path in paths]
    is_first = np.zeros(sum(map(len, digests)), np.bool_)
    is_first[np.unique(np.concatenate(digests), return_index=True)[1]] = True
    flags = np.split(is_first, np.cumsum([len(each) for each in digests])[:-1])
    sources = [_kept(path, each) for path, each in zip(paths, flags, strict=True)]
    part = out / f".{secrets.token_hex(8)}.part"
    with part.open("xb") as file:
        for _, block in heapq.merge(*sources, key=lambda entry: entry[0].split("/")):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, out / ROWS)
    for path in paths:
        if path.name != ROWS:
            path.unlink()


def write_parquet(out: Path) -> str:
    """Write the joined rows as a Parquet file beside them, and return its name.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError.of("pyarrow", "parquet") from error
    schema = _schema(pyarrow)
    name, part = f"{STEM}.parquet", out / f".{secrets.token_hex(8)}.part"
    with parquet.ParquetWriter(part, schema) as writer:
        for rows in _groups(read_rows(out)):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
    os.replace(part, out / name)
    return name


def _line(row: PredictionRow) -> bytes:
    values = row.model_dump(mode="json")
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def _blocks(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each image whose rows are complete: its name, and its lines.

    They end where a line is torn, or where the rows of a file miss some of its frames.
    """
    if not path.exists():
        return
    lines: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            row = _parsed(line)
            if row is None or row.get("frame", 0) != len(lines):
                return
            lines.append(line)
            if len(lines) == row.get("num_frames", 1):
                yield row["name"], b"".join(lines)
                lines.clear()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("name"), str) else None


def _digests(path: Path) -> NDArray[np.uint64]:
    return np.fromiter((digest_of(name) for name, _ in _blocks(path)), np.uint64)


def _kept(path: Path, flags: NDArray[np.bool_]) -> Iterator[tuple[str, bytes]]:
    return (entry for entry, flag in zip(_blocks(path), flags, strict=True) if flag)


def _groups(rows: Iterator[PredictionRow]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        values = row.model_dump(mode="json")
        values["by_class"] = [list(chances.items()) for chances in row.by_class]
        group.append(values)
        if len(group) == _ROWS_AT_ONCE:
            yield group
            group = []
    yield group


def _schema(pyarrow: Any) -> Any:  # pyarrow has no types
    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int32()
    kinds = {
        "by_class": pyarrow.list_(pyarrow.map_(text, number)),
        "confidences": pyarrow.list_(number),
        **dict.fromkeys(("labels", "warnings"), pyarrow.list_(text)),
        **dict.fromkeys(("latency_ms", "prepare_ms"), number),
        **dict.fromkeys(("frame", "num_frames", "width_px", "height_px", "passes"), whole),
        "tiled": pyarrow.bool_(),
    }
    return pyarrow.schema([(name, kinds.get(name, text)) for name in PredictionRow.model_fields])
