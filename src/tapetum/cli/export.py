"""``tapetum export``: write the package or the plain graph of a run."""

from pathlib import Path

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, progress_bar, say

__all__ = ["export"]


def export(
    run: Path = typer.Argument(..., metavar="RUN", help="Folder of a finished run."),
    out: Path = options.option(..., options.MAIN, "File to write: FILE.tapetum or FILE.onnx."),
    precision: options.PrecisionName = options.option(
        "fp32",
        options.MAIN,
        "Number format: fp32, int8 (measured against fp32), or auto for the better one.",
        metavar="NAME",
    ),
    data: str | None = options.option(
        None,
        options.MAIN,
        "Folder of the training images, which int8 needs.",
        shown="as in the training",
    ),
    overwrite: bool = options.OVERWRITE,
    json: bool = options.JSON,
) -> None:
    """Write the package of a run, and check that it computes what the network computes.

    A file that ends in .onnx is a plain graph for other runtimes, which prepares images itself.

    Examples:

      tapetum export runs/digits --out digits.tapetum

      tapetum export runs/photos --out photos.onnx

      tapetum export runs/photos --out photos.tapetum --precision auto
    """
    from tapetum import jobs

    jobs.refuse_early("export", {"run": run, "out": out})
    with progress_bar() as tick:
        exported = jobs.export(
            run, out, precision=precision, data=data, overwrite=overwrite, progress=tick
        )
    if json:
        answer(exported.model_dump(mode="json"))
        return
    parity = exported.parity
    for name, worst in parity.max_difference.items():
        say(
            f"parity of {name}: the largest difference is {worst:.1e} in {parity.runtime} "
            f"(tolerance {parity.tolerance:g})"
        )
    if exported.precision is not None:
        say(exported.precision.text)
    for remark in exported.remarks:
        say(remark, label="note")
    kind = "graph" if out.suffix.lower() == ".onnx" else "package"
    say(f"{kind}: {exported.path}, {exported.size_bytes / 1024:,.0f} KiB")
