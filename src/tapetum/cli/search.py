"""``tapetum search``: search the space of a latency table for a network that keeps a budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, run_job, say, table
from tapetum.cli.options import MAIN, TRAINING, option
from tapetum.progress import pasted

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.search import SearchResult

__all__ = ["search"]


def search(
    data: str = typer.Argument(
        ..., metavar="DATA", help="Folder of labelled images, or 'digit-crops'."
    ),
    *,
    target_ms: float = options.TARGET_MS,
    latency: Path = option(
        ..., MAIN, "Latency table, from 'tapetum latency measure'.", metavar="TABLE"
    ),
    out: Path = options.OUT,
    noise: str | None = options.shown_as(options.NOISE, "gaussian:0-1"),
    resume: bool = options.RESUME,
    recipe: str = options.SEARCH_RECIPE,
    loss: Literal["names", "both"] | None = option(
        None,
        TRAINING,
        "Loss of the search: 'names' for that of the labels alone, or 'both' for labels and image.",
        metavar="NAME",
        shown="names",
    ),
    epochs: int | None = options.SEARCH_EPOCHS,
    batch_size: int | None = options.BATCH_SIZE,
    labels: Path | None = options.LABELS,
    layout: options.LayoutName | None = options.LAYOUT,
    group_by: str | None = options.GROUP_BY,
    white: str = options.WHITE,
    resize: options.ResizeName | None = options.RESIZE,
    mirror: options.MirrorName | None = options.MIRROR,
    vertical_flip: bool | None = options.VERTICAL_FLIP,
    quarter_turns: bool | None = options.QUARTER_TURNS,
    crop_scale: float | None = options.CROP_SCALE,
    brightness: float | None = options.shown_as(options.BRIGHTNESS, "0"),
    seed: int | None = options.RECIPE_SEED,
    json: bool = options.JSON,
    train_count: int | None = options.TRAIN_COUNT,
    test_count: int | None = options.TEST_COUNT,
    data_root: Path | None = options.DATA_ROOT,
    download: bool = options.DOWNLOAD,
) -> None:
    """Search the space of a latency table for a network that keeps a budget.

    Examples:

      tapetum search photos --latency table.json --target-ms 8 --out runs/search

      tapetum train runs/search/architecture.json --data photos --out runs/searched
    """
    result = run_job("search", options.with_augmentation(locals()))
    if json:
        answer(result.model_dump(mode="json"))
        return
    _show(result)
    found, trained = pasted(out / "architecture.json"), pasted(f"{out}-trained")
    say(f"next: tapetum train {found} --data {pasted(data)} --out {trained}")


def _show(result: "SearchResult") -> None:
    table(
        ("slot", "block", "hidden channels", "probability"),
        result.cells(result.choices),
        title=f"predicted {result.predicted_ms:.2f} ms, budget {result.target_ms:g} ms",
    )
    say(
        f"searched for {result.seconds / 60:.1f} minutes at {result.images_per_second:.0f} images "
        f"per second; the likeliest blocks would take {result.likeliest_ms:.2f} ms"
    )
