"""``tapetum fit``: search, train and export a network that keeps a latency budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tapetum.cli import options
from tapetum.cli.benchmark import EXIT_TARGET_MISSED
from tapetum.cli.common import answer, run_job, say, table
from tapetum.cli.options import ADVANCED, BUDGET, DATA, SEARCH, TRAINING, option

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.jobs import FitResult

__all__ = ["fit", "show_fit"]


def _of_table(default: str, panel: str, text: str, *names: str) -> Any:
    """Return an option that follows the latency table where there is one."""
    return option(None, panel, text, *names, shown=f"as in TABLE, else {default}")


def fit(
    data: str = typer.Argument(..., help="Folder of images, or 'digit-crops'."),
    *,
    target_ms: float = options.TARGET_MS,
    budget_includes: options.Includes = options.BUDGET_INCLUDES,
    latency: Path | None = option(
        None,
        BUDGET,
        "Latency table of the device, as written by 'tapetum latency measure'.",
        metavar="TABLE",
        shown="measure this machine",
    ),
    threads: int | None = _of_table("1", BUDGET, "Inference threads on the device."),
    batch: int | None = _of_table("1", BUDGET, "Number of images in one pass."),
    runtime: options.RuntimeName | None = _of_table("onnxruntime", BUDGET, "Inference runtime."),
    size_px: int | None = _of_table(
        "from DATA", DATA, "Height and width of images, in pixels.", "--size"
    ),
    labels: Path | None = options.LABELS,
    layout: options.LayoutName | None = options.LAYOUT,
    group_by: str | None = options.GROUP_BY,
    white: str = options.WHITE,
    resize: options.ResizeName | None = options.RESIZE,
    noise: str | None = options.NOISE,
    protocol: options.ProtocolName | None = options.PROTOCOL,
    space: str | None = _of_table("dc-nas", SEARCH, options.SPACE_HELP),
    operators: int | None = _of_table("4", SEARCH, options.OPERATORS_HELP),
    decoder: options.Decoder | None = _of_table("conv", SEARCH, options.DECODER_HELP),
    up: options.Up | None = _of_table("transposed_conv", SEARCH, options.UP_HELP),
    learns_depth: bool | None = _of_table("off", SEARCH, options.DEPTH_HELP, "--learn-depth"),
    search_recipe: str = options.SEARCH_RECIPE,
    search_epochs: int | None = options.SEARCH_EPOCHS,
    recipe: str | None = options.RECIPE,
    epochs: int | None = options.EPOCHS,
    batch_size: int | None = options.BATCH_SIZE,
    controls: bool = option(
        True, TRAINING, "Also train a random and a uniform architecture of the same latency."
    ),
    mirror: options.MirrorName | None = options.MIRROR,
    vertical_flip: bool | None = options.VERTICAL_FLIP,
    quarter_turns: bool | None = options.QUARTER_TURNS,
    crop_scale: float | None = options.CROP_SCALE,
    brightness: float | None = options.BRIGHTNESS,
    seed: int = option(0, TRAINING, options.SEED_HELP),
    out: Path = options.OUT,
    resume: bool = options.RESUME,
    overwrite: bool = options.OVERWRITE,
    json: bool = options.JSON,
    networks: int = option(300, ADVANCED, options.NETWORKS_HELP),
    minutes: float = options.MINUTES,
    train_count: int | None = options.TRAIN_COUNT,
    test_count: int | None = options.TEST_COUNT,
    data_root: Path | None = options.DATA_ROOT,
    download: bool = options.DOWNLOAD,
) -> None:
    """Search, train and export a network that keeps a latency budget.

    Without --latency the budget holds for this machine, which is measured first.  The exit code is
    1 if the package misses the budget by more than 2 %.

    Examples:

      tapetum fit photos --target-ms 8 --out runs/photos

      tapetum fit photos --target-ms 40 --budget-includes call --out runs/whole

      tapetum fit photos --target-ms 20 --latency raspberry-pi.json --out runs/pi
    """
    result = run_job("fit", options.with_augmentation(locals()))
    show_fit(result, as_json=json)
    if result.delivery.keeps_target is False:
        raise typer.Exit(EXIT_TARGET_MISSED)


def show_fit(result: "FitResult", *, as_json: bool) -> None:
    """Print what a fit has made."""
    if as_json:
        answer(_facts(result))
    else:
        table(("", ""), _rows(result), title=str(result.request.conditions), numbers=False)
    for line in result.delivery.verdict:
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
    fastest_ms, slowest_ms = map(delivery.overhead.latency_ms, result.table.range)
    rows = [
        ("latency range of this space", f"{fastest_ms:.3g} to {slowest_ms:.3g} ms"),
        (f"budget, includes {delivery.overhead.includes}", f"{delivery.target_ms:g} ms"),
        ("predicted", f"{delivery.predicted_ms:.3g} ms"),
    ]
    if timing is not None:
        measured = f"{timing.median_ms:.3g} ms, 95th percentile {timing.p95_ms:.3g} ms"
        rows.append(("package, measured", measured))
    if delivery.benchmark is not None:
        rows += [(name, f"{ms:.3g} ms") for name, ms in delivery.benchmark.medians]
    if mean.accuracy is not None:
        rows.append(("accuracy", f"{mean.accuracy:.1%}"))
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
