"""The command line: a list of commands.

Every command imports the room that it needs when it runs, so that ``tapetum --help`` loads none
of the heavy ones.
"""

import typer

from tapetum import __version__
from tapetum.cli.benchmark import benchmark
from tapetum.cli.demo import demo
from tapetum.cli.doctor import doctor
from tapetum.cli.evaluate import evaluate
from tapetum.cli.export import export
from tapetum.cli.fit import fit
from tapetum.cli.info import info
from tapetum.cli.latency import latency
from tapetum.cli.predict import predict
from tapetum.cli.search import search
from tapetum.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    help="One small network that denoises a noisy image and names what is in it.",
    epilog="Start with: tapetum demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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


for command in (
    demo,
    fit,
    search,
    train,
    evaluate,
    export,
    predict,
    benchmark,
    info,
    doctor,
):
    app.command()(command)
app.add_typer(latency, name="latency")
