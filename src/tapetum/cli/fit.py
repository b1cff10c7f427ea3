"""``tapetum fit``: find, train and export a network that keeps a latency budget."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tapetum.cli import options
from tapetum.cli.benchmark import EXIT_TARGET_MISSED
from tapetum.cli.common import answer, run_job, say, table
from tapetum.cli.options import BUDGET, DATA, OUTPUT, SEARCH, TRAINING, option

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.jobs import FitResult, Front

__all__ = ["fit", "show_fit"]

TF_NAS = "Method tf-nas"  # panel of its options
MethodName = Literal["race", "tf-nas", "none"]
PreferName = Literal["label", "balanced", "image"]


def _of_table(default: str, panel: str, text: str, *names: str) -> Any:
    """Return an option that follows the latency table where there is one."""
    return option(None, panel, text, *names, shown=f"as in TABLE, else {default}")


TARGETS_MS = option(
    ...,
    BUDGET,
    "Latency budget, in milliseconds. Several, such as 1,2,4,8, give a package each.",
    metavar="MS[,MS...]",
)
PRECISION = option(
    None,
    BUDGET,
    "Number format of the package; 'auto' is int8 where it pays.",
    shown="auto",
)
SIZE = _of_table("from DATA", DATA, "Height and width of images, in pixels.", "--size")
METHOD = option(
    "race",
    SEARCH,
    "Way to choose the network: 'race' trains fast networks of that latency against each "
    "other, 'none' takes the network of the scaling rule, 'tf-nas' is the published search.",
    "--method",
    "--search",
)
PREFER = option(None, SEARCH, "Score that counts more in the choice.", shown="balanced")
SEARCH_MINUTES = option(
    None, SEARCH, "Time of the race, in minutes.", shown="as the final training"
)
TOTAL_MINUTES = option(
    None,
    SEARCH,
    "Time of everything, in minutes: race and trainings are shortened to fit.",
    shown="no limit",
)
WORKERS = option(None, SEARCH, "Trainings of the race at the same time.", shown="one per core")
RAY = option(None, SEARCH, "Ray cluster that trains in the race.", metavar="ADDRESS", shown="none")
CONTROLS = option(
    None,
    TRAINING,
    "Also train other networks to compare with: a plain DC-Net of the same latency, and "
    "MobileNetV3-small with UNet-S; for tf-nas a random and a uniform architecture.",
    "--controls/--no-controls",
    shown="on for tf-nas",
)
LATENCY = option(
    None,
    TF_NAS,
    "Latency table of the device, as written by 'tapetum latency measure'.",
    metavar="TABLE",
    shown="measure this machine",
)
SEARCH_EPOCHS = option(None, TF_NAS, options.SEARCH_EPOCHS_HELP, shown=options.FROM_RECIPE)
BESIDE = option(
    None,
    OUTPUT,
    "Finished fit of the same images to show in the report, such as one by tf-nas; repeatable.",
    metavar="FIT",
    shown="none",
)


def fit(
    data: str = typer.Argument(..., help="Folder of images, or 'digit-crops'."),
    *,
    target_ms: str = TARGETS_MS,
    budget_includes: options.Includes = options.BUDGET_INCLUDES,
    threads: int | None = _of_table("1", BUDGET, "Inference threads on the device."),
    batch: int | None = _of_table("1", BUDGET, "Number of images in one pass."),
    runtime: options.RuntimeName | None = _of_table("onnxruntime", BUDGET, "Inference runtime."),
    precision: options.PrecisionName | None = PRECISION,
    size_px: int | None = SIZE,
    labels: Path | None = options.LABELS,
    layout: options.LayoutName | None = options.LAYOUT,
    group_by: str | None = options.GROUP_BY,
    white: str = options.WHITE,
    resize: options.ResizeName | None = options.RESIZE,
    noise: str | None = options.NOISE,
    protocol: options.ProtocolName | None = options.PROTOCOL,
    method: MethodName = METHOD,
    prefer: PreferName | None = PREFER,
    search_minutes: float | None = SEARCH_MINUTES,
    total_minutes: float | None = TOTAL_MINUTES,
    workers: int | None = WORKERS,
    ray: str | None = RAY,
    recipe: str | None = options.RECIPE,
    epochs: int | None = options.EPOCHS,
    batch_size: int | None = options.BATCH_SIZE,
    controls: bool | None = CONTROLS,
    mirror: options.MirrorName | None = options.MIRROR,
    vertical_flip: bool | None = options.VERTICAL_FLIP,
    quarter_turns: bool | None = options.QUARTER_TURNS,
    crop_scale: float | None = options.CROP_SCALE,
    brightness: float | None = options.BRIGHTNESS,
    balance: options.BalanceName | None = options.BALANCE,
    seed: int = option(0, TRAINING, options.SEED_HELP),
    latency: Path | None = LATENCY,
    space: str | None = _of_table("dc-nas", TF_NAS, options.SPACE_HELP),
    operators: int | None = _of_table("4", TF_NAS, options.OPERATORS_HELP),
    decoder: options.Decoder | None = _of_table("conv", TF_NAS, options.DECODER_HELP),
    up: options.Up | None = _of_table("transposed_conv", TF_NAS, options.UP_HELP),
    learns_depth: bool | None = _of_table("off", TF_NAS, options.DEPTH_HELP, "--learn-depth"),
    search_recipe: str | None = option(None, TF_NAS, options.SEARCH_RECIPE_HELP, shown="swift"),
    search_epochs: int | None = SEARCH_EPOCHS,
    networks: int | None = option(None, TF_NAS, options.NETWORKS_HELP, shown="300"),
    minutes: float | None = option(None, TF_NAS, options.MINUTES_HELP, shown="6"),
    out: Path = options.OUT,
    resume: bool = options.RESUME,
    overwrite: bool = options.OVERWRITE,
    beside: list[Path] | None = BESIDE,
    json: bool = options.JSON,
    train_count: int | None = options.TRAIN_COUNT,
    test_count: int | None = options.TEST_COUNT,
    data_root: Path | None = options.DATA_ROOT,
    download: bool = options.DOWNLOAD,
) -> None:
    """Find, train and export a network that keeps a latency budget.

    The budget holds for this machine, which is timed first; a plan with the time of each step is
    printed before the work begins. The exit code is 1 if the package is more than 2 % above the
    budget, or more than 10 % below it.

    Examples:

      tapetum fit photos --target-ms 8 --out runs/photos

      tapetum fit photos --target-ms 1,2,4,8 --out runs/front

      tapetum fit photos --target-ms 8 --total-minutes 20 --out runs/quick

      tapetum fit photos --target-ms 20 --method tf-nas --latency pi.json --out runs/pi
    """
    results = _fit_and_show(options.with_augmentation(locals()))
    if any(result.delivery.keeps_target is False for result in results):
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
    if as_json:
        answer(_facts(result))
    else:
        table(("", ""), _rows(result), title=str(result.conditions), numbers=False)
    for line in (*result.delivery.verdict, *result.delivery.remarks):
        say(line)
    for remark in result.scores.remarks:
        say(remark, label="note")
    if as_json:
        return
    say(f"package: {result.package}")
    say(f"report: {result.report}")
    if result.delivery.command:
        say(f"copy the package to the device and type there: {result.delivery.command}")


def _rows(result: "FitResult") -> list[tuple[str, str]]:
    delivery, mean, timing = result.delivery, result.scores.mean, result.delivery.timing
    rows = [
        (f"budget, includes {delivery.includes}", f"{delivery.target_ms:g} ms"),
        ("predicted", f"{delivery.predicted_ms:.3g} ms"),
    ]
    if result.selection.benchmark is not None:
        rows[-1] = ("network before its training", f"{result.selection.latency_ms:.3g} ms")
    if timing is not None:
        measured = f"{timing.median_ms:.3g} ms, 95th percentile {timing.p95_ms:.3g} ms"
        rows.append(("package, measured", measured))
    if delivery.benchmark is not None:
        rows += [(name, f"{ms:.3g} ms") for name, ms in delivery.benchmark.medians]
    if mean.accuracy is not None:
        rows.append(("accuracy", f"{mean.accuracy:.1%}"))
    if mean.macro_accuracy is not None:
        rows.append(("mean recall of the classes", f"{mean.macro_accuracy:.1%}"))
    if mean.psnr_db is not None and mean.ssim is not None:
        rows.append(("denoised images", f"{mean.psnr_db:.2f} dB, SSIM {mean.ssim:.3f}"))
    return rows


def _facts(result: "FitResult") -> dict[str, Any]:
    timing = result.delivery.timing
    return {
        **result.delivery.model_dump(mode="json"),
        "timing": None if timing is None else timing.model_dump(),
        "ratio": result.delivery.ratio,
        "keeps_target": result.delivery.keeps_target,
        "verdict": list(result.delivery.verdict),
        "selection": result.selection.model_dump(mode="json"),
        "package": str(result.package),
        "report": str(result.report),
    }


def show_front(front: "Front", *, as_json: bool) -> None:
    """Print what fits of several budgets have made."""
    if as_json:
        answer({"fits": [_facts(result) for result in front.fits], "report": str(front.report)})
    else:
        header = ("network", "budget, ms", "ms", "accuracy, %", "PSNR, dB", "SSIM")
        table(header, front.cells())
    for result in front.fits:
        for line in (*result.delivery.verdict, *result.delivery.remarks):
            say(f"{result.path.name}: {line}")
    if not as_json:
        say(f"packages: {', '.join(str(result.package) for result in front.fits)}")
        say(f"report: {front.report}")
