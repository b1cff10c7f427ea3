"""Search the space of a latency table on a dataset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Unpack

from tapetum.data import DataOptions
from tapetum.jobs.choose import is_digits, lists_options, open_logged
from tapetum.jobs.early import SEARCH
from tapetum.jobs.suit import augmentation_of, suit
from tapetum.latency import Budget, LatencyTable, bundle
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import require_seed
from tapetum.search import SearchResult, choose_search_recipe
from tapetum.search import search as search_space
from tapetum.training import prepare_process

__all__ = ["search"]


@lists_options
def search(
    data: str | Path,
    out: str | Path,
    *,
    latency: str | Path | LatencyTable,
    target_ms: float,
    recipe: str | Path = "swift",
    loss: Literal["names", "both"] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    noise: str | None = None,
    seed: int | None = None,
    augmentation: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: ProgressCallback = silent,
    **digits: Unpack[DataOptions],
) -> SearchResult:
    """Search the space of a latency table for the network that keeps a budget on a dataset.

    Args:
        data: Folder of labelled images, or ``digit-crops``.
        out: New folder for the search.
        latency: Latency table, or its path.
        target_ms: Latency budget of one pass, in milliseconds.
        recipe: Name or path of a search recipe.  The next six arguments replace fields of it.
        loss: Loss of the search: of the classes alone, or of classes and image (equation 3).
        epochs: Number of passes over the training images.
        batch_size: Number of images in one step.
        noise: Noise of the images, such as ``gaussian:0-0.5``.
        seed: Random seed of weights, order, noise and split.
        augmentation: Random changes of the training images, as in :func:`tapetum.train`.
        resume: Whether to continue an interrupted search.
        progress: Called after each step.
        digits: Options of a folder or of digits; see :class:`tapetum.jobs.DataOptions`.

    Raises:
        InputError: No network keeps the budget, or the table does not fit the dataset.
        TrainingError: The search cannot continue; its last good state is kept.
    """
    prepare_process()  # before torch starts its threads
    require_seed(seed)
    table = latency if isinstance(latency, LatencyTable) else bundle.open_table(Path(latency))
    budget = Budget.of(table, target_ms)
    changes = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    chosen = choose_search_recipe(str(recipe), loss=loss, noise=noise, changes=changes)
    chosen = augmentation_of(chosen, augmentation)
    size_px = None if is_digits(data) else table.conditions.height_px
    asked: dict[str, Any] = {**digits, "size_px": size_px, "learns_by": chosen.noise.protocol}
    dataset = open_logged(data, seed=chosen.seed, progress=progress, **asked)
    chosen = suit(
        chosen, dataset, batch_size=batch_size, augmentation=augmentation, progress=progress
    )
    train, info = dataset.train.augmented(chosen.augmentation), dataset.info
    if resume:
        SEARCH.note_start(Path(out))
    return search_space(
        Path(out), chosen, budget, train, data=info, resume=resume, progress=progress
    )
