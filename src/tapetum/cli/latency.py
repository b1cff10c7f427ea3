"""``tapetum latency``: measure a table of block prices on this device, check it and predict."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tapetum.cli import options
from tapetum.cli.common import Command, Group, answer, progress_bar, say, table
from tapetum.cli.options import LESS, MAIN, option

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.latency import Check, LatencyTable

__all__ = ["latency"]

latency = typer.Typer(
    cls=Group,
    help="Time networks of a search space on this device, and predict the latency of others.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

TABLE = typer.Argument(
    ..., metavar="TABLE", help="Latency table that `tapetum latency measure` wrote."
)


@latency.command("measure", cls=Command)
def measure(
    out: Path = option(..., MAIN, "JSON file to write the table to."),
    space: str = option("dc-nas", MAIN, options.SPACE_HELP),
    size: int = option(224, MAIN, "Side of the images, in pixels.", rule=options.SIDE),
    channels: int = option(
        3, MAIN, "Channels of the images: 1 (grey) or 3 (RGB).", rule=options.CHANNELS
    ),
    classes: int = option(100, MAIN, "Number of classes.", rule=options.CLASSES),
    minutes: float = option(6.0, MAIN, options.TABLE_MINUTES, rule=options.MINUTES),
    overwrite: bool = options.OVERWRITE,
    threads: int = options.THREADS,
    batch: int = options.BATCH,
    runtime: options.RuntimeName = options.RUNTIME,
    operators: int = option(8, LESS, options.OPERATORS_HELP, rule=options.OPERATORS),
    decoder: options.Decoder = option("conv", LESS, options.DECODER_HELP, metavar="NAME"),
    up: options.Up = option("transposed_conv", LESS, options.UP_HELP, metavar="NAME"),
    learns_depth: bool = option(False, LESS, options.DEPTH_HELP, "--learn-depth"),
    networks: int = option(400, LESS, options.NETWORKS_HELP, rule=options.NETWORKS),
    max_rounds: int = option(
        50, LESS, "The most times that each network is timed.", rule=options.COUNT
    ),
    json: bool = options.JSON,
) -> None:
    """Time random networks of a search space, and fit a price to every block in it.

    Each network is timed in several rounds, until the noise of the machine is averaged out or the
    time limit is reached.  A measurement that was killed continues where it stopped.

    Examples:

      tapetum latency measure --space c-nas --size 224 --out c-nas.json

      tapetum latency measure --space my-space.json --size 64 --threads 2 --out mine.json
    """
    from tapetum.arch import spaces
    from tapetum.latency import Conditions, Effort, find_runtime, measure_table

    frame = spaces.Frame(
        operators=operators,
        image_px=size,
        image_channels=channels,
        num_classes=classes,
        decoder=decoder,
        up=up,
        learns_depth=learns_depth,
    )
    opened, chosen = spaces.open_space(space, frame), find_runtime(runtime)
    conditions = Conditions.here(
        chosen, threads=threads, batch=batch, channels=opened.image_channels, size_px=size
    )
    effort = Effort(networks, minutes, max_rounds)
    with progress_bar() as tick:
        measured = measure_table(
            opened, chosen, conditions, out, effort=effort, overwrite=overwrite, progress=tick
        )
    _show(measured, as_json=json)
    if json:
        return
    say(f"wrote {out}; check it: tapetum latency check {out}")


@latency.command("range", cls=Command)
def range_(file: Path = TABLE, json: bool = options.JSON) -> None:
    """Show the fastest and the slowest latency that the networks of a table's space have.

    Examples:

      tapetum latency range c-nas.json
    """
    from tapetum.latency import LatencyTable

    _show(LatencyTable.read(file), as_json=json)


@latency.command("predict", cls=Command)
def predict(
    file: Path = TABLE,
    architecture: Path = typer.Argument(
        ..., metavar="ARCH.json", help="Architecture of a network of the table's space."
    ),
    json: bool = options.JSON,
) -> None:
    """Predict the latency of a network.

    Examples:

      tapetum latency predict c-nas.json architecture.json
    """
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


@latency.command("check", cls=Command)
def check(
    file: Path = TABLE,
    networks: int = option(40, MAIN, "Number of new random networks to time.", rule=options.COUNT),
    plot: Path | None = option(
        None, MAIN, "PNG file for a plot of measured over predicted latency."
    ),
    json: bool = options.JSON,
) -> None:
    """Time new random networks, and compare them with a table's predictions.

    Two other errors are shown beside the table's: that of a prediction from multiply-adds alone,
    and that of measuring again, which no prediction can beat.

    Examples:

      tapetum latency check c-nas.json

      tapetum latency check c-nas.json --networks 100 --plot check.png
    """
    from tapetum.latency import LatencyTable, check_table, find_runtime

    read = LatencyTable.read(file)
    with progress_bar() as tick:
        runtime = find_runtime(read.conditions.runtime)
        result = check_table(read, runtime, num_networks=networks, what=str(file), progress=tick)
    if plot is not None:
        from tapetum.report import write_scatter

        pairs = [(net.predicted_ms, net.measured_ms) for net in result.networks]
        write_scatter(plot, pairs, title=str(read.conditions))
    if json:
        answer(result.model_dump(mode="json") | {"summary": result.summary()})
    else:
        _show_check(result, read)


def _show(read: "LatencyTable", *, as_json: bool) -> None:
    (fastest_ms, slowest_ms), accuracy = read.range, read.accuracy
    if as_json:
        records = {"accuracy": accuracy, "baseline": read.baseline, "conditions": read.conditions}
        facts = {name: record.model_dump() for name, record in records.items()}
        answer({**read.range._asdict(), **facts, "is_noisy": accuracy.is_noisy})
        return
    noise = "unknown" if accuracy.noise is None else f"{accuracy.noise:.1%}"
    error = f"mean {accuracy.mean_relative_error:.1%}, worst {accuracy.worst_relative_error:.1%}"
    rows = [
        ("conditions", str(read.conditions)),
        ("space", f"{read.space.name}, {len(read.space.slots)} slots"),
        ("latencies of this space", f"{fastest_ms:.2f} to {slowest_ms:.2f} ms"),
        ("timed", f"{accuracy.num_networks} random networks, {accuracy.num_rounds} times each"),
        ("noise of a latency", noise),
        ("held-out error", error),
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
