"""The rows of a job: JSON Lines that a kill can only shorten.

The rows of one file are written together, as its last step. What a kill leaves of them after the
last complete image is cut off when the job goes on, and that image is predicted again.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.records import Record, write_atomically
from tapetum.runtime.bulk.plan import WHOLE, Shard, digest_of

__all__ = [
    "ROWS",
    "STEM",
    "DoneImages",
    "PredictionRow",
    "RowsFile",
    "blocks",
    "digests_in",
    "drop_failures",
    "path_of",
    "read_rows",
    "row_files",
    "writing",
]

STEM, SUFFIX = "predictions", ".jsonl"
ROWS = STEM + SUFFIX


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
        brightness: The mean value of what each label is made from, where white is 1.
        warnings: What was guessed or changed, and what makes the label doubtful.
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
    brightness: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: str | None = None
    error: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is a prediction."""
        return self.error is None and self.left_out is None


class RowsFile:
    """The rows of one shard, open for more; what a kill has left half-written is cut off."""

    def __init__(self, out: Path, shard: Shard) -> None:
        self._path = path_of(out, shard)
        self._file = self._path.open("ab", buffering=0)
        self._file.truncate(sum(len(block) for _, block in blocks(self._path)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file, writing(self._path):
            os.fsync(self._file.fileno())

    def add(self, rows: Iterable[PredictionRow]) -> None:
        """Write all rows of one file; they survive a kill of this process."""
        left = memoryview(b"".join(_line(row) for row in rows))
        with writing(self._path):
            while left:
                left = left[self._file.write(left) :]


class DoneImages:
    """The images that have rows, in 8 bytes each."""

    def __init__(self, out: Path) -> None:
        found = [digests_in(path) for path in row_files(out)]
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
        for name, block in blocks(path):
            if shard.holds(digest_of(name)):
                for line in block.splitlines():
                    yield PredictionRow.from_json(line, source=f"a row of {path}")


def drop_failures(path: Path, shard: Shard = WHOLE) -> None:
    """Drop the rows of a file without a prediction, so that their images are tried again.

    Args:
        path: The file, which nobody else writes to; there may be none.
        shard: The part of the images whose rows are looked at.
    """

    def is_kept(name: str, block: bytes) -> bool:
        return not shard.holds(digest_of(name)) or _has_prediction(block)

    if not all(is_kept(*entry) for entry in blocks(path)):
        with writing(path):
            write_atomically(path, (block for name, block in blocks(path) if is_kept(name, block)))


def _has_prediction(block: bytes) -> bool:
    row = json.loads(block.partition(b"\n")[0])  # the only one of a file that failed
    return row.get("error") is None and row.get("left_out") is None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file in the error of a full disk."""
    try:
        yield
    except OSError as error:
        problem = f"cannot write {path}: {error.strerror or error}"
        raise DataError(problem, "make room, then continue with --resume") from error


def _line(row: PredictionRow) -> bytes:
    values = row.model_dump(mode="json")
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def blocks(path: Path) -> Iterator[tuple[str, bytes]]:
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
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("name"), str) else None


def digests_in(path: Path) -> NDArray[np.uint64]:
    """Return the digest of each image in a file of rows."""
    return np.fromiter((digest_of(name) for name, _ in blocks(path)), np.uint64)
