"""``tapetum predict``: denoise and classify images with a package, without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, errors_in_one_sentence, progress_bar, say, table

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.runtime import bulk

__all__ = ["predict"]

Boxes = Annotated[
    Path | None,
    typer.Option(
        help=r'JSON file of boxes for a package that classifies boxes: {"a.png": '
        r"\[\[left, top, right, bottom], ...]}, in pixels.",
        rich_help_panel=options.DATA,
    ),
]
AddNoise = Annotated[
    str | None,
    typer.Option(
        metavar="SIGMA",
        help="Add noise to the images first, such as 0.2 or speckle:0.1, and keep the noisy "
        "images.",
        show_default="no noise",
        rich_help_panel=options.DATA,
    ),
]


def predict(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A .tapetum file.")],
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Images or folders of images.")
    ],
    *,
    boxes: Boxes = None,
    add_noise: AddNoise = None,
    seed: Annotated[
        int, typer.Option(help="Random seed of the added noise.", rich_help_panel=options.DATA)
    ] = 0,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the denoised images.", rich_help_panel=options.OUTPUT),
    ],
    mode: Annotated[
        Literal["both", "label", "image"],
        typer.Option(
            help="Results to compute: label, image, or both.", rich_help_panel=options.OUTPUT
        ),
    ] = "both",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    threads: options.PackageThreads = None,
    memory: Annotated[
        int,
        typer.Option(
            help="Memory limit in MiB; larger images are processed in tiles.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = 1024,
) -> None:
    """Denoise images and classify them.

    Examples:

      tapetum predict photos.tapetum night.png --out denoised

      tapetum predict photos.tapetum photos/val --add-noise 0.2 --out denoised --json
    """
    with errors_in_one_sentence(as_json=json):
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
