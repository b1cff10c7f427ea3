"""``tapetum demo``: a fit on handwritten digits, from nothing, in minutes."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli import options
from tapetum.cli.common import errors_in_one_sentence, progress_bar, say, say_loading
from tapetum.cli.fit import show_fit

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for all results.", rich_help_panel=options.OUTPUT)
    ] = Path("runs/demo"),
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    data_root: options.DataRoot = None,
    download: options.Download = False,
) -> None:
    """Fit a small network for noisy digits to a latency budget on this machine.

    Does what 'tapetum fit' does, on handwritten digits, in about ten minutes on two cores.

    Examples:

      tapetum demo

      tapetum demo --data-root ~/mnist --out runs/mnist
    """
    arguments = {**locals()}
    with errors_in_one_sentence(as_json=arguments.pop("json")):
        say_loading()
        from tapetum import jobs

        with progress_bar() as tick:
            result = jobs.demo(**arguments, progress=tick)
        show_fit(result, as_json=json)
        images = out / "images"
        say(f"next: tapetum predict {result.package} {images} --out {out / 'denoised'}")
        say(f"      tapetum benchmark {result.package} --target-ms {result.delivery.target_ms:g}")
        say(f"      tapetum demo --out {out} --overwrite   (to replace this demo)")
