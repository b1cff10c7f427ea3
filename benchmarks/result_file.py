"""Shared by the benchmarks: the option ``--json``, files of results, and means over seeds."""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tapetum.provenance import stamp
from tapetum.records import write_atomically

__all__ = ["Rows", "add_json_option", "as_text", "once", "write_result"]


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


@dataclass(frozen=True)
class Rows:
    """One row for each training, written after each of them, since that takes minutes.

    Rows of earlier runs of the command stay in the file; an equal case and seed is replaced.

    Attributes:
        path: The file of the result, or None.
        means: Columns of which there are means over the rows of a ``case``.
        facts: What all rows share.
        rows: The rows by case and seed.
    """

    path: Path | None
    means: Sequence[str]
    facts: Mapping[str, object] = field(default_factory=dict)
    rows: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            earlier = json.loads(self.path.read_text())["runs"]
            self.rows.update({(row["case"], row["seed"]): row for row in earlier})

    def add(self, row: dict[str, Any]) -> None:
        """Print a row, which has a case and a seed, and write all of them with their means."""
        sys.stdout.write(json.dumps(row) + "\n")
        made = stamp(seed=row["seed"]).model_dump(mode="json")
        self.rows[row["case"], row["seed"]] = row | {"commit": made["commit"]}
        known = {"mean": self.mean(), "runs": list(self.rows.values()), "provenance": made}
        write_result({**self.facts, **known}, self.path)

    def mean(self) -> dict[str, dict[str, float]]:
        """Return the means over the seeds of each case."""
        found = {}
        for case in dict.fromkeys(case for case, _ in self.rows):
            alike = [row for (other, _), row in self.rows.items() if other == case]
            found[case] = {
                name: statistics.fmean(row[name] for row in alike) for name in self.means
            }
        return found
