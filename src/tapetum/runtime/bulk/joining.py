"""Join the rows of all shards, and write them as a table that other programs read at once."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.records import replaced
from tapetum.runtime.bulk.rows import (
    ROWS,
    STEM,
    PredictionRow,
    blocks,
    digests_in,
    read_rows,
    row_files,
    writing,
)

__all__ = ["PARQUET", "join_rows", "write_parquet"]

PARQUET = STEM + ".parquet"

_ROWS_AT_ONCE = 10_000  # in a group of a Parquet file


def join_rows(out: Path) -> None:
    """Join the rows of all shards in one file, sorted by name; an image stays once.

    It can be repeated after a kill at any moment: the files of the shards go last.
    """
    paths = row_files(out)
    if paths == [out / ROWS]:
        return
    digests = [digests_in(path) for path in paths]
    is_first = np.zeros(sum(map(len, digests)), np.bool_)
    is_first[np.unique(np.concatenate(digests), return_index=True)[1]] = True
    flags = np.split(is_first, np.cumsum([len(each) for each in digests])[:-1])
    sources = [_kept(path, each) for path, each in zip(paths, flags, strict=True)]
    with writing(out / ROWS), replaced(out / ROWS) as file:
        for _, block in heapq.merge(*sources, key=lambda entry: entry[0].split("/")):
            file.write(block)
    for path in paths:
        if path.name != ROWS:
            path.unlink()


def write_parquet(out: Path) -> None:
    """Write the joined rows as a Parquet file beside them."""
    import pyarrow
    from pyarrow import parquet

    path, schema = out / PARQUET, _schema(pyarrow)
    with writing(path), replaced(path) as file, parquet.ParquetWriter(file, schema) as writer:
        for rows in _groups(read_rows(out)):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _kept(path: Path, flags: NDArray[np.bool_]) -> Iterator[tuple[str, bytes]]:
    return (entry for entry, flag in zip(blocks(path), flags, strict=True) if flag)


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
        **dict.fromkeys(("brightness", "confidences"), pyarrow.list_(number)),
        **dict.fromkeys(("labels", "warnings"), pyarrow.list_(text)),
        **dict.fromkeys(("latency_ms", "prepare_ms"), number),
        **dict.fromkeys(("frame", "num_frames", "width_px", "height_px", "passes"), whole),
        "tiled": pyarrow.bool_(),
    }
    return pyarrow.schema([(name, kinds.get(name, text)) for name in PredictionRow.model_fields])
