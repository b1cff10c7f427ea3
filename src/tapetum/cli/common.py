"""Output that all commands share: errors in one sentence, tables, JSON and progress bars.

Results go to standard output, everything else to standard error, so that the output of a command
can be piped.
"""

import csv
import errno
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from tapetum.cli.signals import exit_code, was_received
from tapetum.errors import (
    InputError,
    InterruptedTrainingError,
    MissingExtraError,
    TapetumError,
    nearest,
    of_system,
    printable,
)
from tapetum.progress import ProgressCallback, in_words, is_heading, split_counts

if TYPE_CHECKING:  # numpy loads with them, and --help must stay quick
    from tapetum.scores import Scores

__all__ = [
    "Command",
    "Group",
    "answer",
    "print_rows",
    "progress_bar",
    "run_job",
    "say",
    "say_remarks",
    "say_warnings",
    "show_scores",
    "table",
]

EXIT_BAD_INPUT = 2
EXIT_CLOSED_PIPE = 141  # as shells report it where nobody reads what a program writes
STANDARD_OUTPUT = "standard output"
EMPTY = "tapetum.empty"  # in the context of a command
SECONDS_BETWEEN_LINES = 30.0
SECONDS_OF_A_LINE = 2.0  # a shorter step leaves none behind
MOST_CLASSES = 20  # in a table on the terminal
WIDTH_OF_A_FILE = 400  # columns, so that piped output is never cut

_TRAIN = "accelerate jaxtyping jinja2 matplotlib safetensors tensorboard torch torchvision"
_SERVE = "fastapi prometheus_client python_multipart starlette uvicorn"
_EXTRAS = {
    "av": "video",
    "mlxtend": "demo",
    "scipy": "measure",
    **dict.fromkeys(_TRAIN.split(), "train"),
    **dict.fromkeys(_SERVE.split(), "serve"),
}
_OUT_OF_MEMORY = re.compile("(out of|not enough|allocate) memory", re.IGNORECASE)  # torch's words


UsageError: Any = typer.BadParameter.__mro__[1]  # of click, or of the copy in newer typers


class Command(TyperCommand):
    """A command that prints an expected error as one sentence, or as JSON."""

    def __init__(self, name: str | None, *, help: str | None = None, **settings: Any) -> None:  # noqa: A002
        super().__init__(name, help=_on_one_line_each(help or ""), **settings)
        for param in self.params:
            if param.nargs == -1:  # typer would name the type as Python does
                setattr(param, "display_type", lambda _: "<path>")  # noqa: B010 - unknown to its base

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember an empty argument: a path would take it for the current folder."""
        ctx.meta[EMPTY] = any(not arg or re.fullmatch("--[^=]+=", arg) for arg in args)
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            _fail(_misuse(error, given, ctx.command_path), as_json="--json" in given)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command; exit with code 2 after an expected error, with 130 after Ctrl-C."""
        with _errors_in_one_sentence(as_json=ctx.params["json"]):
            if ctx.meta[EMPTY]:
                raise InputError("an argument is empty", "give it a value, or leave it out")
            return super().invoke(ctx)


class Group(TyperGroup):
    """A list of commands; what is none of them is refused in one sentence, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an unknown option in front of the command."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            if given:  # without any, the help page is shown
                _fail(_misuse(error, given, ctx.command_path), as_json="--json" in given)
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of a name."""
        if args[0] not in self.commands:
            problem = f"there is no command '{ctx.command_path} {args[0]}'"
            _fail(InputError(problem, nearest(args[0], self.commands)), as_json="--json" in args)
        return super().resolve_command(ctx, args)


def _misuse(error: Any, given: list[str], command: str) -> InputError:
    """Return the error for options that cannot be: what was given, and what is possible."""
    names = getattr(getattr(error, "param", None), "opts", ())
    help_page = f"'{command} --help' lists all options"
    if not isinstance(error, typer.BadParameter) or not error.message or not names:
        problem = error.format_message().strip().rstrip(".")
        return InputError(f"{problem[:1].lower()}{problem[1:]}", help_page)
    name, value = _as_typed(names, given)
    problem = f"{name} {value}".rstrip() + " is not possible"
    choices = re.findall(r"'([^']*)'", error.message.partition("is not one of")[2])
    if choices:
        return InputError(problem, f"give one of {', '.join(choices)}, such as {name} {choices[0]}")
    remedy = error.message.rstrip(".")
    return InputError(problem, remedy.replace("such as ", f"such as {name} "))


def _as_typed(names: Sequence[str], given: Sequence[str]) -> tuple[str, str]:
    """Return the name of an option and its last value as they were typed; an argument has none."""
    for place, word in reversed(list(enumerate(given))):
        name, has_value, value = word.partition("=")
        if name in names:
            return name, value if has_value else "".join(given[place + 1 : place + 2])
    return names[0], ""


def _on_one_line_each(text: str) -> str:
    """Return a help text with each paragraph on one line, which the terminal wraps."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        part if part.startswith(" ") else part.replace("\n", " ") for part in paragraphs
    )


@contextmanager
def _errors_in_one_sentence(*, as_json: bool) -> Iterator[None]:
    _show_warnings()
    try:
        yield
    except typer.Exit:
        raise
    except (KeyboardInterrupt, Exception) as error:
        is_ours = isinstance(error, TapetumError)
        if isinstance(error, KeyboardInterrupt) or (was_received() and not is_ours):
            for note in getattr(error, "__notes__", ())[-1:]:  # of the outermost folder
                say(note, label="note")
            raise typer.Exit(exit_code()) from error  # main says the sentence
        if isinstance(error, BrokenPipeError) and error.filename == STANDARD_OUTPUT:
            say("standard output was closed by its reader")
            raise typer.Exit(EXIT_CLOSED_PIPE) from error
        expected = error if isinstance(error, TapetumError) else _in_our_words(error)
        if expected is None:
            raise
        can_answer = getattr(error, "filename", "") != STANDARD_OUTPUT
        _fail(expected, as_json=as_json and can_answer)


def _in_our_words(error: Exception) -> TapetumError | None:
    """Return the error for a fault of the system or of the installation; else None."""
    if isinstance(error, ModuleNotFoundError):
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        return None if extra is None else MissingExtraError.of(error.name or "", extra)
    is_of_torch = isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error))
    if is_of_torch or isinstance(error, MemoryError):
        return TapetumError("out of memory", "use a smaller batch or smaller images")
    if isinstance(error, OSError):
        return of_system(error)
    return None


def _fail(error: TapetumError, *, as_json: bool) -> None:
    kind = type(error).__name__
    code = EXIT_BAD_INPUT
    if isinstance(error, InterruptedTrainingError):
        code = 128 + error.signal_number
    if as_json:
        with suppress(OSError):  # the error may be that standard output cannot be written
            answer({"error": {"kind": kind, "problem": error.problem, "remedy": error.remedy}})
            raise typer.Exit(code)
    say(str(error), label="error", style="bold red")
    raise typer.Exit(code)


class _Warnings(logging.Handler):
    """Prints what the jobs warn of, such as files that were left out.

    Of notes that every timing makes, such as those on a busy machine, it prints the first in a row.
    """

    repeated = ("another process uses this core", "another latency measurement")
    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        kind = next((each for each in self.repeated if message.startswith(each)), message)
        if kind != self.last or kind == message:
            say(message, label="note")
        self.last = kind


def _show_warnings() -> None:
    logger = logging.getLogger("tapetum")
    if not any(isinstance(handler, _Warnings) for handler in logger.handlers):
        logger.addHandler(_Warnings())


class _Console(Console):
    """A console that raises where nobody reads; rich would exit without a word."""

    def on_broken_pipe(self) -> None:
        """Pass the error on, which is being handled."""
        raise


@contextmanager
def _standard_output() -> Iterator[None]:
    """Notice that standard output cannot be written while a sentence can still say so."""
    if sys.stdout is None:  # the caller has closed it
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STANDARD_OUTPUT)
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer must not fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from error


def say(text: str, *, label: str = "", style: str = "") -> None:
    """Print a line on standard error, behind a label such as ``error``; brackets are no markup."""
    line = Text(f"{label}: ", style=style) if label else Text()
    line.append(printable(text), style="none")
    with suppress(OSError):  # there is no other place to tell that it cannot be written
        _Console(stderr=True, highlight=False, soft_wrap=True).print(line)


def answer(result: Any, *, images: Iterable[Any] | None = None) -> None:
    """Print a result as JSON on standard output; bytes that are no text are escaped.

    Entries of a list ``images`` follow the fields of the result, and are printed one by one.
    """
    with _standard_output():
        text = _as_json(result, indent=2)
        if images is not None:
            sys.stdout.write(text.removesuffix("\n}") + ',\n  "images": [')
            for number, image in enumerate(images):
                sys.stdout.write(f"{',' if number else ''}\n    {_as_json(image)}")
            text = "\n  ]\n}"
        sys.stdout.write(text + "\n")


def _as_json(value: Any, *, indent: int | None = None) -> str:
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, indent=indent, ensure_ascii=not is_unicode, default=str)
    return text.encode("utf-8", "backslashreplace").decode()


def show_scores(scores: "Scores") -> None:
    """Print a row for each noise level, their mean, and a row for each class."""
    table(scores.header, scores.cells(), title=scores.note)
    rows = scores.class_cells()
    if rows:
        shown = sorted(rows, key=lambda row: float(row[2]))[:MOST_CLASSES]
        kept = f", the {MOST_CLASSES} worst of {len(rows):,}" if len(rows) > len(shown) else ""
        title = f"classes, mean over the noise levels{kept}"
        table(scores.CLASS_HEADER, shown if kept else rows, title=title)
    say_remarks(scores)


def say_warnings(scores: "Scores", of: str = "") -> None:
    """Print why scores are no measure, before them; ``of`` names the network, with a colon."""
    for warning in scores.warnings:
        say(f"{of}{warning}", label="warning", style="bold yellow")


def say_remarks(scores: "Scores") -> None:
    """Print what must be known beside the scores, such as where a denoiser loses."""
    for remark in scores.remarks:
        say(remark, label="note")


def table(
    header: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    title: str = "",
    numbers: bool = True,
) -> None:
    """Print a table on standard output; ``numbers``, behind the first column, are to the right."""
    shown = Text(printable(title)) if title else None
    drawn = Table(title=shown, title_justify="left", box=None, pad_edge=False)
    for index, heading in enumerate(header):
        justify: Literal["left", "right"] = "right" if index and numbers else "left"
        drawn.add_column(Text(printable(heading)), justify=justify)
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    console = _Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    with _standard_output():
        console.print(drawn)


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_markdown: bool = False) -> None:
    """Print rows with the same keys on standard output, as CSV or as a table in Markdown."""
    lines = [list(rows[0]), *(["" if cell is None else str(cell) for cell in row.values()]
                              for row in rows)]  # fmt: skip
    with _standard_output():
        if not as_markdown:
            csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
            return
        lines.insert(1, ["---", *["---:"] * (len(rows[0]) - 1)])
        for line in lines:
            cells = (printable(cell).replace("|", "\\|") for cell in line)
            sys.stdout.write(f"| {' | '.join(cells)} |\n")


def run_job(name: str, arguments: dict[str, Any], *, needs_torch: bool = True) -> Any:
    """Run a job of :mod:`tapetum.jobs`, which usually loads torch, and show its progress.

    Exits in all processes of a distributed job but the first, which prints the result.

    Args:
        name: Name of the job.
        arguments: Arguments of the command, of which ``json`` is not one of the job.
        needs_torch: Whether the job loads torch.
    """
    from tapetum import jobs

    options = {key: value for key, value in arguments.items() if key != "json"}
    if needs_torch:
        jobs.refuse_early(name, options)
        say("loading torch")  # why nothing happens in the next seconds
    with progress_bar() as tick:
        result = getattr(jobs, name)(**options, progress=tick)
    if needs_torch:
        from tapetum.training import is_main_process

        if not is_main_process():
            raise typer.Exit
    return result


@contextmanager
def progress_bar() -> Iterator[ProgressCallback]:
    """Show the progress of a job on standard error: a bar for each step, or lines in a log."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        _Bar(bar_width=30),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        _Left(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bars(progress)


class _Bar(BarColumn):
    """The bar of a step; a stage has none, since nobody knows when it ends."""

    def render(self, task: Task) -> Any:
        return "" if task.total is None else super().render(task)


class _Left(TimeRemainingColumn):
    """The time that a step still takes."""

    def render(self, task: Task) -> Text:
        if task.total in (None, 1) or task.time_remaining is None:
            return Text()
        return super().render(task).append(" left")


class _Bars:
    """Shows the bar of the current step, above the stage of the job, whose time goes on.

    A step of more than some seconds leaves a line behind, and so does each stage.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.stage = progress.add_task("working", total=None, counts="")
        self.step: Task | None = None
        self.name = ""

    def __call__(self, done: int, total: int, message: str) -> None:
        what, counts = split_counts(done, total, message)
        shown = escape(printable(what))
        if is_heading(message):
            self._end()
            self.progress.reset(self.stage, total=None, description=shown.split(",")[0])
            self.progress.console.print(shown, style="bold")
            return
        if self.step is not None and (_step(message) != self.name or done < self.step.completed):
            self._end()
        if self.step is None:
            self.name = _step(message)
            added = self.progress.add_task(shown, total=total, counts=counts)
            self.step = self.progress.tasks[-1]
            assert self.step.id == added  # noqa: S101  (tasks are kept in their order)
        told: dict[str, Any] = {"total": total, "counts": counts, "description": shown}
        self.progress.update(self.step.id, completed=done, **told)

    def _end(self) -> None:
        """Remove the bar of a step, and say how long it took if that was long."""
        if self.step is None:
            return
        elapsed_s = self.step.finished_time or self.step.elapsed or 0.0
        if elapsed_s >= SECONDS_OF_A_LINE:
            self.progress.console.print(f"{escape(self.name)}: took {in_words(elapsed_s / 60)}")
        self.progress.remove_task(self.step.id)
        self.step = None


class _Lines:
    """Prints a line at the beginning and the end of a step, and every half minute between."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.name = ""
        self.begun_at = self.printed_at = 0.0
        self.first = 0

    def __call__(self, done: int, total: int, message: str) -> None:
        now, (what, counts) = time.monotonic(), split_counts(done, total, message)
        shown = escape(printable(what))
        if is_heading(message):
            self.name = ""
            self.console.print(shown)
            return
        begins, ends = _step(message) != self.name, done == total
        if begins:
            self.name, self.begun_at, self.first = _step(message), now, done
        if begins or ends or now - self.printed_at >= SECONDS_BETWEEN_LINES:
            self.printed_at = now
            counts = counts or ("done" if done else "")
            left = self._left(done, total, now - self.begun_at)
            self.console.print(f"{shown}{counts and ': '}{counts}{left}")

    def _left(self, done: int, total: int, elapsed_s: float) -> str:
        """Return how long the rest takes at the same pace, with a comma before it."""
        if not self.first < done < total or elapsed_s < 1:
            return ""
        return f", about {in_words(elapsed_s * (total - done) / (done - self.first) / 60)} left"


def _step(message: str) -> str:
    """Return the step of a message: its words before the first number, as in ``epoch 3 of 4``."""
    return re.split(r"[:,\d]", message, maxsplit=1)[0].strip()
