"""``tapetum predict --source``: what is printed for a video."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, progress_bar, say, table
from tapetum.errors import InputError

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.runtime import video

__all__ = ["predict_source", "refuse_mixed"]

EXIT_CUT_OFF = 3
VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
FOR_VIDEOS = {"every", "stabilise_label", "temporal", "seconds"}
FOR_IMAGES = {
    *("file_format", "top_k", "resume", "workers", "shard", "ray", "boxes", "add_noise", "seed"),
    *("white", "rows", "max_megapixels"),
}


def refuse_mixed(
    context: typer.Context, package: Path, source: str | None, paths: list[Path] | None
) -> None:
    """Refuse a video beside images, options of the other one, and a package behind images."""
    if bool(paths) == (source is not None):
        both = "images and a video" if paths else "neither images nor a video"
        raise InputError(f"{both} were given", "give images as PATH, or a video with --source")
    _refuse_swapped(package, paths or [])
    videos = [path for path in paths or () if path.suffix.lower() in VIDEO_SUFFIXES]
    if videos:
        raise InputError(f"{videos[0]} is a video", f"give it as --source {videos[0]}")
    kind, others = ("images take", FOR_VIDEOS) if source is None else ("a video takes", FOR_IMAGES)
    options.refuse_given(context, others, f"{kind} no")


def _refuse_swapped(package: Path, paths: list[Path]) -> None:
    """Refuse a package behind the images."""
    behind = next((path for path in paths if path.suffix == ".tapetum"), None)
    if behind is not None and package.suffix != ".tapetum":
        raise InputError(
            f"{package} is not a package, and {behind} stands behind it",
            f"give the package first: tapetum predict {behind} {package}",
        )


def predict_source(arguments: Mapping[str, Any]) -> None:
    """Predict a video, and print what has come of it; ``arguments`` are those of the command."""
    from tapetum.progress import stop_requests
    from tapetum.runtime import Predictor, require_labels, video

    predictor = Predictor.open(
        arguments["package"],
        memory_mib=arguments["memory"],
        **{name: arguments[name] for name in ("threads", "mode", "provider", "reject_below")},
    )
    names = ("stabilise_label", "reject_below", "probabilities")
    given = {f"--{name.replace('_', '-')}": bool(arguments[name]) for name in names}
    require_labels(predictor.outputs, given)
    with stop_requests() as stop, progress_bar() as tick:
        summary = video.predict_video(
            predictor,
            arguments["source"],
            arguments["out"],
            stabilise_s=arguments["stabilise_label"],
            **{
                name: arguments[name]
                for name in ("every", "seconds", "temporal", "probabilities", "overwrite")
            },
            progress=tick,
            should_stop=stop.is_set,
        )
    if arguments["json"]:
        answer({"summary": summary.model_dump(mode="json")})
    else:
        table(("summary", ""), list(_lines(summary)), numbers=False)
    for warning in summary.warnings:
        say(warning, label="note")
    for fault in summary.faults:
        say(fault, label="error", style="bold red")
    if stop.is_set() and not summary.is_live:
        say(f"stopped: {summary.video} ends where it was stopped", label="note")
        raise typer.Exit(128 + (stop.signal_number or 0))
    if summary.faults:
        raise typer.Exit(EXIT_CUT_OFF)


def _lines(summary: "video.VideoSummary") -> Iterator[tuple[str, str]]:
    yield "frames read", f"{summary.num_read:,}"
    yield "frames denoised", f"{summary.num_denoised:,}"
    if summary.num_skipped:
        yield "left out by --every", f"{summary.num_skipped:,}"
    why = ", while the network was busy" if summary.num_dropped else ""
    yield "frames dropped", f"{summary.num_dropped:,}{why}"
    yield (
        "time in the network",
        f"{summary.mean_latency_ms:.2f} ms a frame, 95 % within {summary.p95_latency_ms:g} ms",
    )
    yield "speed", f"{summary.frames_per_second:.3g} frames a second, with reading and writing"
    if summary.mean_still is not None:
        yield "averaged over time", f"{summary.mean_still:.0%} of the pixels, where nothing moved"
    if summary.labels:
        counts = (f"{label} {count:,}" for label, count in summary.labels.items())
        yield "labels", ", ".join(counts)
    yield "video", summary.video
    yield "a row for each frame", summary.table
