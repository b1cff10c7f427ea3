"""``tapetum benchmark``: time networks on this machine, and compare them with targets."""

from typing import TYPE_CHECKING

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, print_rows, progress_bar, say, table
from tapetum.cli.options import LESS, MAIN, option
from tapetum.errors import InputError

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.jobs import BenchmarkTable
    from tapetum.latency import Benchmark

__all__ = ["benchmark"]

EXIT_TARGET_MISSED = 1

_TARGET_MS = option(
    None,
    MAIN,
    "Largest latency, in milliseconds; exit code 1 if it is missed.",
    *("--target-ms", "--max-ms"),
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
_FILES = typer.Argument(
    ...,
    metavar="FILE",
    help="Files that 'tapetum export' wrote (.tapetum, .onnx, .xml, .param, .tflite, .pte), other "
    ".onnx files, .json architectures, or names that 'tapetum info' lists.",
)
_THREADS = option(
    None,
    MAIN,
    "Threads of the network; several give a table.",
    rule=options.a_text("INT[,INT...]", "1,2", options.parse_counts),
    shown="as the package, or 1",
)
_DATA = option(None, MAIN, "Folder of images to score each file on, as 'tapetum evaluate' does.")
_AGAINST = option(
    None,
    MAIN,
    "Classifier and denoiser that would be used one after the other.",
    metavar="FILE FILE",
)
_MIN_PSNR = option(
    None,
    MAIN,
    "Lowest PSNR on the images, in dB; exit code 1 if it is missed.",
    rule=options.a_number(float, 30, above=0),
)
_MIN_ACCURACY = option(
    None,
    MAIN,
    "Lowest macro accuracy on the images, in percent; exit code 1 if it is missed.",
    rule=options.a_number(float, 90, above=1, most=100),  # 0.9 is a share, meant as 90
)
_CSV = option(False, LESS, "Print the table as CSV.", "--csv")
_MARKDOWN = option(False, LESS, "Print the table in Markdown.", "--markdown")
_CHANNELS = option(
    None,
    LESS,
    "Channels of the images: 1 (grey) or 3 (RGB).",
    rule=options.CHANNELS,
    shown="as the network, else 3",
)
_CLASSES = option(100, LESS, "Number of classes of a named architecture.", rule=options.CLASSES)
_PACE_MS = option(
    100.0,
    LESS,
    "Also time images that come so far apart, in milliseconds; 0: none.",
    rule=options.a_number(float, 100, least=0),
)
_SECONDS = option(
    6.0, LESS, "Approximate seconds of the other timings, for each file.", rule=options.SECONDS
)


def benchmark(
    files: list[str] = _FILES,
    target_ms: float | None = _TARGET_MS,
    data: str | None = _DATA,
    min_psnr: float | None = _MIN_PSNR,
    min_accuracy: float | None = _MIN_ACCURACY,
    against: tuple[str, str] | None = _AGAINST,
    image: str | None = _IMAGE,
    threads: str | None = _THREADS,
    budget_includes: options.Includes = options.BUDGET_INCLUDES,
    batch: int = options.BATCH,
    runtime: options.RuntimeName = options.RUNTIME,
    size: int | None = _SIZE,
    channels: int | None = _CHANNELS,
    classes: int = _CLASSES,
    pace_ms: float = _PACE_MS,
    seconds: float = _SECONDS,
    csv: bool = _CSV,
    markdown: bool = _MARKDOWN,
    json: bool = options.JSON,
) -> None:
    """Time networks on this machine: one in detail, or several files in a table with their scores.

    A package is timed at its own size, and for an image of the size of its training files: the
    preparation of the image, the preparation with one pass, and the whole call, which also returns
    the denoised image at full resolution.

    Several files, or any of --data, --against, --csv, --markdown and several --threads, give a
    table. Its files take turns in the same rounds. An exported file is run as it is, by the runtime
    of its format; FILE.json beside it says how.

    With --target-ms, the exit code is 0 if the median is at most 2 % above the target, and 1 if it
    is slower. In a table, this holds for each file but those of --against.

    Examples:

      tapetum benchmark photos.tapetum --target-ms 8

      tapetum benchmark photos.tapetum --target-ms 40 --budget-includes call --image 480x640

      tapetum benchmark unet-s --size 96 --channels 1 --threads 2

      tapetum benchmark network.onnx --runtime openvino --json

      tapetum benchmark photos.tapetum photos.xml --data photos --threads 1,2 --markdown

      tapetum benchmark photos.tapetum --data photos --max-ms 8 --min-psnr 28 --min-accuracy 90

      tapetum benchmark photos.tapetum --data photos --against classifier.onnx denoiser.onnx

    """
    from tapetum import jobs

    if json + csv + markdown > 1:
        raise InputError("two forms of output were requested", "give --json, --csv or --markdown")
    with progress_bar() as tick:
        result = jobs.benchmark(
            files,
            threads=() if threads is None else options.parse_counts(threads),
            data=data,
            against=against,
            target_ms=target_ms,
            min_psnr=min_psnr,
            min_accuracy=min_accuracy,
            as_table=csv or markdown,
            image_px=None if image is None else options.parse_size(image),
            includes=budget_includes,
            batch=batch,
            pace_ms=pace_ms,
            seconds=seconds,
            progress=tick,
            runtime=runtime,
            size_px=size,
            channels=channels,
            num_classes=classes,
        )
    if isinstance(result, jobs.BenchmarkTable):
        _show_table(result, csv=csv, markdown=markdown, json=json)
        raise typer.Exit(EXIT_TARGET_MISSED if result.missed else 0)
    if json:
        answer(result.model_dump(mode="json") | {"keeps_target": result.keeps_target})
    else:
        _show(result, is_size_given=size is not None, is_image_given=image is not None)
    if result.keeps_target is False:
        raise typer.Exit(EXIT_TARGET_MISSED)


def _show_table(result: "BenchmarkTable", *, csv: bool, markdown: bool, json: bool) -> None:
    """Print a table in one of its forms, and what to know of it on standard error."""
    names = [{"file": row.file, "threads": str(row.threads)} for row in result.rows]
    results = [name | row.results for name, row in zip(names, result.rows, strict=True)]
    conditions = [name | row.circumstances for name, row in zip(names, result.rows, strict=True)]
    if json:
        answer(result.model_dump(mode="json"))
    elif csv:
        print_rows([row.model_dump() for row in result.rows])
    elif markdown:
        both = [{**one, **other} for one, other in zip(results, conditions, strict=True)]
        print_rows(both, as_markdown=True)
    else:
        for rows, title in ((results, result.title), (conditions, "")):
            table(tuple(rows[0]), [tuple(row.values()) for row in rows], title=title)
    for row in result.rows:
        if row.reason:
            say(f"{row.file} was not timed: {row.reason}", label="note")
    for remark in result.remarks:
        say(remark, label="note")
    for text in result.missed:
        say(text, label="error")


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
    if "MHz" in result.throttling:
        say(f"the clock of the processor fell {result.throttling}", label="note")


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
    if not result.keeps_target and result.ratio - 1 <= (spread := result.compared.spread):
        lines.append(f"the rounds differ by {spread:.1%}: measure again when the machine is quiet")
    if result.exceeding_call is not None and result.calls is not None:
        lines.append(
            f"the whole call takes {result.exceeding_call.median_ms:.3f} ms on an image of "
            f"{result.calls.size}, which is above the budget"
        )
    return lines
