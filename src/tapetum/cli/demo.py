"""``tapetum demo``: the main job on digits, from nothing, in minutes."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli.common import (
    DataRoot,
    Download,
    Json,
    Overwrite,
    answer,
    errors_in_one_sentence,
    progress_bar,
    say,
    say_loading,
    table,
)
from tapetum.cli.scores import show_scores

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all that the demonstration makes.")] = Path(
        "runs/demo"
    ),
    epochs: Annotated[int, typer.Option(help="Passes over the pictures.")] = 4,
    train_count: Annotated[int, typer.Option(help="Training pictures.")] = 30_000,
    test_count: Annotated[int, typer.Option(help="Pictures that are scored.")] = 2_000,
    data_root: DataRoot = None,
    download: Download = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train, score and export a small network on handwritten digits, and show what it does.

    Takes about five minutes on two cores.

    Examples:

      tapetum demo

      tapetum demo --data-root ~/mnist --overwrite
    """
    with errors_in_one_sentence(as_json=json):
        say_loading()
        from tapetum.demo import comparison, run_demo
        from tapetum.training import prepare_process

        prepare_process()  # before torch starts its threads

        with progress_bar() as tick:
            made = run_demo(
                out,
                data_root=data_root,
                download=download,
                overwrite=overwrite,
                epochs=epochs,
                train_count=train_count,
                test_count=test_count,
                progress=tick,
            )
        if json:
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
