"""``tapetum demo``: the main job on handwritten digits, from nothing, in minutes."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli.common import (
    DataRoot,
    Download,
    Json,
    Resume,
    errors_in_one_sentence,
    progress_bar,
    say_loading,
)
from tapetum.cli.fit import show_budget

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for everything that the demonstration writes.")
    ] = Path("runs/demo"),
    data_root: DataRoot = None,
    download: Download = False,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Find, train and package a network for noisy digits within a latency budget on this machine.

    Does all that `tapetum fit` does, on digits that the package brings along.  Takes about ten
    minutes on two cores.

    Examples:

      tapetum demo

      tapetum demo --data-root ~/mnist --out runs/mnist
    """
    with errors_in_one_sentence(as_json=json):
        say_loading()
        from tapetum.jobs import run_demo
        from tapetum.training import prepare_process

        prepare_process()  # before torch starts its threads
        with progress_bar() as tick:
            made = run_demo(
                out, data_root=data_root, download=download, resume=resume, progress=tick
            )
        show_budget(made, as_json=json)
