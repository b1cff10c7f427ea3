"""``tapetum export``: a run becomes a package that ships, or a peer's run a bare graph."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli.common import Json, Overwrite, answer, errors_in_one_sentence, say

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    out: Annotated[
        Path, typer.Option(help="The package, such as FILE.tapetum; FILE.onnx of a peer.")
    ],
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write the package of a run, and run it once to prove that it does the same.

    Examples:

      tapetum export runs/digits --out digits.tapetum

    The run of a peer gives a bare graph, for pictures of the size that it was trained on:

      tapetum export runs/resnet-18 --out resnet-18.onnx
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.fit import export_run

        exported = export_run(run, out, overwrite=overwrite)
        if json:
            answer(exported.model_dump(mode="json"))
            return
        parity = exported.parity
        for name, worst in parity.max_difference.items():
            say(f"parity of {name}: {worst:.1e} in {parity.runtime}, allowed {parity.tolerance:g}")
        say(f"done: {exported.path}, {exported.size_bytes / 1024:,.0f} KiB")
