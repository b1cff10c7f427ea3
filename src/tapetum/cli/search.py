"""``tapetum search``: search the space of a latency table for a network that keeps a budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import (
    answer,
    errors_in_one_sentence,
    progress_bar,
    say,
    say_loading,
    table,
)

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.search import SearchResult

__all__ = ["search"]


def search(
    data: Annotated[str, typer.Argument(help="Folder of images, 'digits' or 'digit-crops'.")],
    *,
    target_ms: options.TargetMs,
    latency: Annotated[
        Path,
        typer.Option(
            metavar="TABLE",
            help="Latency table, as written by 'tapetum latency measure'.",
            rich_help_panel=options.BUDGET,
        ),
    ],
    noise: options.Noise = None,
    recipe: options.SearchRecipe = "swift",
    loss: Annotated[
        Literal["names", "both"] | None,
        typer.Option(
            help="Loss of the search: of the classes alone, or of classes and image (equation 3).",
            show_default="from the recipe",
            rich_help_panel=options.SEARCH,
        ),
    ] = None,
    epochs: options.SearchEpochs = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Number of images in one step.",
            show_default="from the recipe",
            rich_help_panel=options.SEARCH,
        ),
    ] = None,
    seed: options.RecipeSeed = None,
    out: options.Out,
    resume: options.Resume = False,
    json: options.Json = False,
    train_count: options.TrainCount = None,
    test_count: options.TestCount = None,
    data_root: options.DataRoot = None,
    download: options.Download = False,
) -> None:
    """Search the space of a latency table for a network that keeps a budget.

    Examples:

      tapetum search photos --latency table.json --target-ms 8 --out runs/search

      tapetum train runs/search/architecture.json --data photos --out runs/searched
    """
    arguments = {**locals()}
    with errors_in_one_sentence(as_json=arguments.pop("json")):
        say_loading()
        from tapetum import jobs
        from tapetum.training import is_main_process

        with progress_bar() as tick:
            result = jobs.search(**arguments, progress=tick)
        if not is_main_process():
            return
        if json:
            answer(result.model_dump(mode="json"))
            return
        _show(result)
        say(f"next: tapetum train {out / 'architecture.json'} --data {data} --out {out}-trained")


def _show(result: "SearchResult") -> None:
    rows = []
    probabilities = result.epochs[-1].probabilities
    for path, choice in result.choices.items():
        if choice is None:
            rows.append((path, "left out", "-", "-"))
        else:
            probability = f"{probabilities[path][choice.candidate]:.2f}"
            rows.append((path, choice.candidate, str(choice.hidden_channels), probability))
    table(
        ("slot", "block", "hidden channels", "probability"),
        rows,
        title=f"predicted {result.predicted_ms:.2f} ms, budget {result.target_ms:g} ms",
    )
    say(
        f"searched for {result.seconds / 60:.1f} minutes at {result.images_per_second:.0f} images "
        f"per second; the likeliest blocks would take {result.likeliest_ms:.2f} ms"
    )
