"""``tapetum benchmark``: time one network on this machine, and compare it with a target."""

from typing import TYPE_CHECKING

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, progress_bar, say, say_crowded, table
from tapetum.cli.options import ADVANCED, BUDGET, DATA, option

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.latency import Benchmark

__all__ = ["benchmark"]

EXIT_TARGET_MISSED = 1


def benchmark(
    network: str = typer.Argument(
        ...,
        metavar="PACKAGE|ARCH|GRAPH.onnx",
        help="A .tapetum, .json or .onnx file, or a name that `tapetum info` lists.",
    ),
    target_ms: float | None = option(
        None, BUDGET, "Latency to compare with, in milliseconds; exit code 1 if it is missed."
    ),
    size: int | None = option(
        None, DATA, "Side of the images, in pixels.", shown="that of the network, or 224"
    ),
    channels: int | None = option(
        None,
        DATA,
        "Channels of the images: 1 for grey, 3 for RGB.",
        shown="those of the network, or 3",
    ),
    classes: int = option(100, DATA, "Number of classes of a named architecture."),
    batch: int = options.BATCH,
    threads: int = options.THREADS,
    runtime: options.RuntimeName = options.RUNTIME,
    seconds: float = option(6.0, ADVANCED, "Approximate duration, in seconds."),
    json: bool = options.JSON,
) -> None:
    """Time one network on this machine, in rounds that are spread over some seconds.

    With --target-ms, the exit code is 0 if the median is at most 2 % above the target, and 1 if it
    is slower.

    Examples:

      tapetum benchmark photos.tapetum --target-ms 8

      tapetum benchmark unet-s --size 96 --channels 1 --threads 2

      tapetum benchmark network.onnx --runtime openvino --json

    """
    from tapetum.latency import measure_latency

    say_crowded(threads)
    with progress_bar() as tick:
        result = measure_latency(
            network,
            size_px=size,
            channels=channels,
            num_classes=classes,
            threads=threads,
            batch=batch,
            runtime=runtime,
            seconds=seconds,
            target_ms=target_ms,
            progress=tick,
        )
    if json:
        answer(result.model_dump(mode="json") | {"keeps_target": result.keeps_target})
    else:
        _show(result)
    if result.keeps_target is False:
        raise typer.Exit(EXIT_TARGET_MISSED)


def _show(result: "Benchmark") -> None:
    timing = result.timing
    rows = [
        ("median", f"{timing.median_ms:.3f} ms"),
        ("mean", f"{timing.mean_ms:.3f} ms"),
        ("95th percentile", f"{timing.p95_ms:.3f} ms"),
        ("spread of the rounds", f"{timing.spread:.1%} between their quartiles"),
        ("images per second", f"{result.images_per_second:.1f}"),
    ]
    if result.multiply_adds is not None:
        rows += [
            ("multiply-adds", f"{result.multiply_adds / 1e6:.1f} M per image"),
            ("rate", f"{result.giga_multiply_adds_per_second:.1f} G multiply-adds per second"),
            ("share of the machine's peak", f"{result.peak_share:.0%}"),
        ]
    table(("", ""), rows, title=str(result.conditions), numbers=False)
    if result.ratio is not None:
        verdict = "is kept" if result.keeps_target else "is missed"
        off = f"{abs(result.ratio - 1):.1%} {'above' if result.ratio > 1 else 'below'}"
        say(
            f"the budget of {result.target_ms:g} ms {verdict}: the median of "
            f"{timing.median_ms:.3f} ms is {off} it"
        )
