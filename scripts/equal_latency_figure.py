"""Draws accuracy and PSNR over latency from the result of the benchmark at equal latency."""

import hashlib
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from equal_latency_table import DATASETS, Cell, cells_of, noisy_db
from matplotlib.figure import Figure
from PIL import Image

FIGURE = "docs/images/equal_latency.png"
LINES = {
    "fit": ("tapetum fit", "o-"),
    "plain": ("plain DC-Net", "s--"),
    "pair": ("MobileNetV3-small and UNet-S", "D"),
    "published": ("published search", "^"),
    "random": ("random network of its space", "v"),
}
SCORES = {
    "accuracy, %": lambda cell: 100 * cell["accuracy"],
    "PSNR with noise, dB": noisy_db,
}
SOURCE = "Source"  # of the metadata of the figure


class Point(NamedTuple):
    """A network at a budget: its latency, and mean and deviation of a score over the seeds."""

    latency: float
    mean: float
    deviation: float


def curves(root: Path) -> dict[str, dict[str, dict[str, list[Point]]]]:
    """Return the points of each line, by dataset and score; datasets without cells are left out."""
    cells = [cell for cell in cells_of(root) if "missing" not in cell]
    return {
        title: {score: {row: _points(cells, name, row, score) for row in LINES} for score in SCORES}
        for name, title in DATASETS.items()
        if any(cell["dataset"] == name for cell in cells)
    }


def _points(cells: list[Cell], dataset: str, row: str, score: str) -> list[Point]:
    """Return a point for each budget; a network that is the same for all of them has one."""
    alike: dict[Any, list[Cell]] = {}
    for cell in cells:
        if (cell["dataset"], cell["row"]) == (dataset, row):
            budget = cell["budget_x_of_b20"] if row in ("fit", "plain") else None
            alike.setdefault(budget, []).append(cell)
    return sorted(_point(some, score) for some in alike.values())


def _point(cells: list[Cell], score: str) -> Point:
    values = [SCORES[score](cell) for cell in cells]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    latency = statistics.median(cell["x_of_b20"] for cell in cells)
    return Point(latency, statistics.fmean(values), deviation)


def digest(root: Path) -> str:
    """Return what tells one set of points from another."""
    return hashlib.sha256(json.dumps(curves(root)).encode()).hexdigest()


def is_current(root: Path) -> bool:
    """Return whether the figure shows the points of the result."""
    path = root / FIGURE
    if not path.exists():
        return False
    with Image.open(path) as image:
        return bool(image.info.get(SOURCE) == digest(root))


def draw(root: Path) -> None:
    """Draw a column for each dataset and a row for each score."""
    found = curves(root)
    figure = Figure(figsize=(3.6 * len(found), 5.4), layout="constrained")
    grid = figure.subplots(len(SCORES), len(found), squeeze=False, sharex="col")
    for column, (title, scores) in enumerate(found.items()):
        grid[0][column].set_title(title, fontsize=9)
        grid[-1][column].set_xlabel("latency, x of b20")
        for axes, (score, rows) in zip(grid[:, column], scores.items(), strict=True):
            _draw_panel(axes, rows)
            axes.set_ylabel(score)
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(root / FIGURE, dpi=110, metadata={SOURCE: digest(root), "Software": None})


def _draw_panel(axes: Any, rows: dict[str, list[Point]]) -> None:
    """Draw the points of one score of one dataset, with their deviation."""
    for row, (name, style) in LINES.items():
        if rows[row]:
            latencies, means, deviations = zip(*rows[row], strict=True)
            bars = {"yerr": deviations, "capsize": 2, "markersize": 5}
            axes.errorbar(latencies, means, fmt=style, label=name, **bars)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
