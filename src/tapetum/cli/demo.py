"""``tapetum demo``: the main job on digits, from nothing, in minutes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapetum.cli.common import (
    DataRoot,
    Download,
    Json,
    Overwrite,
    TestCount,
    TrainCount,
    answer,
    errors_in_one_sentence,
    progress_bar,
    say,
    say_loading,
    table,
)
from tapetum.cli.scores import show_scores
from tapetum.errors import require_effect

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.demo import DemoResult

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all that the demonstration makes.")] = Path(
        "runs/demo"
    ),
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the pictures.", show_default="4")
    ] = None,
    train_count: TrainCount = None,
    test_count: TestCount = None,
    data_root: DataRoot = None,
    download: Download = False,
    search: Annotated[
        bool,
        typer.Option("--search", help="Search for a network within a budget on this machine."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a --search that was killed.")
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train, score and export a small network on handwritten digits, and show what it does.

    Takes about five minutes on two cores; with --search, which does all that `tapetum fit` does
    on single digits, about a quarter of an hour.

    Examples:

      tapetum demo

      tapetum demo --data-root ~/mnist --overwrite

      tapetum demo --search --out runs/demo-search
    """
    with errors_in_one_sentence(as_json=json):
        require_effect(
            {
                "--epochs": search and epochs is not None,
                "--train-count": search and train_count is not None,
                "--test-count": search and test_count is not None,
                "--overwrite": search and overwrite,
                "--resume": resume and not search,
            },
            where="with --search" if search else "without --search",
        )
        say_loading()
        if search:
            _search(out, data_root=data_root, download=download, resume=resume, as_json=json)
            return
        from tapetum.demo import run_demo
        from tapetum.training import prepare_process

        prepare_process()  # before torch starts its threads

        sizes = {"epochs": epochs, "train_count": train_count, "test_count": test_count}
        with progress_bar() as tick:
            made = run_demo(
                out,
                data_root=data_root,
                download=download,
                overwrite=overwrite,
                progress=tick,
                **{name: value for name, value in sizes.items() if value is not None},
            )
        _show(made, as_json=json)


def _show(made: "DemoResult", *, as_json: bool) -> None:
    """The scores, what they compare with, and where everything lies."""
    from tapetum.demo import comparison

    if as_json:
        answer(
            {
                "result": made.result.model_dump(mode="json"),
                "exported": made.exported.model_dump(mode="json"),
                "fresh": made.fresh.model_dump(mode="json"),
                "page": str(made.page),
            }
        )
        return
    show_scores(made.result.scores)
    compared = comparison(made.result)
    table(compared.header, list(compared.rows), title=compared.title)
    exported = made.exported
    say(f"package: {exported.path}, parity {exported.parity.worst:.1e}")
    say(f"page: {made.page}")


def _search(
    out: Path, *, data_root: Path | None, download: bool, resume: bool, as_json: bool
) -> None:
    from tapetum.cli.fit import show_budget
    from tapetum.demo import run_search_demo
    from tapetum.training import prepare_process

    prepare_process()  # before torch starts its threads
    with progress_bar() as tick:
        made = run_search_demo(
            out, data_root=data_root, download=download, resume=resume, progress=tick
        )
    show_budget(made, as_json=as_json)
