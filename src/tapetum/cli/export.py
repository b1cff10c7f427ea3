"""``tapetum export``: write the package of a run."""

from pathlib import Path

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, say

__all__ = ["export"]


def export(
    run: Path = typer.Argument(..., metavar="RUN", help="Folder of a finished run."),
    out: Path = options.option(..., options.OUTPUT, "Package to write, such as FILE.tapetum."),
    overwrite: bool = options.OVERWRITE,
    json: bool = options.JSON,
) -> None:
    """Write the package of a run, and check that it computes what the network computes.

    Examples:

      tapetum export runs/digits --out digits.tapetum
    """
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
