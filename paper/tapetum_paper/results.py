"""What has been run of an experiment, in files beside one another.

::

    RESULTS/SCALE/CELL.json                  what came out of a cell
    RESULTS/SCALE/latency/EXPERIMENT.json    latencies of an experiment's networks, side by side
"""

from pathlib import Path

from tapetum.errors import RunError
from tapetum.progress import ProgressCallback, silent
from tapetum_paper.plan import Cell, CellResult, Experiment, Outcome, Scale
from tapetum_paper.side_by_side import SideBySide, time_side_by_side

__all__ = ["finished", "gather", "result_path", "time_networks"]


def result_path(results: Path, scale: Scale, cell: Cell) -> Path:
    """The result file of a cell."""
    return results / scale / f"{cell.slug}.json"


def finished(results: Path, scale: Scale, cell: Cell) -> CellResult | None:
    """What came out of a cell; ``None`` where it has not been run.

    Raises:
        RunError: The file is of another cell of that name.
        InputError: The file is damaged.
    """
    path = result_path(results, scale, cell)
    if not path.exists():
        return None
    done = CellResult.read(path)
    if done.cell != cell:
        raise RunError(
            f"{path} was made with other settings than {cell.slug} has now",
            "move it away to run the cell again",
        )
    return done


def gather(experiment: Experiment, results: Path) -> Outcome:
    """What has been run of an experiment, from the folder of result files.

    Raises:
        RunError: A result is of other settings than its cell has now.
        InputError: A result is damaged.
    """
    timings = {}
    path = _latency_path(experiment, results)
    if path.exists():
        timings = SideBySide.read(path).timings
    found = {cell.slug: finished(results, experiment.scale, cell) for cell in experiment.cells}
    return Outcome(
        experiment,
        {
            slug: done.model_copy(update={"timing": timings.get(slug)})
            for slug, done in found.items()
            if done is not None
        },
    )


def time_networks(
    outcome: Outcome, results: Path, *, progress: ProgressCallback = silent
) -> Outcome:
    """Times all networks that an experiment has so far side by side, unless that has been done.

    Latencies of two runs are not compared, so one network more has all of them timed again.

    Args:
        outcome: What has been run.
        results: The latencies are kept here.
        progress: Is told of each turn.

    Raises:
        InputError: Another timing is going on.
    """
    experiment = outcome.experiment
    is_timed = all(done.timing is not None for done in outcome.done)
    # A figure without numbers has no place for a latency.
    if experiment.deployment is None or not experiment.measures or is_timed:
        return outcome
    networks = {slug: done.architecture for slug, done in outcome.by_slug.items()}
    found = time_side_by_side(networks, experiment.deployment, progress=progress)
    found.write(_latency_path(experiment, results))
    return gather(experiment, results)


def _latency_path(experiment: Experiment, results: Path) -> Path:
    return results / experiment.scale / "latency" / f"{experiment.name}.json"
