"""``tapetum predict``: denoise and classify images with a package, without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, progress_bar, say, table
from tapetum.cli.options import ADVANCED, DATA, OUTPUT, option

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.runtime import bulk

__all__ = ["predict"]


def predict(
    package: Path = typer.Argument(..., metavar="PACKAGE", help="A .tapetum file."),
    paths: list[Path] = typer.Argument(..., metavar="PATH...", help="Images or folders of images."),
    *,
    boxes: Path | None = option(
        None,
        DATA,
        r'JSON file of boxes for a package that classifies boxes: {"a.png": '
        r"\[\[left, top, right, bottom], ...]}, in pixels.",
    ),
    add_noise: str | None = option(
        None,
        DATA,
        "Add noise to the images first, such as 0.2 or speckle:0.1, and keep the noisy images.",
        metavar="SIGMA",
        shown="no noise",
    ),
    seed: int = option(0, DATA, "Random seed of the added noise."),
    out: Path = option(..., OUTPUT, "Folder for the denoised images."),
    mode: Literal["both", "label", "image"] = option(
        "both", OUTPUT, "Results to compute: label, image, or both."
    ),
    overwrite: bool = options.OVERWRITE,
    json: bool = options.JSON,
    threads: int | None = options.PACKAGE_THREADS,
    memory: int = option(
        1024, ADVANCED, "Memory limit in MiB; larger images are processed in tiles."
    ),
) -> None:
    """Denoise images and classify them.

    Examples:

      tapetum predict photos.tapetum night.png --out denoised

      tapetum predict photos.tapetum photos/val --add-noise 0.2 --out denoised --json
    """
    from tapetum.noise import parse_noise
    from tapetum.runtime import Predictor, bulk

    job = bulk.Job(
        paths=paths,
        out=out,
        noise=parse_noise(add_noise) if add_noise is not None else None,
        seed=seed,
        boxes=bulk.read_boxes(boxes) if boxes is not None else None,
        overwrite=overwrite,
    )
    predictor = Predictor.open(package, threads=threads, mode=mode, memory_mib=memory)
    with progress_bar() as tick:
        rows = bulk.run_job(predictor, job, progress=tick)
    note = bulk.scale_note(predictor.manifest, rows)
    if json:
        notes = [] if note is None else [note]
        answer({"images": [row.model_dump(mode="json") for row in rows], "notes": notes})
    else:
        header = ("image", "label", "confidence", "ms", "denoised")
        table(header, [_cells(row) for row in rows if row.error is None])
    if note is not None:
        say(note, label="note")
    failed = [row for row in rows if row.error is not None]
    for row in failed:
        say(f"{row.image}: {row.error}", label="error", style="bold red")
    if failed:
        raise typer.Exit(2)


def _cells(row: "bulk.PredictionRow") -> tuple[str, ...]:
    return (
        row.image,
        " ".join(row.labels) or "-",
        " ".join(f"{confidence:.2f}" for confidence in row.confidences) or "-",
        f"{row.latency_ms:.1f}",
        row.denoised or "-",
    )
