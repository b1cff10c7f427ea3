"""``tapetum data``: what a folder holds and how it is understood."""

import time
from pathlib import Path

import typer

from tapetum.cli import options
from tapetum.cli.common import EXIT_BAD_INPUT, answer, progress_bar, table
from tapetum.cli.options import LESS, option

__all__ = ["data"]

QUIET_S = 2.0  # a folder that is read faster needs no bar


def data(
    folder: Path = typer.Argument(..., metavar="DIR", help="Folder of images."),
    *,
    labels: Path | None = options.LABELS,
    layout: options.LayoutName | None = options.LAYOUT,
    group_by: str | None = options.GROUP_BY,
    white: str = options.WHITE,
    size_px: int | None = options.SIZE,
    seed: int = option(0, LESS, "Random seed of the split.", rule=options.SEED),
    json: bool = options.JSON,
) -> None:
    """Show what a folder of images holds and how it is understood, before anything is trained.

    Examples:

      tapetum data photos

      tapetum data photos --labels photos/labels.csv --json

    """
    from tapetum.data import describe_folder

    begin = time.monotonic()
    with progress_bar() as tick:

        def looking(done: int, total: int) -> None:
            if time.monotonic() - begin > QUIET_S:
                tick(done, total, "looking, in files")

        summary = describe_folder(
            folder,
            labels=labels,
            layout=layout,
            group_by=group_by,
            white=white,
            size_px=size_px,
            seed=seed,
            looking=looking,
        )
    if json:
        answer(summary.model_dump(mode="json"))
    else:
        table(("folder", summary.folder), tuple(summary.facts().items()), numbers=False)
    if not summary.is_trainable:
        raise typer.Exit(EXIT_BAD_INPUT)
