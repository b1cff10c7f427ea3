"""``tapetum latency``: tables of what blocks cost on this device, and how far to believe them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapetum.cli.common import (
    Decoder,
    Json,
    LearnDepth,
    Overwrite,
    RuntimeName,
    SearchDecoder,
    SpaceName,
    Up,
    answer,
    errors_in_one_sentence,
    progress_bar,
    runtime_of,
    say,
    say_crowded,
    table,
)

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.latency import Check, Conditions, Drift, LatencyTable, Prepare

__all__ = ["latency"]

latency = typer.Typer(
    help="Measure what blocks cost on this device, check it, and predict whole networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

TableFile = Annotated[
    Path, typer.Argument(metavar="TABLE", help="What `tapetum latency measure` wrote.")
]


@latency.command("measure")
def measure(
    out: Annotated[Path, typer.Option(help="The table, a new JSON file.")],
    space: SpaceName = "dc-nas",
    operators: Annotated[int, typer.Option(help="4, 6 or 8 candidates a slot.")] = 8,
    decoder: Decoder = "conv",
    up: Up = "transposed_conv",
    search_decoder: SearchDecoder = False,
    learn_depth: LearnDepth = False,
    size: Annotated[int, typer.Option(help="Side of the images, pixels.")] = 224,
    channels: Annotated[int, typer.Option(help="1 for grey, 3 for RGB.")] = 3,
    classes: Annotated[int, typer.Option(help="How many names.")] = 100,
    batch: Annotated[int, typer.Option(help="Images in one pass.")] = 1,
    threads: Annotated[int, typer.Option(help="That will be deployed.")] = 1,
    runtime: RuntimeName = "onnxruntime",
    networks: Annotated[int, typer.Option(help="Random networks that are timed.")] = 400,
    minutes: Annotated[float, typer.Option(help="That it may take.")] = 6.0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Time random networks of a search space and price every block in it.

    Each network is timed in several rounds, until the noise of the machine is averaged out or the
    minutes are over.  A measurement that was killed goes on where it stopped.

    Examples:

      tapetum latency measure --space c-nas --size 224 --out c-nas.json

      tapetum latency measure --space my-space.json --size 64 --threads 2 --out mine.json
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.arch import spaces
        from tapetum.latency import conditions_here, measure_table, prepare_architecture

        frame = spaces.Frame(
            operators=operators,
            image_px=size,
            image_channels=channels,
            num_classes=classes,
            decoder="searched" if search_decoder else decoder,
            up=up,
            learns_depth=learn_depth,
        )
        asked, chosen = spaces.open_space(space, frame), runtime_of(runtime)
        say_crowded(threads)
        conditions = conditions_here(
            chosen,
            threads=threads,
            batch=batch,
            channels=asked.image_channels,
            height_px=size,
            width_px=size,
        )
        with progress_bar() as tick:
            prepare = partial(prepare_architecture, chosen, conditions)
            made = measure_table(
                asked,
                conditions,
                prepare,
                out,
                count=networks,
                limit_s=60 * minutes,
                overwrite=overwrite,
                progress=tick,
            )
        _tell_measured(made, out, as_json=json)


def _tell_measured(made: "LatencyTable", out: Path, *, as_json: bool) -> None:
    """What a new table is worth, and what to do next."""
    from tapetum.latency import SURE_ENOUGH

    if as_json:
        answer(_facts(made))
        return
    _show(made)
    if made.accuracy.is_noisy:
        say(
            "the machine was too noisy, or the time too short, for latencies that are sure "
            f"to {SURE_ENOUGH:.1%}; stop what else runs here, or give it more --minutes"
        )
    say(f"wrote {out}; check it: tapetum latency check {out}")


@latency.command("range")
def range_(file: TableFile, json: Json = False) -> None:
    """Tell what the networks of a table's space take, from the fastest to the slowest.

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
        Path, typer.Argument(metavar="ARCH.json", help="A network of the table's space.")
    ],
    json: Json = False,
) -> None:
    """Predict what a network takes.

    Examples:

      tapetum latency predict c-nas.json architecture.json
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.arch import Architecture
        from tapetum.latency import LatencyTable

        read = LatencyTable.read(file)
        found = read.predict_architecture(Architecture.read(architecture))
        if json:
            answer({**found._asdict(), "conditions": read.conditions.model_dump()})
            return
        table(
            ("", "ms"),
            [
                ("predicted median", f"{found.median_ms:.2f}"),
                (
                    "nine in ten lie between, minutes later",
                    f"{found.low_ms:.2f} and {found.high_ms:.2f}",
                ),
            ],
            title=str(read.conditions),
        )


@latency.command("check")
def check(
    file: TableFile,
    networks: Annotated[int, typer.Option(help="Fresh random networks that are timed.")] = 40,
    plot: Annotated[
        Path | None, typer.Option(help="Draw measured over predicted into this PNG.")
    ] = None,
    json: Json = False,
) -> None:
    """Time fresh random networks, and tell how far the table is off.

    Beside it stand what multiply-adds alone would say, and how far a second measurement is off the
    first, which nothing can beat.

    Examples:

      tapetum latency check c-nas.json

      tapetum latency check c-nas.json --networks 100 --plot check.png
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.latency import LatencyTable, verify

        read = LatencyTable.read(file)
        prepare, here = _ready(read)
        with progress_bar() as tick:
            found = verify(
                read, prepare, here, what=str(file), num_networks=networks, progress=tick
            )
        if plot is not None:
            from tapetum.report import write_scatter

            write_scatter(
                plot,
                [(one.predicted_ms, one.measured_ms) for one in found.networks],
                title=str(read.conditions),
            )
        if json:
            answer(found.model_dump(mode="json") | {"summary": found.summary()})
        else:
            _show_check(found, read)


@latency.command("adjust")
def adjust(
    file: TableFile,
    out: Annotated[Path, typer.Option(help="The new table; TABLE itself with --overwrite.")],
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Bring a table to the speed that the machine has now.

    A machine that is warmer, or has other neighbours, slows all networks alike, or large ones by
    more.  So some of the networks that the table was measured on are timed again, in a fraction of
    the time, and the prices are brought to the line through what they took and what they take.

    Examples:

      tapetum latency adjust c-nas.json --out now.json
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.latency import LatencyTable
        from tapetum.latency import adjust as adjust_table

        read = LatencyTable.read(file)
        prepare, here = _ready(read)
        with progress_bar() as tick:
            adjusted, drift = adjust_table(
                read, prepare, here, out, what=str(file), overwrite=overwrite, progress=tick
            )
        if json:
            answer({"drift": drift.model_dump(), **_facts(adjusted)})
            return
        say(f"{len(read.witnesses)} of the table's own networks take {_longer(drift, read)}")
        _show(adjusted)
        say(f"wrote {out}")


def _ready(read: "LatencyTable") -> tuple["Prepare", "Conditions"]:
    """What makes networks ready to be timed as a table's were, and what holds for it here."""
    from tapetum.latency import conditions_here, prepare_architecture

    asked, chosen = read.conditions, runtime_of(read.conditions.runtime)
    here = conditions_here(
        chosen,
        threads=asked.threads,
        batch=asked.batch,
        channels=asked.channels,
        height_px=asked.height_px,
        width_px=asked.width_px,
    )
    return partial(prepare_architecture, chosen, here), here


def _longer(drift: "Drift", read: "LatencyTable") -> str:
    """How much longer than when the table was measured, in the middle and at both ends."""
    took_ms = [witness.median_ms for witness in read.witnesses]
    middle, first, last = (
        f"{abs(longer):.1%} {'longer' if longer > 0 else 'shorter'}"
        for longer in (drift.typical, drift.longer(min(took_ms)), drift.longer(max(took_ms)))
    )
    return f"{middle} now than when it was measured (the quickest {first}, the slowest {last})"


def _show(read: "LatencyTable") -> None:
    from tapetum.latency import range_of

    fastest_ms, slowest_ms = range_of(read)
    accuracy = read.accuracy
    rows = [
        ("conditions", str(read.conditions)),
        ("space", f"{read.space.name}, {len(read.space.slots)} slots"),
        ("this space spans", f"{fastest_ms:.2f} to {slowest_ms:.2f} ms here"),
        ("timed", f"{accuracy.num_networks} random networks, each {accuracy.num_rounds} times"),
        ("noise left in each", "unknown" if accuracy.noise is None else f"{accuracy.noise:.1%}"),
        (
            "held-out error",
            f"mean {accuracy.mean_relative_error:.1%}, worst {accuracy.worst_relative_error:.1%}",
        ),
        ("multiply-adds alone", f"mean {read.baseline.mean_relative_error:.1%}"),
        (
            "nine in ten lie within",
            f"{accuracy.interval:.1%} now, {accuracy.interval_later:.1%} minutes later",
        ),
        *([("note", read.note)] if read.note else []),
    ]
    table(("", ""), rows, numbers=False)


def _show_check(found: "Check", read: "LatencyTable") -> None:
    rows = [
        (name, f"{errors.mean:.1%}", f"{errors.worst:.1%}", f"{errors.rank_correlation:.3f}")
        for name, errors in (
            ("the table", found.table),
            ("the table, but for the drift", found.at_its_speed),
            ("multiply-adds alone", found.multiply_adds),
            ("measuring again", found.repeating),
            ("the table's own networks then", found.later),
        )
        if errors is not None
    ]
    header = ("predicted by", "mean error", "worst", "rank correlation")
    table(header, rows, title=f"{len(found.networks)} fresh networks; {read.conditions}")
    say(
        f"{found.coverage:.0%} of two measurements of each lie within {found.interval:.1%}, where "
        f"nine in ten should at the noise that the machine has now ({found.noise:.1%}); "
        f"median error {found.bias:+.1%}"
    )
    if found.drift is not None:
        say(
            f"the table's own networks take {_longer(found.drift, read)}: "
            "the machine has changed by so much, which the share inside leaves out; with it, "
            f"{found.coverage_as_stated:.0%} lie within what the table states"
        )
        if abs(found.drift.typical) > read.accuracy.mean_relative_error:
            say("tapetum latency adjust brings the table to the speed of now")


def _facts(read: "LatencyTable") -> dict[str, object]:
    from tapetum.latency import range_of

    return {
        **range_of(read)._asdict(),
        "accuracy": read.accuracy.model_dump(),
        "baseline": read.baseline.model_dump(),
        "conditions": read.conditions.model_dump(),
    }
