"""Shared by the benchmarks: the option ``--json`` and the file it writes."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["add_json_option", "as_text", "write_result"]


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
