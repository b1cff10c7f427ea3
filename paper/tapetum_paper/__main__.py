"""``tapetum reproduce``: one table or figure of the paper, run again."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tapetum.cli.common import (
    DataRoot,
    Download,
    Json,
    answer,
    errors_in_one_sentence,
    progress_bar,
    say,
    say_loading,
    table,
)

__all__ = ["reproduce"]


def reproduce(
    experiment: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A name that --list prints.")
    ] = None,
    scale: Annotated[
        Literal["smoke", "small", "paper"],
        typer.Option(help="Seconds; minutes a network; as published, hours a network."),
    ] = "smoke",
    only: Annotated[
        str | None,
        typer.Option(help="Only the networks whose name matches, such as 'dc-net-reduced-*'."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs; the same one goes on.")] = Path(
        "runs/reproduce"
    ),
    results: Annotated[
        Path | None,
        typer.Option(help="Folder for result files.", show_default="OUT/results"),
    ] = None,
    times: Annotated[
        bool,
        typer.Option(
            "--latency/--no-latency",
            help="Time all networks trained so far side by side; keep the machine quiet.",
        ),
    ] = True,
    data_root: DataRoot = None,
    download: Download = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="Print the names of tables and figures, and stop.")
    ] = False,
    json: Json = False,
) -> None:
    """Run one table or figure of the paper again and put what comes out beside what it prints.

    What was run before is not run again, and what was killed goes on.

    Examples:

      tapetum reproduce --list

      tapetum reproduce table_7 --scale small --data-root ~/mnist

      tapetum reproduce table_1 --scale paper --only 'dc-net-reduced-*' --data-root ~/mnist
    """
    with errors_in_one_sentence(as_json=json):
        say_loading()
        from tapetum import experiments
        from tapetum.errors import InputError
        from tapetum.training import prepare_process

        if show_list:
            _show_list(json=json)
            return
        if experiment is None:
            names = ", ".join(one.__name__ for one in experiments.ALL)
            raise InputError("no experiment was named", f"name one of {names}")
        prepare_process()  # before torch starts its threads
        asked = experiments.find(experiment)(experiments.Scale(scale))
        folder = results or out / "results"
        with progress_bar() as tick:
            made = experiments.reproduce(
                asked,
                only=only,
                out=out,
                results=folder,
                data_root=data_root,
                download=download,
                times=times,
                progress=tick,
            )
        if json:
            answer([done.model_dump(mode="json") for done in made.results])
            return
        if made.table is not None:
            table(made.table.header, list(made.table.rows), title=made.table.title)
        for path in made.files:
            say(f"wrote {path}")


def _show_list(*, json: bool) -> None:
    from tapetum import experiments

    listed = [one(experiments.Scale.paper) for one in experiments.ALL]
    if json:
        answer([{"name": one.name, "title": one.title, "cells": len(one.cells)} for one in listed])
        return
    rows = [(one.name, one.title, str(len(one.cells))) for one in listed]
    table(("name", "what it shows", "networks"), rows)
