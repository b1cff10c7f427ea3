"""``tapetum search``: which network of a space is best on these images within a budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tapetum.cli.common import (
    DataRoot,
    Download,
    Json,
    Noise,
    Resume,
    TestCount,
    TrainCount,
    answer,
    errors_in_one_sentence,
    progress_bar,
    say,
    say_loading,
    table,
)
from tapetum.cli.scores import opened
from tapetum.progress import ProgressCallback

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.data import Dataset
    from tapetum.latency import Budget
    from tapetum.search import SearchRecipe, SearchResult

__all__ = ["search"]


def search(
    data: Annotated[str, typer.Argument(help="A folder of images, 'digits' or 'digit-crops'.")],
    latency: Annotated[Path, typer.Option(help="What `tapetum latency measure` wrote.")],
    target_ms: Annotated[float, typer.Option(help="What the network may take, by that table.")],
    out: Annotated[Path, typer.Option(help="New folder for the search.")],
    recipe: Annotated[str, typer.Option(help="swift, tf-nas (as published), or FILE.json.")] = (
        "swift"
    ),
    loss: Annotated[
        Literal["names", "both"] | None,
        typer.Option(help="Search for names alone, or for names and the image (equation 3)."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in one step.")] = None,
    noise: Noise = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and noise.")] = None,
    train_count: TrainCount = None,
    test_count: TestCount = None,
    data_root: DataRoot = None,
    download: Download = False,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Search the space of a latency table for the network that keeps a target.

    Examples:

      tapetum search photos --latency table.json --target-ms 8 --out runs/search

      tapetum train runs/search/architecture.json --data photos --out runs/found
    """
    with errors_in_one_sentence(as_json=json):
        say_loading()
        from tapetum.data import digits
        from tapetum.latency import Budget, LatencyTable
        from tapetum.search import choose_search_recipe
        from tapetum.training import is_main_process, prepare_process

        prepare_process()  # before torch starts its threads
        priced = LatencyTable.read(latency)
        budget = Budget.of(priced, target_ms)
        changes = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
        chosen = choose_search_recipe(recipe, loss=loss, noise=noise, changes=changes)
        is_digits = data in (digits.DIGITS, digits.DIGIT_CROPS)
        with progress_bar() as tick:
            images = opened(
                data,
                tick,
                seed=chosen.seed,
                data_root=data_root,
                download=download,
                train_count=train_count,
                test_count=test_count,
                size_px=None if is_digits else priced.conditions.height_px,
            )
            found = _found(images, budget, chosen, out, resume=resume, tick=tick)
        if is_main_process():
            _tell(found, data, out, as_json=json)


def _found(
    images: "Dataset",
    budget: "Budget",
    recipe: "SearchRecipe",
    out: Path,
    *,
    resume: bool,
    tick: ProgressCallback,
) -> "SearchResult":
    """Searches, or goes on with a search."""
    from tapetum.search import search as search_space

    return search_space(
        out,
        recipe,
        budget,
        images.train,
        data=images.info,
        resume=resume,
        progress=tick,
    )


def _tell(found: "SearchResult", data: str, out: Path, *, as_json: bool) -> None:
    if as_json:
        answer(found.model_dump(mode="json"))
        return
    _show(found)
    say(f"next: tapetum train {out / 'architecture.json'} --data {data} --out {out}-trained")


def _show(found: "SearchResult") -> None:
    rows = [
        (path, "-" if choice is None else choice.candidate, _width(choice), _certain(found, path))
        for path, choice in found.choices.items()
    ]
    title = f"takes {found.predicted_ms:.2f} ms by the table, of {found.target_ms:g} asked for"
    table(("slot", "block", "hidden channels", "probability"), rows, title=title)
    minutes = found.seconds / 60
    say(
        f"searched {minutes:.1f} minutes, {found.images_per_second:.0f} images a second; "
        f"the likeliest blocks would take {found.likeliest_ms:.2f} ms"
    )


def _width(choice: object) -> str:
    return str(getattr(choice, "hidden_channels", "-"))


def _certain(found: "SearchResult", path: str) -> str:
    choice = found.choices[path]
    probabilities = found.epochs[-1].probabilities[path]
    return "-" if choice is None else f"{probabilities[choice.candidate]:.2f}"
