"""Shared by the benchmarks: the option ``--json``, files of results, and means over seeds."""

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tapetum.records import write_atomically

__all__ = ["add_json_option", "as_text", "means_of", "once", "write_result"]


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--json FILE`` to the options of a benchmark."""
    parser.add_argument("--json", type=Path, help="also write the result here")


def as_text(result: Mapping[str, object]) -> str:
    """Return a result as indented JSON that ends with a newline."""
    return json.dumps(result, indent=2) + "\n"


def write_result(result: Mapping[str, object], path: Path | None) -> None:
    """Write a result as JSON, and the folder around it, where a file is requested."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text(result))


def once(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a file holds; where there is none it is made first."""
    if not path.exists():
        made = make()
        if not path.exists():  # nor has another process written it
            write_atomically(path, as_text(made).encode())
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def means_of(
    rows: Sequence[Mapping[str, Any]], by: str, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the means of some numbers over the rows that are alike in ``by``."""
    found = {}
    for kind in dict.fromkeys(row[by] for row in rows):
        alike = [row for row in rows if row[by] == kind]
        found[kind] = {name: statistics.fmean(row[name] for row in alike) for name in names}
    return found
