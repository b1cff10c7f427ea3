"""Renders the tables of ``docs/equal_latency.md`` from the result of the benchmark."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = "benchmarks/results/equal_latency.json"
STUDY = "paper/results/reproduction/small/old_search"
DATASETS = {
    "imagenette128": "Photographs, 64 px, 10 classes",
    "neu_cls": "Steel surfaces, 128 px, 6 classes",
    "digit-crops": "Digits, 28 px, 10 classes",
}
BUDGETS = (0.9, 0.45, 0.225)
ROWS = {
    "fit": "`tapetum fit`",
    "int8": "the same network in int8",
    "rule": "`tapetum fit --method none`",
    "plain": "plain DC-Net",
    "mbconv": "plain MBConv network",
    "pair": "MobileNetV3-small and UNet-S",
    "published": "published DC-NAS S",
}
NOT_RUN = "not run"

Cell = dict[str, Any]


def render(root: Path, depth: str) -> str:
    """Return all tables; cells without a result say so.

    Args:
        root: The repository.
        depth: The way from the page to it.
    """
    path = root / FILE
    result = json.loads(path.read_text()) if path.exists() else {"cells": []}
    cells = result["cells"]
    parts = [f"### {title}\n\n{_table(name, cells)}" for name, title in DATASETS.items()]
    parts += [f"### Fit against the plain DC-Net\n\n{_gains(cells)}", _study(root, depth)]
    if cells:
        made, minutes = result["provenance"], [one["minutes"] for one in cells if "minutes" in one]
        parts.append(
            f"{result['requested_minutes']:g} minutes were requested of each training, and "
            f"{min(minutes):.1f} to {max(minutes):.1f} were taken; one core, {made['cpu']}, commit "
            f"{made['commit'][:7]}. File: [equal_latency.json]({depth}{FILE})."
        )
    return "\n\n".join(parts)


def _table(dataset: str, cells: Sequence[Cell]) -> str:
    """Return a row for each network and a column for each budget."""
    header = ("network", *(f"budget {budget:g} x" for budget in BUDGETS))
    rows = [
        (title, *(_shown(_found(cells, dataset, budget, row)) for budget in BUDGETS))
        for row, title in ROWS.items()
    ]
    return _lines(header, rows)


def _found(cells: Sequence[Cell], dataset: str, budget: float, row: str) -> list[Cell]:
    """Return the cells of all seeds."""
    asked = (dataset, budget, row)
    return [c for c in cells if (c["dataset"], c["budget_x_of_b20"], c["row"]) == asked]


def _shown(seeds: Sequence[Cell]) -> str:
    """Return latency and scores over the seeds."""
    scored = [cell for cell in seeds if "missing" not in cell]
    if not scored:
        return seeds[0]["missing"] if seeds else NOT_RUN
    latency = statistics.median(cell["x_of_b20"] for cell in scored)
    accuracy = _spread([100 * cell["accuracy"] for cell in scored], 1)
    decibels = _spread([cell["psnr_db"] for cell in scored], 2)
    few = "" if len(scored) >= 3 else f" ({len(scored)} of 3 seeds)"
    return f"{latency:.2f} x: {accuracy} %, {decibels} dB{few}"


def _spread(values: Sequence[float], digits: int) -> str:
    """Return the mean with the standard deviation over the seeds."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def _gains(cells: Sequence[Cell]) -> str:
    """Return by how much a fit is better than the plain network."""
    rows = []
    for dataset, title in DATASETS.items():
        for budget in BUDGETS:
            pairs = [_found(cells, dataset, budget, row) for row in ("fit", "plain")]
            ours, theirs = ([one for one in some if "missing" not in one] for some in pairs)
            rows.append(
                (
                    title.partition(",")[0],
                    f"{budget:g} x",
                    _gain(ours, theirs, "accuracy", 100, 1),
                    _gain(ours, theirs, "psnr_db", 1, 2),
                )
            )
    return _lines(("images", "budget", "points", "dB"), rows)


def _gain(ours: Sequence[Cell], theirs: Sequence[Cell], name: str, scale: int, digits: int) -> str:
    """Return the difference of the means, with its standard error over the seeds."""
    if not ours or not theirs:
        return NOT_RUN
    both = [[scale * cell[name] for cell in some] for some in (ours, theirs)]
    gain = f"{statistics.fmean(both[0]) - statistics.fmean(both[1]):+.{digits}f}"
    if min(map(len, both)) < 2:
        return gain
    error = sum(statistics.variance(some) / len(some) for some in both) ** 0.5
    return f"{gain} ± {error:.{digits}f}"


def _study(root: Path, depth: str) -> str:
    """Return what the published search reached by the recipe of the paper's study."""
    paths = sorted((root / STUDY).glob("dc-nas-s_study_seed*.json"))
    means = [json.loads(path.read_text())["result"]["scores"]["mean"] for path in paths]
    accuracy = _spread([100 * mean["accuracy"] for mean in means], 1)
    decibels = _spread([mean["psnr_db"] for mean in means], 2)
    links = ", ".join(f"[{path.name}]({depth}{STUDY}/{path.name})" for path in paths)
    return (
        f"By the recipe of the paper's study (8 epochs, sigma from 0 to 1) the published DC-NAS S "
        f"reached {accuracy} % and {decibels} dB on the photographs ({links})."
    )


def _lines(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---", *("---:",) * (len(header) - 1)), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
