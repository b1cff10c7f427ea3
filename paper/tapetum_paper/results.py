"""The result files of an experiment.

::

    RESULTS/SCALE/CELL.json                  the result of a cell
    RESULTS/SCALE/old_search/CELL.json       the same of the search of before 2026-11-28
    RESULTS/SCALE/latency/EXPERIMENT.json    latencies of its networks, measured in turns

A result of the old search is shown, and marked, until its cell has a result.
"""

from pathlib import Path

from tapetum.errors import RunError
from tapetum.progress import ProgressCallback, silent
from tapetum.records import differences
from tapetum_paper.plan import Cell, CellResult, Experiment, Outcome, Scale
from tapetum_paper.side_by_side import SideBySide, time_side_by_side

OLD_SEARCH = "old_search"

__all__ = ["finished", "gather", "result_path", "time_networks"]


def result_path(results: Path, scale: Scale, cell: Cell) -> Path:
    """Return the path of the result file of a cell."""
    return results / scale / f"{cell.slug}.json"


def finished(results: Path, scale: Scale, cell: Cell) -> CellResult | None:
    """Read the result of a cell; return ``None`` if it was not run.

    Raises:
        RunError: The file belongs to a cell with other settings.
        InputError: The file is damaged.
    """
    path = result_path(results, scale, cell)
    if not path.exists():
        return None
    done = CellResult.read(path)
    changes = differences(done.cell, cell)
    if changes:
        raise RunError(
            f"{path} was made with other settings than {cell.slug} has now: {'; '.join(changes)}",
            "move it away to run the cell again",
        )
    return done


def _of_old_search(results: Path, scale: Scale, cell: Cell) -> CellResult | None:
    """Read the result of a cell with the old search; return ``None`` if there is none."""
    path = results / scale / OLD_SEARCH / f"{cell.slug}.json"
    if not path.exists():
        return None
    return CellResult.read(path).model_copy(update={"is_of_old_search": True})


def gather(experiment: Experiment, results: Path) -> Outcome:
    """Read the results of an experiment.

    Raises:
        RunError: A result has other settings than its cell.
        InputError: A result is damaged.
    """
    timings = {}
    path = _latency_path(experiment, results)
    if path.exists():
        timings = SideBySide.read(path).timings
    found = {
        cell.slug: finished(results, experiment.scale, cell)
        or _of_old_search(results, experiment.scale, cell)
        for cell in experiment.cells
    }
    return Outcome(
        experiment,
        {
            slug: done.model_copy(update={"timing": timings.get(_timing_name(slug, done))})
            for slug, done in found.items()
            if done is not None
        },
    )


def _timing_name(slug: str, done: CellResult) -> str:
    """Return the name of a timing; the old search found another network for the same cell."""
    return f"{OLD_SEARCH}/{slug}" if done.is_of_old_search else slug


def time_networks(
    outcome: Outcome, results: Path, *, progress: ProgressCallback = silent
) -> Outcome:
    """Measure the latency of all trained networks, unless a file has all of them.

    Latencies of two runs are not comparable, so a new network requires a new measurement of all.

    Args:
        outcome: The results so far.
        results: Folder of the result files.
        progress: Receives the progress of each turn.

    Raises:
        InputError: Another measurement is running.
    """
    experiment = outcome.experiment
    is_timed = all(done.timing is not None for done in outcome.done)
    # A figure without numbers has no place for a latency.
    if experiment.deployment is None or not experiment.measures or is_timed:
        return outcome
    networks = {
        _timing_name(slug, done): done.architecture for slug, done in outcome.by_slug.items()
    }
    found = time_side_by_side(networks, experiment.deployment, progress=progress)
    found.write(_latency_path(experiment, results))
    return gather(experiment, results)


def _latency_path(experiment: Experiment, results: Path) -> Path:
    return results / experiment.scale / "latency" / f"{experiment.name}.json"
