"""Walks the commands of ``tapetum``: their help pages, and the reference page of the site.

``scripts/help_pages`` writes the pages into ``tests/snapshots/help``; the site takes the reference
from :func:`reference`.
"""

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import typer
from typer.testing import CliRunner

from tapetum.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOTS = ROOT / "tests" / "snapshots" / "help"
PAGE_COLUMNS = 100
# Terminal settings of the shell must not change a page.
_COLOUR_VARIABLES = ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TERMINAL_WIDTH")


class Command(NamedTuple):
    """A command or a group of commands.

    Attributes:
        words: What one types, such as ``("tapetum", "latency", "measure")``.
        click: The command as click sees it.
        context: The context in which click describes it.
    """

    words: tuple[str, ...]
    click: Any
    context: Any

    @property
    def name(self) -> str:
        """What one types, with blanks."""
        return " ".join(self.words)

    @property
    def parameters(self) -> list[Any]:
        """Every argument and option that the help page shows, but ``--help`` itself."""
        return [each for each in self.click.params if not each.hidden and each.name != "help"]


def commands() -> Iterator[Command]:
    """Yield ``tapetum`` itself, then every command and every group below it."""
    root = typer.main.get_command(app)
    yield from _walk(("tapetum",), root, None)


def _walk(words: tuple[str, ...], click: Any, parent: Any) -> Iterator[Command]:
    context = click.make_context(words[-1], [], parent=parent, resilient_parsing=True)
    yield Command(words, click, context)
    for name, below in sorted(getattr(click, "commands", {}).items()):
        yield from _walk((*words, name), below, context)


def help_page(command: Command) -> str:
    """Return what ``COMMAND --help`` prints on a terminal of 100 columns without colours."""
    kept = {key: value for key, value in os.environ.items() if key not in _COLOUR_VARIABLES}
    fixed = {"COLUMNS": str(PAGE_COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
    with mock.patch.dict(os.environ, {**kept, **fixed}, clear=True):
        result = CliRunner().invoke(app, [*command.words[1:], "--help"], prog_name="tapetum")
    return "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines()) + "\n"


def help_pages() -> dict[str, str]:
    """Return the help page of every command by the name of its snapshot file."""
    return {f"{'_'.join(each.words)}.txt": help_page(each) for each in commands()}


def reference() -> str:
    """Return the reference page of the command line, in Markdown."""
    parts = [
        "# Command line",
        "This page is generated from the commands. `tapetum COMMAND --help` prints the same text.",
        "Results go to standard output, messages to standard error. "
        "Exit codes: 0 for success, 1 for a missed limit (`tapetum benchmark`, `fit`, `export`), "
        "2 for an error that the message explains. "
        "Commands with `--json` print one JSON document.",
    ]
    return "\n\n".join(parts + [_section(each) for each in commands()]) + "\n"


def _section(command: Command) -> str:
    text, _, examples = (command.click.help or "").partition("Examples:")
    parts = [f"{'##' if len(command.words) < 3 else '###'} {command.name}", _unwrapped(text)]
    if examples.strip():
        lines = [line.strip() for line in examples.splitlines() if line.strip()]
        parts.append("```bash\n" + "\n".join(lines) + "\n```")
    panels: dict[str, list[str]] = {}
    for each in command.parameters:
        usual = "Arguments" if each.param_type_name == "argument" else "Options"
        panels.setdefault(each.rich_help_panel or usual, []).append(_row(each, command.context))
    for panel, rows in panels.items():
        parts.append(f"| {panel} | |\n|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)


def _row(parameter: Any, context: Any) -> str:
    left, right = parameter.get_help_record(context)
    text = re.sub(r"\s+", " ", right.replace("|", r"\|"))
    text = re.sub(r"\[((?:default|required|env var).*)\]$", r"<br>*\1*", text)
    shown = html.escape(left).replace("|", "&#124;")  # a bar would end the cell
    return f"| <code>{shown}</code> | {text} |"


def _unwrapped(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.replace("\b", "").strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
