"""``tapetum predict``: denoise and classify images with a package, without torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, progress_bar, say, table
from tapetum.cli.options import LESS, MAIN, SCALE, VIDEO, option
from tapetum.cli.predict_video import predict_source, refuse_mixed
from tapetum.progress import shown_path, stop_requests

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.runtime import bulk

__all__ = ["predict"]

EXIT_NOTHING_DONE, EXIT_SOME_FAILED = 2, 3
MOST_ROWS_SHOWN = 40
MOST_REASONS_SHOWN = 20
# Arguments of the command that have the same name in the job, and in its execution.
OF_JOB = (
    *("package", "out", "mode", "seed", "top_k", "reject_below", "probabilities"),
    *("file_format", "white"),
)
OF_EXECUTION = ("threads", "provider", "max_megapixels", "workers", "ray", "rows")


def predict(
    context: typer.Context,
    package: Path = typer.Argument(..., metavar="PACKAGE", help="A .tapetum file."),
    paths: list[Path] | None = typer.Argument(
        None, metavar="PATH", help="Images or folders of images.", show_default=False
    ),
    *,
    out: Path = option(
        ...,
        MAIN,
        "Folder for the denoised images and predictions.jsonl; of a video, the file to write.",
    ),
    mode: Literal["both", "label", "image"] = option(
        "both", MAIN, "Results to compute: label, image or both.", metavar="NAME"
    ),
    file_format: str | None = option(
        None,
        MAIN,
        "File type of the denoised images: png, tiff, jpeg, ...",
        "--format",
        metavar="NAME",
        shown="that of the image",
    ),
    top_k: int = option(
        1, MAIN, "Number of most probable classes to list in predictions.jsonl.", rule=options.COUNT
    ),
    probabilities: bool = option(
        False,
        MAIN,
        "List the probabilities of all classes in predictions.jsonl; of a video, in its CSV file.",
        "--probabilities",
    ),
    reject_below: float = options.REJECT_BELOW,
    resume: bool = options.RESUME,
    overwrite: bool = options.OVERWRITE,
    source: str | None = option(
        None, VIDEO, "Video file, number of a camera or URL, instead of images.", metavar="SOURCE"
    ),
    every: int = option(
        1, VIDEO, "Predict one frame of so many, and leave the others out.", rule=options.COUNT
    ),
    stabilise_label: float = option(
        0.0,
        VIDEO,
        "Time over which the label is averaged, in seconds.",
        rule=options.a_number(float, 0.5, least=0),
    ),
    temporal: bool = option(
        False,
        VIDEO,
        "Average the denoised frames over time, where nothing moves.",
        "--temporal",
    ),
    seconds: float | None = option(
        None,
        VIDEO,
        "Length of the source to predict, in seconds.",
        rule=options.SECONDS,
        shown="to its end, or to Ctrl-C",
    ),
    workers: int | None = option(
        None, SCALE, "Number of processes that share the images.", rule=options.COUNT, shown="1"
    ),
    shard: str = option(
        "1/1",
        SCALE,
        "Part of the images, such as 3/16; several commands may use one --out.",
        metavar="PART",
    ),
    ray: str | None = option(
        None, SCALE, "Ray cluster that shares the images; 'local' starts one.", metavar="ADDRESS"
    ),
    boxes: Path | None = option(
        None,
        LESS,
        "JSON file of boxes to classify, in pixels: "
        r'{"a.png": \[\[left, top, right, bottom], ...]}.',
        metavar="FILE",
    ),
    add_noise: str | None = option(
        None,
        LESS,
        "Add noise first, such as 0.2 or speckle:0.1, and keep the noisy images.",
        rule=options.LEVEL,
    ),
    seed: int = option(0, LESS, "Random seed of the added noise.", rule=options.SEED),
    white: float | None = option(
        None,
        LESS,
        "Stored value that means white in images of 16 bits or floats.",
        rule=options.a_number(float, 4095, above=0),
        shown="from the package or the file",
    ),
    rows: Literal["jsonl", "parquet"] = option(
        "jsonl", LESS, "Table of predictions: jsonl, or parquet as well.", metavar="NAME"
    ),
    threads: int | None = options.PACKAGE_THREADS,
    provider: str = options.PROVIDER,
    memory: int = options.MEMORY,
    max_megapixels: float | None = option(
        None,
        LESS,
        "Largest image to open, in megapixels.",
        rule=options.a_number(float, 100, above=0),
        shown="what fits half the memory",
    ),
    json: bool = options.JSON,
) -> None:
    """Denoise images, or a video, and classify them.

    The exit code is 0 if all images were predicted, 3 if some failed or the video is cut off, and 2
    if nothing was done.

    Examples:

      tapetum predict photos.tapetum night.png --out denoised

      tapetum predict photos.tapetum photos/val --add-noise 0.2 --out denoised --json

      tapetum predict photos.tapetum archive --out denoised --workers 4 --resume

      tapetum predict photos.tapetum --source night.mp4 --out denoised.mp4 --stabilise-label 0.5
    """
    given = locals()
    refuse_mixed(context, package, source, paths)
    if source is None:
        _predict_images(given)
    else:
        predict_source(given)


def _predict_images(given: Mapping[str, Any]) -> None:
    """Predict images, and print what has come of it; ``given`` are the arguments of the command."""
    from tapetum.runtime import bulk

    job, execution, part = _job(given), _execution(given), bulk.Shard.parse(given["shard"])
    with stop_requests() as stop, progress_bar() as tick:
        summary = bulk.run_job(
            job,
            execution,
            shard=part,
            resume=given["resume"],
            overwrite=given["overwrite"],
            progress=tick,
            should_stop=stop.is_set,
        )
    if summary is None:
        kept = f"stopped; the rows are kept in {shown_path(job.out)}: continue with --resume"
        say(kept, label="note")
        raise typer.Exit(128 + (stop.signal_number or 0))
    _show(job, part, summary, as_json=given["json"])


def _job(given: Mapping[str, Any]) -> "bulk.Job":
    """Return what is predicted, from the arguments of the command."""
    from tapetum.noise import parse_noise
    from tapetum.runtime import bulk

    noise, boxes = given["add_noise"], given["boxes"]
    return bulk.Job(
        paths=given["paths"] or [],
        noise=None if noise is None else parse_noise(noise),
        boxes=None if boxes is None else bulk.read_boxes(boxes),
        **{name: given[name] for name in OF_JOB},
    )


def _execution(given: Mapping[str, Any]) -> "bulk.Execution":
    """Return by what means it is predicted, from the arguments of the command."""
    from tapetum.runtime import bulk

    same = {name: given[name] for name in OF_EXECUTION}
    return bulk.Execution(memory_mib=given["memory"], **same)


def _show(job: "bulk.Job", part: "bulk.Shard", summary: "bulk.Summary", *, as_json: bool) -> None:
    """Print the result, and exit with a code unless every image was predicted."""
    from tapetum.runtime import bulk

    if as_json:
        images = (row.model_dump(mode="json") for row in bulk.read_rows(job.out, part))
        answer({"summary": summary.model_dump(mode="json")}, images=images)
    else:
        if summary.num_rows <= MOST_ROWS_SHOWN:
            header = ("image", "label", "confidence", "ms", "denoised image")
            table(header, [_cells(row) for row in bulk.read_rows(job.out, part)])
        table(("summary", ""), list(_lines(summary, job.mode)), numbers=False)
    for warning, count in list(summary.warnings.items())[:MOST_REASONS_SHOWN]:
        say(f"{count:,} image{'s' if count > 1 else ''}: {warning}", label="note")
    if summary.num_failed or summary.num_left_out:
        _say_reasons(summary, bulk.read_rows(job.out, part), job.out)
    if summary.num_failed:
        raise typer.Exit(EXIT_SOME_FAILED if summary.num_images else EXIT_NOTHING_DONE)


def _cells(row: "bulk.PredictionRow") -> tuple[str, ...]:
    frame = f" [{row.frame}]" if row.num_frames > 1 else ""
    return (
        row.name + frame,
        " ".join(row.labels) or "-",
        " ".join(f"{confidence:.2f}" for confidence in row.confidences) or "-",
        "-" if row.latency_ms is None else f"{row.latency_ms:.1f}",
        row.denoised or ("failed" if row.error else "left out" if row.left_out else "-"),
    )


def _lines(summary: "bulk.Summary", mode: str) -> Iterator[tuple[str, str]]:
    yield "images predicted", f"{summary.num_images:,}"
    yield "files that failed", f"{summary.num_failed:,}"
    yield "left out", f"{summary.num_left_out:,}"
    if summary.mean_latency_ms is not None:
        network_ms, rest_ms = summary.mean_latency_ms, summary.mean_prepare_ms or 0.0
        passes = {
            "label": "one pass, for the label",
            "image": "the denoised image at full resolution",
            "both": "all that the package gives, images at full resolution",
        }[mode]
        yield "mean time in the network", f"{network_ms:.2f} ms an image: {passes}"
        yield "mean time to prepare", f"{rest_ms:.2f} ms an image, without reading and writing"
        yield (
            "not the latency budget",
            "which holds for one pass at the training size, unless --budget-includes said more: "
            "'tapetum benchmark' shows each",
        )
    if summary.files_per_second is not None:
        yield "speed", f"{summary.files_per_second:.3g} files a second"
    if summary.labels:
        counts = (f"{label} {count:,}" for label, count in summary.labels.items())
        yield "labels", ", ".join(counts)


def _say_reasons(summary: "bulk.Summary", rows: "Iterator[bulk.PredictionRow]", out: Path) -> None:
    """Say why files failed or were left out: all reasons if they are few."""
    said = 0
    for row in rows:
        if row.is_done or said == MOST_REASONS_SHOWN:
            continue
        said += 1
        if row.error is not None:
            where = "" if row.image in row.error else f"{row.image}: "
            say(where + row.error, label="error", style="bold red")
        else:
            say(f"{row.image}: {row.left_out}", label="left out")
    more = summary.num_failed + summary.num_left_out - said
    if more:
        say(
            f"and {more:,} more that failed or were left out: see the rows in {shown_path(out)}",
            label="note",
        )
