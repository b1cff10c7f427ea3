"""``tapetum export``: write the package of a run."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, errors_in_one_sentence, say

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Package to write, such as FILE.tapetum.", rich_help_panel=options.OUTPUT
        ),
    ],
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Write the package of a run, and check that it computes what the network computes.

    Examples:

      tapetum export runs/digits --out digits.tapetum
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum import jobs

        exported = jobs.export(run, out, overwrite=overwrite)
        if json:
            answer(exported.model_dump(mode="json"))
            return
        parity = exported.parity
        for name, worst in parity.max_difference.items():
            say(
                f"parity of {name}: the largest difference is {worst:.1e} in {parity.runtime} "
                f"(tolerance {parity.tolerance:g})"
            )
        say(f"package: {exported.path}, {exported.size_bytes / 1024:,.0f} KiB")
