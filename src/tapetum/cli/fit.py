"""``tapetum fit``: find, train and export a network that keeps a latency budget."""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import typer

from tapetum.cli import options
from tapetum.cli.benchmark import EXIT_TARGET_MISSED
from tapetum.cli.common import answer, run_job, say, say_warnings, table
from tapetum.cli.options import BUDGET, LESS, MAIN, TRAINING, option
from tapetum.progress import shown_path

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.jobs import FitResult, Front

__all__ = ["fit", "show_fit"]

TF_NAS = "Less common: the published search (--method tf-nas)"  # panel of its options
MethodName = Literal["race", "tf-nas", "none"]
PreferName = Literal["label", "balanced", "image"]

TARGETS_MS = option(
    ...,
    MAIN,
    "Latency budget, in milliseconds; several, such as 1,2,4,8, give a package each.",
    metavar="MS[,MS...]",
)
PRECISION = option(
    None,
    BUDGET,
    "Number format of the package: fp32, int8, or auto for int8 where it pays.",
    metavar="NAME",
    shown="auto",
)
LIKE_LATENCY = "as in --latency, else"
THREADS = option(
    None, BUDGET, "Threads of the network.", rule=options.COUNT, shown=f"{LIKE_LATENCY} 1"
)
BATCH = option(
    None, BUDGET, "Number of images in one pass.", rule=options.COUNT, shown=f"{LIKE_LATENCY} 1"
)
RUNTIME = option(
    None,
    BUDGET,
    "Program that runs the network: onnxruntime or openvino.",
    metavar="NAME",
    shown=f"{LIKE_LATENCY} onnxruntime",
)
METHOD = option(
    "race",
    TRAINING,
    "Way to choose the network: race (trains candidates), none (at once), or tf-nas.",
    "--method",
    "--search",
    metavar="NAME",
)
PREFER = option(
    None,
    TRAINING,
    "Score that counts more: label, balanced or image.",
    metavar="NAME",
    shown="balanced",
)
SEARCH_MINUTES = option(
    None,
    TRAINING,
    "Time of the race, in minutes.",
    rule=options.MINUTES,
    shown="as the final training",
)
TOTAL_MINUTES = option(
    None,
    MAIN,
    "Time of everything, in minutes, for all budgets: race and trainings are shortened to fit.",
    rule=options.MINUTES,
    shown="no limit",
)
WORKERS = option(
    None,
    LESS,
    "Trainings of the race at the same time.",
    rule=options.COUNT,
    shown="one per core, fewer on a small GPU",
)
RAY = option(None, LESS, "Ray cluster that trains in the race.", metavar="ADDRESS")
MINUTES = option(
    None,
    TRAINING,
    "Length of the final training, in minutes on this machine.",
    rule=options.MINUTES,
    shown="from DATA and the network",
)
START = option(
    None,
    MAIN,
    "Finished run or package whose network takes part; or auto, efficientnet-lite0, fresh.",
    metavar="PATH",
    shown="auto",
)
CONTROLS = option(
    None,
    TRAINING,
    "Also train usual networks, to compare with; --resume adds them to a finished fit.",
    "--controls/--no-controls",
    shown="only with --method tf-nas",
)
LATENCY = option(
    None,
    BUDGET,
    "Timings of another device; see 'tapetum latency bundle'.",
    metavar="FILE",
    shown="this machine is the device",
)
OPERATORS = option(None, TF_NAS, options.OPERATORS_HELP, rule=options.OPERATORS, shown="4")
DECODER = option(None, TF_NAS, options.DECODER_HELP, metavar="NAME", shown="conv")
UP = option(None, TF_NAS, options.UP_HELP, metavar="NAME", shown="transposed_conv")
DEPTH = option(None, TF_NAS, options.DEPTH_HELP, "--learn-depth")
SEARCH_EPOCHS = option(
    None,
    TF_NAS,
    options.SEARCH_EPOCHS_HELP,
    rule=options.EPOCH_RULE,
    shown=options.FROM_RECIPE,
)
NETWORKS = option(None, TF_NAS, options.NETWORKS_HELP, rule=options.NETWORKS, shown="300")
TABLE_MINUTES = option(None, TF_NAS, options.TABLE_MINUTES, rule=options.MINUTES, shown="6")
BESIDE = option(
    None,
    LESS,
    "Finished fit of the same images to show in the report; repeatable.",
    metavar="FIT",
)


def fit(
    data: str = typer.Argument(..., metavar="DATA", help="Folder of images, or 'digit-crops'."),
    *,
    target_ms: str = TARGETS_MS,
    out: Path = options.OUT,
    total_minutes: float | None = TOTAL_MINUTES,
    size_px: int | None = options.SIZE,
    noise: str | None = options.NOISE,
    start: str | None = START,
    resume: bool = options.RESUME,
    overwrite: bool = options.OVERWRITE,
    budget_includes: options.Includes = options.BUDGET_INCLUDES,
    precision: options.PrecisionName | None = PRECISION,
    threads: int | None = THREADS,
    batch: int | None = BATCH,
    runtime: options.RuntimeName | None = RUNTIME,
    latency: Path | None = LATENCY,
    labels: Path | None = options.LABELS,
    layout: options.LayoutName | None = options.LAYOUT,
    group_by: str | None = options.GROUP_BY,
    white: str = options.WHITE,
    resize: options.ResizeName | None = options.RESIZE,
    method: MethodName = METHOD,
    prefer: PreferName | None = PREFER,
    search_minutes: float | None = SEARCH_MINUTES,
    recipe: str | None = options.RECIPE,
    minutes: float | None = MINUTES,
    epochs: int | None = options.EPOCHS,
    batch_size: int | None = options.BATCH_SIZE,
    balance: options.BalanceName | None = options.BALANCE,
    controls: bool | None = CONTROLS,
    mirror: options.MirrorName | None = options.MIRROR,
    vertical_flip: bool | None = options.VERTICAL_FLIP,
    quarter_turns: bool | None = options.QUARTER_TURNS,
    crop_scale: float | None = options.CROP_SCALE,
    brightness: float | None = options.BRIGHTNESS,
    protocol: options.ProtocolName | None = options.PROTOCOL,
    workers: int | None = WORKERS,
    ray: str | None = RAY,
    beside: list[Path] | None = BESIDE,
    seed: int = option(0, LESS, options.SEED_HELP, rule=options.SEED),
    json: bool = options.JSON,
    train_count: int | None = options.TRAIN_COUNT,
    test_count: int | None = options.TEST_COUNT,
    data_root: Path | None = options.DATA_ROOT,
    download: bool = options.DOWNLOAD,
    space: str | None = option(None, TF_NAS, options.SPACE_HELP, shown=f"{LIKE_LATENCY} dc-nas"),
    operators: int | None = OPERATORS,
    decoder: options.Decoder | None = DECODER,
    up: options.Up | None = UP,
    learns_depth: bool | None = DEPTH,
    search_recipe: str | None = option(None, TF_NAS, options.SEARCH_RECIPE_HELP, shown="swift"),
    search_epochs: int | None = SEARCH_EPOCHS,
    networks: int | None = NETWORKS,
    table_minutes: float | None = TABLE_MINUTES,
) -> None:
    """Find, train and export a network that keeps a latency budget.

    The budget holds for this machine, which is timed first, or for the device of --latency. A plan
    with the time of each step is printed before the work begins. The exit code is 1 if the package
    is more than 2 % above the budget, or more than 10 % below it.

    Examples:

      tapetum fit photos --target-ms 8 --out runs/photos

      tapetum fit photos --target-ms 1,2,4,8 --out runs/front

      tapetum fit photos --target-ms 8 --total-minutes 20 --out runs/quick

      tapetum fit photos --target-ms 8 --latency pi.json --out runs/pi
    """
    given = {**options.with_augmentation(locals()), "started_s": monotonic()}  # torch loads later
    results = _fit_and_show(given)
    if any(result.misses_budget for result in results):
        raise typer.Exit(EXIT_TARGET_MISSED)


def _fit_and_show(given: dict[str, Any]) -> "Sequence[FitResult]":
    """Fit one budget, or several, and print what was made."""
    from tapetum.jobs import parse_targets

    targets, as_json = parse_targets(given["target_ms"]), given["json"]
    if len(targets) == 1:
        result = run_job("fit", {**given, "target_ms": targets[0]})
        show_fit(result, as_json=as_json)
        return [result]
    front = run_job("fit_front", {**given, "target_ms": targets})
    show_front(front, as_json=as_json)
    return list(front.fits)


def show_fit(result: "FitResult", *, as_json: bool) -> None:
    """Print what a fit has made."""
    say_warnings(result.scores)
    if as_json:
        answer(_facts(result))
    else:
        table(("", ""), _rows(result), title=str(result.conditions), numbers=False)
    for line in result.delivery.verdict[:1]:
        say(line)
    for note in result.delivery.notes:
        say(note, label="note")
    if as_json:
        return
    say(f"package: {shown_path(result.package)}")
    say(f"report: {shown_path(result.report)}")
    if result.delivery.command:
        say(f"copy the package to the device and type there: {result.delivery.command}")


def _rows(result: "FitResult") -> list[tuple[str, str]]:
    delivery, mean, timing = result.delivery, result.scores.headline, result.delivery.timing
    rows = [(f"budget, includes {delivery.includes}", f"{delivery.target_ms:g} ms")]
    if timing is None:
        rows.append((result.known_as, f"{delivery.predicted_ms:.3g} ms"))
    else:
        measured = f"{timing.median_ms:.3g} ms, 95th percentile {timing.p95_ms:.3g} ms"
        rows.append(("package, measured", measured))
    if delivery.benchmark is not None:
        rows += [(name, f"{ms:.3g} ms") for name, ms in delivery.benchmark.medians]
    if mean.accuracy is not None:
        rows.append(("accuracy", f"{mean.accuracy:.1%}"))
    if mean.macro_accuracy is not None:
        rows.append(("macro accuracy", f"{mean.macro_accuracy:.1%}"))
    if mean.psnr_db is not None and mean.ssim is not None:
        rows.append(("PSNR of noisy images", f"{mean.psnr_db:.2f} dB, SSIM {mean.ssim:.3f}"))
    return rows


def _facts(result: "FitResult") -> dict[str, Any]:
    timing = result.delivery.timing
    return {
        **result.delivery.model_dump(mode="json"),
        "timing": None if timing is None else timing.model_dump(),
        "ratio": result.delivery.ratio,
        "keeps_target": result.delivery.keeps_target,
        "verdict": list(result.delivery.verdict),
        "remarks": list(map(str, result.delivery.remarks)),
        "headline": result.scores.headline.model_dump(mode="json"),
        "selection": result.selection.model_dump(mode="json"),
        "package": str(result.package),
        "report": str(result.report),
    }


def show_front(front: "Front", *, as_json: bool) -> None:
    """Print what fits of several budgets have made."""
    for result in front.fits:
        say_warnings(result.scores, f"{result.path.name}: ")
    if as_json:
        facts = [_facts(result) for result in front.fits]
        answer({"fits": facts, "remarks": list(front.remarks), "report": str(front.report)})
    else:
        shown = front.table
        table(shown.header, shown.rows)
    for result in front.fits:
        delivery = result.delivery
        for line in (*delivery.verdict[:1], *delivery.notes):
            say(f"{result.path.name}: {line}")
    for remark in front.remarks:
        say(remark)
    if as_json:
        return
    say(f"packages: {', '.join(shown_path(result.package) for result in front.fits)}")
    say(f"report: {shown_path(front.report)}")
    for result in front.fits:
        if result.delivery.command:
            say(f"{result.path.name}, on the device: {result.delivery.command}")
