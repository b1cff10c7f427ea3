"""``tapetum export``: a run becomes a package that ships."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli.common import Json, Overwrite, answer, errors_in_one_sentence, say

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    out: Annotated[Path, typer.Option(help="Package to write, such as FILE.tapetum.")],
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write the package of a run, and run it once to prove that it does the same.

    Examples:

      tapetum export runs/digits --out digits.tapetum
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.jobs import export_run

        exported = export_run(run, out, overwrite=overwrite)
        if json:
            answer(exported.model_dump(mode="json"))
            return
        parity = exported.parity
        for name, worst in parity.max_difference.items():
            say(f"parity of {name}: {worst:.1e} in {parity.runtime}, allowed {parity.tolerance:g}")
        say(f"done: {exported.path}, {exported.size_bytes / 1024:,.0f} KiB")
