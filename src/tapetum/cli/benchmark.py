"""``tapetum benchmark``: time one network on this machine, and compare it with a target."""

from typing import TYPE_CHECKING

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, progress_bar, say, table
from tapetum.cli.options import LESS, MAIN, option

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.latency import Benchmark

__all__ = ["benchmark"]

EXIT_TARGET_MISSED = 1

_TARGET_MS = option(
    None,
    MAIN,
    "Latency to compare with, in milliseconds; exit code 1 if it is missed.",
    rule=options.a_number(float, 8, above=0),
)
_IMAGE = option(
    None,
    MAIN,
    "Height and width of the image that a package is called with.",
    rule=options.PIXELS,
    shown="as in its training",
)
_SIZE = option(
    None,
    LESS,
    "Side of the images in one pass, in pixels.",
    rule=options.COUNT,
    shown="as the network, or 224",
)
_NETWORK = typer.Argument(
    ...,
    metavar="PACKAGE|ARCH|GRAPH.onnx",
    help="A .tapetum, .json or .onnx file, or a name that `tapetum info` lists.",
)
_THREADS = option(
    None, MAIN, "Threads of the network.", rule=options.COUNT, shown="as the package, or 1"
)
_CHANNELS = option(
    None, LESS, "Channels of the images: 1 (grey) or 3 (RGB).", rule=options.CHANNELS
)
_CLASSES = option(100, LESS, "Number of classes of a named architecture.", rule=options.CLASSES)
_PACE_MS = option(
    100.0,
    LESS,
    "Also time images that come so far apart, in milliseconds; 0: none.",
    rule=options.a_number(float, 100, least=0),
)
_SECONDS = option(6.0, LESS, "Approximate duration of the other timings.", rule=options.SECONDS)


def benchmark(
    network: str = _NETWORK,
    target_ms: float | None = _TARGET_MS,
    image: str | None = _IMAGE,
    threads: int | None = _THREADS,
    budget_includes: options.Includes = options.BUDGET_INCLUDES,
    batch: int = options.BATCH,
    runtime: options.RuntimeName = options.RUNTIME,
    size: int | None = _SIZE,
    channels: int | None = _CHANNELS,
    classes: int = _CLASSES,
    pace_ms: float = _PACE_MS,
    seconds: float = _SECONDS,
    json: bool = options.JSON,
) -> None:
    """Time one network on this machine, and the whole call of a package.

    A package is timed at its own size, and for an image of the size of its training files: the
    preparation of the image, the preparation with one pass, and the whole call, which also returns
    the denoised image at full resolution.

    With --target-ms, the exit code is 0 if the median is at most 2 % above the target, and 1 if it
    is slower.

    Examples:

      tapetum benchmark photos.tapetum --target-ms 8

      tapetum benchmark photos.tapetum --target-ms 40 --budget-includes call --image 480x640

      tapetum benchmark unet-s --size 96 --channels 1 --threads 2

      tapetum benchmark network.onnx --runtime openvino --json

    """
    from tapetum.latency import measure_latency

    with progress_bar() as tick:
        result = measure_latency(
            network,
            size_px=size,
            channels=channels,
            image_px=None if image is None else options.parse_size(image),
            num_classes=classes,
            threads=threads,
            batch=batch,
            runtime=runtime,
            seconds=seconds,
            target_ms=target_ms,
            includes=budget_includes,
            pace_ms=pace_ms,
            progress=tick,
        )
    if json:
        answer(result.model_dump(mode="json") | {"keeps_target": result.keeps_target})
    else:
        _show(result, is_size_given=size is not None, is_image_given=image is not None)
    if result.keeps_target is False:
        raise typer.Exit(EXIT_TARGET_MISSED)


def _show(result: "Benchmark", *, is_size_given: bool, is_image_given: bool) -> None:
    header: tuple[str, ...] = ("", "median, ms", "95th percentile, ms")
    paced = result.paced
    if paced is not None:
        header = (*header, f"one each {paced.pace_ms:g} ms, median")
    table(header, _latencies(result), title=str(result.conditions))
    rows = [
        ("spread of the rounds", f"{result.timing.spread:.1%} between their quartiles"),
        ("images per second", f"{result.images_per_second:.1f}"),
    ]
    if result.multiply_adds is not None:
        rows += [
            ("multiply-adds", f"{result.multiply_adds / 1e6:.1f} M per image"),
            ("rate", f"{result.giga_multiply_adds_per_second:.1f} G multiply-adds per second"),
            ("share of the machine's peak", _share(result.peak_share)),
        ]
    table(("one pass of the network", ""), rows, numbers=False)
    for line in verdict(result):
        say(line)
    if not is_size_given and result.calls is None:
        say(f"timed at {result.conditions.width_px} px; --size gives another side")
    if not is_image_given and result.calls is not None:
        say(f"called with an image of {result.calls.size}; --image gives another size")


def _share(share: float | None) -> str:
    """Return a share of the peak; above 1 its own timing was slowed down."""
    above = "; the peak was measured while the machine was busy" if (share or 0) > 1 else ""
    return "-" if share is None else f"{share:.0%}{above}"


def _latencies(result: "Benchmark") -> list[tuple[str, ...]]:
    """Return a row for each thing that was timed."""
    paced, calls, size_px = result.paced, result.calls, result.conditions.height_px
    at_pace = None if paced is None else paced.network
    timed = [(f"network, {size_px} x {size_px} px", result.timing, at_pace)]
    if calls is not None:
        timed += [
            (f"preparation of an image of {calls.size}", calls.preparation, None),
            ("preparation and network: the label", calls.prepared, None),
        ]
    if calls is not None and calls.whole is not None:
        at_pace = None if paced is None else paced.whole
        timed.append((f"whole call: label, and denoised image of {calls.size}",
                      calls.whole, at_pace))  # fmt: skip
    rows = []
    for name, timing, at_pace in timed:
        cells = [f"{timing.median_ms:.3f}", f"{timing.p95_ms:.3f}"]
        if paced is not None:
            cells.append("-" if at_pace is None else f"{at_pace.median_ms:.3f}")
        rows.append((name, *cells))
    return rows


def verdict(result: "Benchmark") -> list[str]:
    """Return the sentences that compare a latency with its target."""
    if result.ratio is None:
        return []
    state = "is kept" if result.keeps_target else "is missed"
    off = f"{abs(result.ratio - 1):.1%} {'above' if result.ratio > 1 else 'below'}"
    what = {"network": "one pass", "preparation": "preparation and one pass", "call": "whole call"}
    lines = [
        f"the budget of {result.target_ms:g} ms for the {what[result.includes]} {state}: the "
        f"median of {result.compared.median_ms:.3f} ms is {off} it"
    ]
    if result.exceeding_call is not None and result.calls is not None:
        lines.append(
            f"the whole call takes {result.exceeding_call.median_ms:.3f} ms on an image of "
            f"{result.calls.size}, which is above the budget"
        )
    return lines
