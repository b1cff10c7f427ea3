"""``tapetum latency``: measure a table of block prices on this device, check it and predict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapetum.cli.common import (
    answer,
    errors_in_one_sentence,
    progress_bar,
    runtime_of,
    say,
    say_crowded,
    table,
)
from tapetum.cli.options import (
    ADVANCED,
    DATA,
    OUTPUT,
    Batch,
    Decoder,
    Json,
    LearnsDepth,
    Minutes,
    Networks,
    Operators,
    Overwrite,
    RuntimeName,
    SpaceName,
    Threads,
    Up,
)

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.latency import Check, LatencyTable

__all__ = ["latency"]

latency = typer.Typer(
    help="Measure the latency of blocks on this device, and predict that of whole networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

TableFile = Annotated[
    Path,
    typer.Argument(metavar="TABLE", help="Latency table that `tapetum latency measure` wrote."),
]


@latency.command("measure")
def measure(
    out: Annotated[
        Path,
        typer.Option(help="JSON file to write the table to.", rich_help_panel=OUTPUT),
    ],
    space: SpaceName = "dc-nas",
    operators: Operators = 8,
    decoder: Decoder = "conv",
    up: Up = "transposed_conv",
    learns_depth: LearnsDepth = False,
    size: Annotated[
        int, typer.Option(help="Side of the images, in pixels.", rich_help_panel=DATA)
    ] = 224,
    channels: Annotated[
        int,
        typer.Option(help="Channels of the images: 1 for grey, 3 for RGB.", rich_help_panel=DATA),
    ] = 3,
    classes: Annotated[int, typer.Option(help="Number of classes.", rich_help_panel=DATA)] = 100,
    batch: Batch = 1,
    threads: Threads = 1,
    runtime: RuntimeName = "onnxruntime",
    networks: Networks = 400,
    minutes: Minutes = 6.0,
    max_rounds: Annotated[
        int,
        typer.Option(
            help="The most times that each network is timed, however noisy the machine is.",
            rich_help_panel=ADVANCED,
        ),
    ] = 50,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Time random networks of a search space, and fit a price to every block in it.

    Each network is timed in several rounds, until the noise of the machine is averaged out or the
    time limit is reached.  A measurement that was killed continues where it stopped.

    Examples:

      tapetum latency measure --space c-nas --size 224 --out c-nas.json

      tapetum latency measure --space my-space.json --size 64 --threads 2 --out mine.json
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.arch import spaces
        from tapetum.latency import Conditions, Effort, measure_table

        frame = spaces.Frame(
            operators=operators,
            image_px=size,
            image_channels=channels,
            num_classes=classes,
            decoder=decoder,
            up=up,
            learns_depth=learns_depth,
        )
        opened, chosen = spaces.open_space(space, frame), runtime_of(runtime)
        say_crowded(threads)
        conditions = Conditions.here(
            chosen, threads=threads, batch=batch, channels=opened.image_channels, size_px=size
        )
        effort = Effort(networks, minutes, max_rounds)
        with progress_bar() as tick:
            measured = measure_table(
                opened, chosen, conditions, out, effort=effort, overwrite=overwrite, progress=tick
            )
        _tell_measured(measured, out, as_json=json)


def _tell_measured(measured: "LatencyTable", out: Path, *, as_json: bool) -> None:
    """Report a new table, and what to do next."""
    if as_json:
        answer(_facts(measured))
        return
    _show(measured)
    if measured.accuracy.is_noisy:
        say(
            "the machine was noisy, or the time too short, for precise latencies; stop other "
            "processes, or give it more --minutes"
        )
    say(f"wrote {out}; check it: tapetum latency check {out}")


@latency.command("range")
def range_(file: TableFile, json: Json = False) -> None:
    """Show the fastest and the slowest latency that the networks of a table's space have.

    Examples:

      tapetum latency range c-nas.json
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.latency import LatencyTable

        read = LatencyTable.read(file)
        if json:
            answer(_facts(read))
        else:
            _show(read)


@latency.command("predict")
def predict(
    file: TableFile,
    architecture: Annotated[
        Path,
        typer.Argument(metavar="ARCH.json", help="Architecture of a network of the table's space."),
    ],
    json: Json = False,
) -> None:
    """Predict the latency of a network.

    Examples:

      tapetum latency predict c-nas.json architecture.json
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.arch import Architecture
        from tapetum.latency import LatencyTable

        read = LatencyTable.read(file)
        predicted = read.predict_architecture(Architecture.read(architecture))
        if json:
            answer({**predicted._asdict(), "conditions": read.conditions.model_dump()})
            return
        interval = f"{predicted.low_ms:.2f} to {predicted.high_ms:.2f}"
        rows = [
            ("predicted median", f"{predicted.median_ms:.2f}"),
            ("interval of nine in ten networks", interval),
        ]
        table(("", "ms"), rows, title=str(read.conditions))


@latency.command("check")
def check(
    file: TableFile,
    networks: Annotated[
        int,
        typer.Option(help="Number of new random networks to time.", rich_help_panel=ADVANCED),
    ] = 40,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="PNG file for a plot of measured over predicted latency.", rich_help_panel=OUTPUT
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Time new random networks, and compare them with a table's predictions.

    Two other errors are shown beside the table's: that of a prediction from multiply-adds alone,
    and that of measuring again, which no prediction can beat.

    Examples:

      tapetum latency check c-nas.json

      tapetum latency check c-nas.json --networks 100 --plot check.png
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.latency import LatencyTable, check_table

        read = LatencyTable.read(file)
        with progress_bar() as tick:
            result = check_table(
                read,
                runtime_of(read.conditions.runtime),
                num_networks=networks,
                what=str(file),
                progress=tick,
            )
        if plot is not None:
            from tapetum.report import write_scatter

            pairs = [(net.predicted_ms, net.measured_ms) for net in result.networks]
            write_scatter(plot, pairs, title=str(read.conditions))
        if json:
            answer(result.model_dump(mode="json") | {"summary": result.summary()})
        else:
            _show_check(result, read)


def _show(read: "LatencyTable") -> None:
    fastest_ms, slowest_ms = read.range
    accuracy = read.accuracy
    rows = [
        ("conditions", str(read.conditions)),
        ("space", f"{read.space.name}, {len(read.space.slots)} slots"),
        ("latencies of this space", f"{fastest_ms:.2f} to {slowest_ms:.2f} ms"),
        ("timed", f"{accuracy.num_networks} random networks, {accuracy.num_rounds} times each"),
        (
            "noise of a latency",
            "unknown" if accuracy.noise is None else f"{accuracy.noise:.1%}",
        ),
        (
            "held-out error",
            f"mean {accuracy.mean_relative_error:.1%}, worst {accuracy.worst_relative_error:.1%}",
        ),
        ("error of multiply-adds alone", f"mean {read.baseline.mean_relative_error:.1%}"),
        ("nine in ten networks within", f"{accuracy.interval:.1%}"),
    ]
    table(("", ""), rows, numbers=False)


def _show_check(result: "Check", read: "LatencyTable") -> None:
    rows = [
        (name, f"{errors.mean:.1%}", f"{errors.worst:.1%}", f"{errors.rank_correlation:.3f}")
        for name, errors in (
            ("the table", result.table),
            ("the table, median error removed", result.same_speed),
            ("multiply-adds alone", result.multiply_adds),
            ("measuring again", result.repeating),
        )
    ]
    header = ("predicted by", "mean error", "worst", "rank correlation")
    table(header, rows, title=f"{len(result.networks)} new networks; {read.conditions}")
    say(
        f"median error {result.bias:+.1%}: the machine has changed by so much since the table was "
        f"measured; apart from it, {result.coverage:.0%} of the measurements lie within "
        f"{result.interval:.1%} of the prediction, and 90% are expected"
    )


def _facts(read: "LatencyTable") -> dict[str, object]:
    return {
        **read.range._asdict(),
        "accuracy": read.accuracy.model_dump(),
        "baseline": read.baseline.model_dump(),
        "conditions": read.conditions.model_dump(),
    }
