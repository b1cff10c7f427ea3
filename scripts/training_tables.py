"""Renders the tables of ``docs/training_results.md`` from the results of three benchmarks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cells import NOT_RUN, spread, table

__all__ = ["RENDERERS"]

FOLDER = "benchmarks/results"
SHOWN_LEVELS = ("0", "0.02", "0.05", "0.1", "0.2", "0.5", "1")
METHODS = ("noisy", "wavelet", "non-local means")
HEADERS = {"psnr_db": "PSNR dB"}

Row = dict[str, Any]


def weak_noise(root: Path, depth: str) -> str:
    """Return the PSNR of joint networks at some levels, beside the noisy image and filters."""
    result = _read(root, "never_worse")
    cases = {case: rows for case, rows in _cases(result).items() if case.startswith("joint")}
    names = tuple(f"network {case.split(', ')[1]}" for case in cases)
    some = next(iter(cases.values()))[0]["levels"]
    lines: list[tuple[str, ...]] = []
    for level in SHOWN_LEVELS:
        title = f"gaussian {level}"
        known = (_db([some[title][f"{name}_db"]]) for name in METHODS)
        ours = (_db([row["levels"][title]["network_db"] for row in of]) for of in cases.values())
        lines.append((level, *known, *ours))
    accuracies = (_percent([row["accuracy"] for row in rows]) for rows in cases.values())
    lines.append(("accuracy", *("",) * len(METHODS), *accuracies))
    header = ("noise sigma", *METHODS, *names)
    return f"{table(header, lines)}\n\n{_made(result, 'never_worse', depth, cases)}"


def pairs(root: Path, depth: str) -> str:
    """Return the PSNR of denoisers of pairs, beside the noisy image and filters."""
    result = _read(root, "never_worse")
    cases = {case: rows for case, rows in _cases(result).items() if case.startswith("pairs")}
    trained = {case: rows for case, rows in cases.items() if "levels" in rows[0]}
    some = next(iter(trained.values()))[0]["levels"]["as given"]
    bm3d = [row["psnr_db"] for row in cases.get("pairs, BM3D", ())]
    known = [(name, _db([some[f"{name}_db"]])) for name in METHODS]
    ours = [
        (f"network {case.removeprefix('pairs, ')}", _db([row["psnr_db"] for row in rows]))
        for case, rows in trained.items()
    ]
    rows = [*known, ("BM3D", _db(bm3d) if bm3d else NOT_RUN), *ours]
    return f"{table(('images', 'PSNR dB'), rows)}\n\n{_made(result, 'never_worse', depth, trained)}"


def small_folder(root: Path, depth: str) -> str:
    """Return the scores of networks that learn from 90 images."""
    titles = {
        "half": "half-size network, random weights",
        "mobile": "MBConv network, random weights",
        "mobile-pretrained": "MBConv network, started from EfficientNet-Lite0",
    }
    return _by_case(root, depth, "small_folder", ("network", titles), "accuracy", "psnr_db")


def uneven_labels(root: Path, depth: str) -> str:
    """Return the scores of networks that learn from uneven classes."""
    titles = {
        "before": "reduced DC-Net, recipe of November 28, 2026",
        "none": "default network, `--balance none`",
        "auto": "default network, `--balance auto`",
    }
    columns = ("macro_accuracy", "accuracy", "psnr_db", "calibration_error")
    return _by_case(root, depth, "uneven_labels", ("training", titles), *columns)


def _by_case(
    root: Path, depth: str, name: str, first: tuple[str, Mapping[str, str]], *columns: str
) -> str:
    """Return a row for each case, behind its title, and a column for each score."""
    result, (corner, titles) = _read(root, name), first
    cases = _cases(result)
    rows = [
        (title, *(_shown(cases.get(case, ()), column) for column in columns))
        for case, title in titles.items()
    ]
    header = (corner, *(HEADERS.get(column, column.replace("_", " ")) for column in columns))
    return f"{table(header, rows)}\n\n{_made(result, name, depth, cases)}"


def _shown(rows: Sequence[Row], column: str) -> str:
    values = [row[column] for row in rows]
    if not values:
        return NOT_RUN
    if column == "calibration_error":
        return spread(values, 3)
    return _db(values) if column == "psnr_db" else _percent(values)


RENDERERS = {one.__name__: one for one in (weak_noise, pairs, small_folder, uneven_labels)}


def _read(root: Path, name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((root / FOLDER / f"{name}.json").read_text())
    return result


def _cases(result: Mapping[str, Any]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in result["runs"]:
        found.setdefault(row["case"], []).append(row)
    return found


def _db(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return spread(known, 2) if known else "-"


def _percent(shares: Sequence[float]) -> str:
    return f"{spread([100 * share for share in shares], 1)} %"


def _made(result: Mapping[str, Any], name: str, depth: str, cases: Mapping[str, list[Row]]) -> str:
    """Return the seeds of the trainings, the machine, and the file."""
    counts = sorted({len(rows) for rows in cases.values()})
    seeds = " or ".join(map(str, counts))
    spread = ", mean ± standard deviation" if counts[-1] > 1 else ""
    return (
        f"{seeds} seed{'s' * (counts[-1] > 1)}{spread}; one core, {result['provenance']['cpu']}. "
        f"Command: `benchmarks/{name}.py`. File: [{name}.json]({depth}{FOLDER}/{name}.json)."
    )
