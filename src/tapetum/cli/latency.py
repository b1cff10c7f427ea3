"""``tapetum latency``: measure a table of block prices on this device, check it and predict."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer

from tapetum.cli import options
from tapetum.cli.common import Command, Group, answer, progress_bar, say, table
from tapetum.cli.options import LESS, MAIN, option
from tapetum.errors import InputError
from tapetum.progress import pasted, shown_path

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.arch import ShapeSpace, Space
    from tapetum.latency import Check, LatencyTable
    from tapetum.latency import bundle as bundles
    from tapetum.progress import ProgressCallback

__all__ = ["latency"]

latency = typer.Typer(
    cls=Group,
    help="Time networks of a search space on this device, and predict the latency of others.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

CHANNELS = option(3, MAIN, "Channels of the images: 1 (grey) or 3 (RGB).", rule=options.CHANNELS)
TARGET_MS = option(
    None,
    MAIN,
    "Budget of the fit, in milliseconds: more networks of a race are near it.",
    rule=options.a_number(float, 8, above=0),
    shown="any",
)
SPACE_HELP = f"{options.SPACE_HELP[:-1]}; or fast for the networks of a race."
OPERATORS = option(8, LESS, options.OPERATORS_HELP, rule=options.OPERATORS)
DECODER = option("conv", LESS, options.DECODER_HELP, metavar="NAME")
UP = option("transposed_conv", LESS, options.UP_HELP, metavar="NAME")
LEARNS_DEPTH = option(False, LESS, options.DEPTH_HELP, "--learn-depth")
PYTHON_HELP = "Python of the device of --ssh; a relative path begins in the home folder there."
FOR_PRICES = {"operators", "decoder", "up", "learns_depth"}
FOR_FAST = {"target_ms", "precision"}
IN_A_FILE = {*FOR_PRICES, "channels", "classes"}  # of a space
FOR_SSH = {"python", "ssh_option"}
FOR_HERE = {"max_rounds"}
TABLE = typer.Argument(
    ...,
    metavar="TABLE",
    help="Latency table that `tapetum latency measure` wrote, or what a device wrote for one.",
)


@latency.command("bundle", cls=Command)
def bundle(
    context: typer.Context,
    out: Path = option(..., MAIN, "Archive to write, such as pi.zip."),
    space: str = option("fast", MAIN, SPACE_HELP),
    size: int = option(224, MAIN, "Side of the images in the fit, in pixels.", rule=options.SIDE),
    channels: int = CHANNELS,
    classes: int = option(
        10,
        MAIN,
        "Number of classes; 0 for images without labels.",
        rule=options.a_number(int, 10, least=0),
    ),
    target_ms: float | None = TARGET_MS,
    threads: int = options.THREADS,
    batch: int = options.BATCH,
    overwrite: bool = options.OVERWRITE,
    precision: options.PrecisionName = option(
        "auto", LESS, "Formats to time: fp32 alone, or auto for int8 as well.", metavar="NAME"
    ),
    operators: int = OPERATORS,
    decoder: options.Decoder = DECODER,
    up: options.Up = UP,
    learns_depth: bool = LEARNS_DEPTH,
    networks: int = option(400, LESS, "Number of networks, about.", rule=options.NETWORKS),
    minutes: float = option(
        20.0, LESS, "Time after which no other round begins on the device.", rule=options.MINUTES
    ),
    json: bool = options.JSON,
) -> None:
    """Write networks of every size in one file, for a device without Tapetum to time.

    The device needs Python 3.8 or newer, numpy and onnxruntime. There, `python3 pi.zip` times the
    networks and writes pi.json, which `tapetum fit --latency` takes: with --space fast for a race,
    with a published space for --method tf-nas.

    Examples:

      tapetum latency bundle --size 128 --classes 5 --target-ms 8 --out pi.zip

      tapetum latency bundle --size 96 --channels 1 --threads 4 --out box.zip

      tapetum latency bundle --space dc-nas --operators 4 --size 128 --classes 5 --out blocks.zip
    """
    given = locals()
    _refuse_others(context, space)
    with progress_bar() as tick:
        job = _write_bundle(given, out, tick)
    mib = out.stat().st_size / 2**20
    if json:
        answer({"bundle": str(out), "networks": len(job.networks), "mib": mib})
        return
    say(f"wrote {shown_path(out)}: {len(job.networks):,} networks, {mib:.0f} MiB")
    result = out.with_suffix(".json").name
    say(f"on the device: python3 {out.name}  (with numpy and onnxruntime; it writes {result})")
    method = "" if space == "fast" else "--method tf-nas "
    say(f"then here: tapetum fit FOLDER --target-ms MS {method}--latency {result} --out RUN")


def _refuse_others(context: typer.Context, space: str) -> None:
    """Refuse options that have no effect on the networks of a space."""
    others = FOR_PRICES if space == "fast" else FOR_FAST
    if space.endswith(".json"):
        others = FOR_FAST | IN_A_FILE
    options.refuse_given(context, others, f"--space {space} takes no")


def _write_bundle(given: Mapping[str, Any], out: Path, tick: "ProgressCallback") -> "bundles.Job":
    """Write the bundle that the options of a command describe."""
    from tapetum import jobs

    names = ("threads", "batch", "networks", "minutes", "overwrite", "target_ms")
    shared = {name: given[name] for name in names} | {"size_px": given["size"], "progress": tick}
    shared["precision"] = given.get("precision", "auto")
    space = _fast_space(given) if given["space"] == "fast" else _opened_space(given)
    return jobs.bundle_networks(out, space, **shared)


def _fast_space(given: Mapping[str, Any]) -> "ShapeSpace":
    """Return the space of a race that the options of a command describe."""
    from tapetum.arch import ShapeSpace
    from tapetum.records import faults_are_ours

    form = {"size_px": given["size"], "image_channels": given["channels"]}
    with faults_are_ours("no bundle can be written"):
        return ShapeSpace(width_step=16, num_classes=given["classes"] or None, **form)


def _opened_space(given: Mapping[str, Any]) -> "Space":
    """Return the published space that the options of a command describe."""
    from tapetum.arch import spaces

    frame = spaces.Frame(
        image_px=given["size"],
        image_channels=given["channels"],
        num_classes=given["classes"],
        **{name: given[name] for name in ("operators", "decoder", "up", "learns_depth")},
    )
    return spaces.open_space(given["space"], frame)


@latency.command("measure", cls=Command)
def measure(
    context: typer.Context,
    out: Path = option(..., MAIN, "JSON file to write what was measured to."),
    space: str = option("dc-nas", MAIN, SPACE_HELP),
    size: int = option(224, MAIN, "Side of the images, in pixels.", rule=options.SIDE),
    channels: int = CHANNELS,
    classes: int = option(100, MAIN, "Number of classes.", rule=options.CLASSES),
    minutes: float = option(6.0, MAIN, options.TABLE_MINUTES, rule=options.MINUTES),
    ssh: str | None = option(
        None, MAIN, "Device to measure, as user@host, with a bundle.", metavar="HOST"
    ),
    target_ms: float | None = TARGET_MS,
    overwrite: bool = options.OVERWRITE,
    threads: int = options.THREADS,
    batch: int = options.BATCH,
    runtime: options.RuntimeName = options.RUNTIME,
    operators: int = OPERATORS,
    decoder: options.Decoder = DECODER,
    up: options.Up = UP,
    learns_depth: bool = LEARNS_DEPTH,
    networks: int = option(400, LESS, options.NETWORKS_HELP, rule=options.NETWORKS),
    max_rounds: int = option(
        50, LESS, "The most times that each network is timed.", rule=options.COUNT
    ),
    python: str = option("python3", LESS, PYTHON_HELP, metavar="PROGRAM"),
    ssh_option: list[str] | None = option(
        None, LESS, "Option of ssh and scp, such as -oPort=2222; can be repeated.", metavar="TEXT"
    ),
    json: bool = options.JSON,
) -> None:
    """Time random networks of a search space, and fit a price to every block in it.

    Each network is timed in several rounds, until the noise of the machine is averaged out or the
    time limit is reached.  A measurement that was killed continues where it stopped.

    With --ssh, a bundle times them on a device without Tapetum. With --space fast, the networks of
    a race are timed whole, here or on a device; see `tapetum latency bundle`.

    Examples:

      tapetum latency measure --space c-nas --size 224 --out c-nas.json

      tapetum latency measure --space fast --ssh pi@camera --target-ms 8 --out pi.json
    """
    given = locals()
    _refuse_others(context, space)
    is_bundle = space == "fast" or ssh is not None
    if is_bundle:
        options.refuse_given(context, FOR_HERE, "a bundle takes no")
    if ssh is None:
        options.refuse_given(context, FOR_SSH, "a measurement here takes no")
    if is_bundle:
        _measure_bundle(given)
        return
    from tapetum.latency import Conditions, Effort, find_runtime, measure_table

    opened, chosen = _opened_space(given), find_runtime(runtime)
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
    say(f"wrote {shown_path(out)}; check it: tapetum latency check {pasted(out)}")


def _measure_bundle(given: Mapping[str, Any]) -> None:
    """Time the networks of a bundle here, or on a device through ssh."""
    from tapetum.latency import bundle as bundles
    from tapetum.records import require_free_name

    out, host = given["out"], given["ssh"]
    if given["runtime"] != "onnxruntime":
        raise InputError("a bundle is timed in onnxruntime", "leave --runtime out")
    require_free_name(out, overwrite=given["overwrite"])
    with TemporaryDirectory() as folder:
        bundled = Path(folder) / "bundle.zip"
        with progress_bar() as tick:
            _write_bundle(given, bundled, tick)
        if host is None:
            found = bundles.run_here(bundled, out)
        else:
            more = given["ssh_option"] or ()
            found = bundles.run_over_ssh(bundled, out, host, python=given["python"], options=more)
    if given["space"] != "fast":
        _show(bundles.table_of(found, what=str(out)), as_json=given["json"])
        return
    _show_fast(found, out, as_json=given["json"])


def _show_fast(found: "bundles.DeviceTimings", out: Path, *, as_json: bool) -> None:
    timed = sum(1 for _ in found.timed())
    if as_json:
        answer({"file": str(out), "device": found.device, "networks": timed})
        return
    for precision in found.precisions:
        say(f"{precision}: {found.widths(precision)}")
    say(f"wrote {shown_path(out)}: {timed:,} networks timed on {found.device}")


@latency.command("range", cls=Command)
def range_(file: Path = TABLE, json: bool = options.JSON) -> None:
    """Show the fastest and the slowest latency that the networks of a table's space have.

    Examples:

      tapetum latency range c-nas.json
    """
    from tapetum.latency import bundle

    _show(bundle.open_table(file), as_json=json)


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
    from tapetum.latency import bundle

    read = bundle.open_table(file)
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
    json: bool = options.JSON,
) -> None:
    """Time new random networks, and compare them with a table's predictions.

    Two other errors are shown beside the table's: that of a prediction from multiply-adds alone,
    and that of measuring again, which no prediction can beat.

    Examples:

      tapetum latency check c-nas.json

      tapetum latency check c-nas.json --networks 100
    """
    from tapetum.latency import bundle, check_table, find_runtime

    read = bundle.open_table(file)
    with progress_bar() as tick:
        runtime = find_runtime(read.conditions.runtime)
        result = check_table(read, runtime, num_networks=networks, what=str(file), progress=tick)
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
