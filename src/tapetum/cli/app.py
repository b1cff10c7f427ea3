"""The list of commands.

Each command imports the rooms that it needs when it runs, so that ``tapetum --help`` is quick.
"""

from typing import Any

import typer

from tapetum import __version__
from tapetum.cli.benchmark import benchmark
from tapetum.cli.calibrate import calibrate
from tapetum.cli.common import Command, Group
from tapetum.cli.data import data
from tapetum.cli.demo import demo
from tapetum.cli.doctor import doctor
from tapetum.cli.evaluate import evaluate
from tapetum.cli.export import export
from tapetum.cli.fit import fit
from tapetum.cli.info import info
from tapetum.cli.latency import latency
from tapetum.cli.options import LESS
from tapetum.cli.predict import predict
from tapetum.cli.search import search
from tapetum.cli.serve import serve
from tapetum.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    cls=Group,
    help="One small network that denoises an image and classifies it within a latency budget.",
    epilog="Start with: tapetum fit FOLDER --target-ms 8 --out RUN",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


class PanelCommand(Command):
    """A command whose panels stand in the order of its options, with ``--help`` in the last."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return ``--help``, in a panel instead of in one of its own at the top."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.rich_help_panel = LESS
        return option


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=_print_version
    ),
) -> None:
    pass


commands = (
    *(demo, data, fit, search, train, evaluate, export),
    *(calibrate, predict, serve, benchmark, info, doctor),
)
for command in commands:
    app.command(cls=PanelCommand)(command)
app.add_typer(latency, name="latency")
