"""Renders the tables of README and ``docs/equal_latency.md`` from the result of the benchmark."""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cells import NOT_RUN, spread, table

FILE = "benchmarks/results/equal_latency.json"
STUDY = "paper/results/eight_epochs.json"
PAPER_RESULTS = "paper/results/reproduction/small"
SHAPES = ("16-48-80", "48-112-160")
PAPER_NETWORKS = {
    "dc-net-reduced-integrated": "DC-Net S",
    "dc-net-s-b20": "DC-Net of base width 20 (b20)",
    "dc-nas-s": "published DC-NAS S",
}
DATASETS = {
    "imagenette128": "Photographs, 64 px, 10 classes",
    "neu_cls": "Steel surfaces, 128 px, 6 classes",
    "digit-crops": "Digits, 28 px, 10 classes",
}
BUDGETS = (0.9, 0.45, 0.225, 0.11)
ROWS = {
    "fit": "`tapetum fit`",
    "int8": "the same network in int8",
    "rule": "`tapetum fit --method none`",
    "plain": "plain DC-Net",
    "pair": "MobileNetV3-small and UNet-S",
    "published": "published DC-NAS S",
    "random": "random network of the space of DC-NAS",
}
OF_ANY_BUDGET = ("pair", "published", "random")  # the same network for each
SHARING = ("int8", "pair")  # the training of another row, or the minutes of one
HEADLINE_ROWS, HEADLINE_BUDGET = ("fit", "plain", "pair", "published"), 0.45

Cell = dict[str, Any]


def render(root: Path, depth: str) -> str:
    """Return all tables; cells without a result say so.

    Args:
        root: The repository.
        depth: The way from the page to it.
    """
    result = _read(root)
    cells = result["cells"]
    parts = [f"### {title}\n\n{_table(name, cells)}" for name, title in DATASETS.items()]
    parts += [f"### Fit against the plain DC-Net\n\n{_gains(cells)}", _study(root, depth)]
    minutes = [
        one.get("processor_minutes") or one["minutes"]
        for one in cells
        if "minutes" in one and one["row"] not in SHARING
    ]
    if minutes:
        parts.append(
            f"{result['requested_minutes']:g} minutes were requested of each training, or those of "
            f"1,000 steps of the default network, and {min(minutes):.1f} to {max(minutes):.1f} "
            f"were taken of the processor; one core, "
            f"{result['provenance']['cpu']}. Commits: {_commits(cells)}. "
            f"File: [equal_latency.json]({depth}{FILE})."
        )
    return "\n\n".join(parts)


def _commits(cells: Sequence[Cell]) -> str:
    """Return which commit the fits of each dataset are of."""
    found: dict[str, set[str]] = {}
    for one in cells:
        if one["row"] == "fit" and "provenance" in one:
            found.setdefault(one["dataset"], set()).add(one["provenance"]["commit"][:7])
    return "; ".join(f"fits of {name}, {' and '.join(sorted(of))}" for name, of in found.items())


def render_headline(root: Path, depth: str) -> str:
    """Return one table of the networks that a user would compare, at one budget.

    Args:
        root: The repository.
        depth: The way from the page to it.
    """
    cells = cells_of(root)
    header = ("network", *(title.rpartition(", ")[0] for title in DATASETS.values()))
    rows = [
        (ROWS[row], *(_shown(_found(cells, name, HEADLINE_BUDGET, row)) for name in DATASETS))
        for row in HEADLINE_ROWS
    ]
    unit = ("1 x", *(_base_ms(cells, name) for name in DATASETS))
    seeds = len({cell["seed"] for cell in cells if "seed" in cell})
    over = f", mean ± standard deviation of {seeds} seeds" if seeds > 1 else ""
    return (
        f"{table(header, [*rows, unit])}\n\nEach cell has latency, accuracy over all noise levels "
        f"and PSNR over those above 0{over}. A latency of 1 x is that of a large DC-Net, of base "
        "width 20, timed in the same run on one thread of a processor. DC-Net is the plain network "
        "of the paper, and DC-NAS S the one that its search finds. "
        f"[All budgets and networks]({depth}docs/equal_latency.md)."
    )


def _base_ms(cells: Sequence[Cell], name: str) -> str:
    """Return the median latency of b20 in the cells of a dataset."""
    found = [
        one["target_ms"] / one["budget_x_of_b20"]
        for one in cells
        if one["dataset"] == name and "target_ms" in one
    ]
    return f"{statistics.median(found):.2g} ms" if found else NOT_RUN


def cells_of(root: Path) -> list[Cell]:
    """Return the cells of the benchmark; none where it was not run."""
    return list(_read(root)["cells"])


def _read(root: Path) -> dict[str, Any]:
    """Return the result of the benchmark; one without cells where it was not run."""
    path = root / FILE
    result: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"cells": []}
    return result


def _table(dataset: str, cells: Sequence[Cell]) -> str:
    """Return a row for each network and a column for each budget."""
    header = ("network", *(f"budget {budget:g} x" for budget in BUDGETS))
    rows = [
        (title, *(_shown(_found(cells, dataset, budget, row)) for budget in BUDGETS))
        for row, title in ROWS.items()
    ]
    return table(header, rows)


def _found(cells: Sequence[Cell], dataset: str, budget: float, row: str) -> list[Cell]:
    """Return the cells of all seeds."""
    is_any = row in OF_ANY_BUDGET
    return [
        one
        for one in cells
        if (one["dataset"], one["row"]) == (dataset, row)
        and (is_any or one["budget_x_of_b20"] == budget)
    ]


def _shown(seeds: Sequence[Cell]) -> str:
    """Return latency and scores over the seeds."""
    scored = [cell for cell in seeds if "missing" not in cell]
    if not scored:
        return seeds[0]["missing"] if seeds else NOT_RUN
    latency = statistics.median(cell["x_of_b20"] for cell in scored)
    few = "" if len(scored) >= 3 else f" ({len(scored)} of 3 seeds)"
    if "lost_db" in scored[0]:
        points, decibels = (
            spread([-cell[name] for cell in scored], 2, sign="+")
            for name in ("lost_points", "lost_db")
        )
        return f"{latency:.2f} x: {points} points, {decibels} dB{few}"
    accuracy = spread([100 * cell["accuracy"] for cell in scored], 1)
    decibels = spread([noisy_db(cell) for cell in scored], 2)
    return f"{latency:.2f} x: {accuracy} %, {decibels} dB{few}"


def noisy_db(cell: Cell) -> float:
    """Return the mean PSNR over the levels with noise."""
    noisy = [one["psnr_db"] for one in cell["levels"] if one["noisy_psnr_db"] is not None]
    return statistics.fmean(noisy)


def _gains(cells: Sequence[Cell]) -> str:
    """Return by how much a fit is better than the plain network, and trains faster."""
    rows = []
    for dataset, title in DATASETS.items():
        for budget in BUDGETS:
            pairs = [_found(cells, dataset, budget, row) for row in ("fit", "plain")]
            ours, theirs = ([one for one in some if "missing" not in one] for some in pairs)
            rows.append(
                (
                    title.partition(",")[0],
                    f"{budget:g} x",
                    _gain(ours, theirs, lambda cell: 100 * cell["accuracy"], 1),
                    _gain(ours, theirs, noisy_db, 2),
                    _gain(ours, theirs, lambda cell: cell["psnr_db"], 2),
                    _speed_ratio(ours, theirs),
                )
            )
    header = ("images", "budget", "points", "dB with noise", "dB at all levels", "training speed")
    return table(header, rows)


def _gain(
    ours: Sequence[Cell], theirs: Sequence[Cell], score: Callable[[Cell], float], digits: int
) -> str:
    """Return the difference of the means, with its standard error over the seeds."""
    if not ours or not theirs:
        return NOT_RUN
    both = [[score(cell) for cell in some] for some in (ours, theirs)]
    gain = f"{statistics.fmean(both[0]) - statistics.fmean(both[1]):+.{digits}f}"
    if min(map(len, both)) < 2:
        return gain
    error = sum(statistics.variance(some) / len(some) for some in both) ** 0.5
    return f"{gain} ± {error:.{digits}f}"


def _speed_ratio(ours: Sequence[Cell], theirs: Sequence[Cell]) -> str:
    """Return the ratio of the mean training steps in a minute of the processor."""
    speeds = [
        [one["steps"] / one["processor_minutes"] for one in some if one.get("processor_minutes")]
        for some in (ours, theirs)
    ]
    if not all(speeds):
        return NOT_RUN
    return f"{statistics.fmean(speeds[0]) / statistics.fmean(speeds[1]):.1f} x"


def _study(root: Path, depth: str) -> str:
    """Return the scores by the short recipe of the paper's study: shapes, and its own networks."""
    path = root / STUDY
    known = json.loads(path.read_text()) if path.exists() else {}
    latencies = known.get("latencies", {})
    rows = [
        _study_row(title, latencies.get(title), [*known.get("shapes", {}).get(title, {}).values()])
        for title in SHAPES
    ]
    links = []
    for name, title in PAPER_NETWORKS.items():
        paths = sorted((root / PAPER_RESULTS).glob(f"**/{name}_study_seed*.json"))
        results = [json.loads(path.read_text())["result"] for path in paths]
        found = [
            {**one["scores"]["mean"], "minutes": one["training_seconds"] / 60} for one in results
        ]
        rows.append(_study_row(title, latencies.get(name), found))
        links += [f"[{one.name}]({depth}{one.relative_to(root)})" for one in paths]
    links += [f"[{path.name}]({depth}{STUDY})"] if known else []
    header = ("network", "latency", "accuracy %", "PSNR dB", "minutes", "seeds")
    return (
        "### The paper's short recipe\n\nPhotographs at 64 px, 8 epochs, sigma from 0 to 1; the "
        f"minutes are those of one core.\n\n{table(header, rows)}\n\nFiles: {', '.join(links)}."
    )


def _study_row(title: str, latency: Cell | None, seeds: Sequence[Cell]) -> tuple[str, ...]:
    """Return a network's latency, and its scores over the seeds."""
    shown = f"{latency['x_of_b20']:.2f} x" if latency else NOT_RUN
    if not seeds:
        return (title, shown, *[NOT_RUN] * 3, "0")
    return (
        title,
        shown,
        spread([100 * one["accuracy"] for one in seeds], 1),
        spread([one["psnr_db"] for one in seeds], 2),
        spread([one["minutes"] for one in seeds], 1),
        f"{len(seeds)}",
    )
