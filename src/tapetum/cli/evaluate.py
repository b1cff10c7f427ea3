"""``tapetum evaluate``: score a run or a package."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import (
    answer,
    errors_in_one_sentence,
    progress_bar,
    say_loading,
    show_scores,
)

__all__ = ["evaluate"]


def evaluate(
    path: Annotated[
        Path, typer.Argument(metavar="RUN|PACKAGE", help="Folder of a run, or a .tapetum file.")
    ],
    *,
    data: options.DataFolder,
    part: Annotated[
        Literal["validation", "all"],
        typer.Option(
            help="Part of the folder to score; choose 'all' only if no image was trained on.",
            rich_help_panel=options.DATA,
        ),
    ] = "validation",
    size_px: Annotated[
        int | None,
        typer.Option(
            "--size",
            help="Height and width of the images, in pixels.",
            show_default="as trained",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEVEL",
            help="Noise level, such as 0.2 or speckle:0.1; repeat the option for several levels.",
            show_default="as trained",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    protocol: options.Protocol = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed of the split of the folder, or of the digits.",
            show_default="as trained",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    noise_seed: Annotated[
        int, typer.Option(help="Random seed of the noise.", rich_help_panel=options.DATA)
    ] = 0,
    json: options.Json = False,
    threads: options.PackageThreads = None,
    test_count: options.TestCount = None,
    data_root: options.DataRoot = None,
    download: options.Download = False,
) -> None:
    """Score a run or a package on images that it was not trained on.

    Examples:

      tapetum evaluate runs/digits --data digits

      tapetum evaluate photos.tapetum --data photos --noise 0.1 --noise 0.3
    """
    arguments = {**locals()}
    with errors_in_one_sentence(as_json=arguments.pop("json")):
        say_loading()
        from tapetum import jobs

        with progress_bar() as tick:
            scores = jobs.evaluate(**arguments, progress=tick)
        if json:
            answer(scores.model_dump(mode="json"))
        else:
            show_scores(scores)
