"""``tapetum fit``: search, train and export a network that keeps a latency budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import (
    answer,
    errors_in_one_sentence,
    progress_bar,
    say,
    say_crowded,
    say_loading,
    table,
)

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.jobs import FitResult

__all__ = ["fit", "show_fit"]


Table = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE",
        help="Latency table of the device, as written by 'tapetum latency measure'.",
        show_default="measure this machine",
        rich_help_panel=options.BUDGET,
    ),
]


def _of_table(default: str, text: str, panel: str, *names: str) -> Any:
    """Return an option that follows the latency table where there is one."""
    return typer.Option(
        *names, help=text, show_default=f"as in TABLE, else {default}", rich_help_panel=panel
    )


def fit(
    data: Annotated[str, typer.Argument(help="Folder of images, or 'digit-crops'.")],
    *,
    target_ms: options.TargetMs,
    latency: Table = None,
    threads: Annotated[
        int | None, _of_table("1", "Inference threads on the device.", options.BUDGET)
    ] = None,
    batch: Annotated[
        int | None, _of_table("1", "Number of images in one pass.", options.BUDGET)
    ] = None,
    runtime: Annotated[
        Literal["onnxruntime", "openvino"] | None,
        _of_table("onnxruntime", "Inference runtime.", options.BUDGET),
    ] = None,
    size_px: Annotated[
        int | None,
        _of_table("from DATA", "Height and width of images, in pixels.", options.DATA, "--size"),
    ] = None,
    noise: options.Noise = None,
    protocol: options.Protocol = None,
    space: Annotated[str | None, _of_table("dc-nas", options.SPACE_HELP, options.SEARCH)] = None,
    operators: Annotated[int | None, _of_table("4", options.OPERATORS_HELP, options.SEARCH)] = None,
    decoder: Annotated[
        options.DecoderName | None, _of_table("conv", options.DECODER_HELP, options.SEARCH)
    ] = None,
    up: Annotated[
        options.UpName | None, _of_table("transposed_conv", options.UP_HELP, options.SEARCH)
    ] = None,
    learns_depth: Annotated[
        bool | None, _of_table("off", options.DEPTH_HELP, options.SEARCH, "--learn-depth")
    ] = None,
    search_recipe: options.SearchRecipe = "swift",
    search_epochs: options.SearchEpochs = None,
    recipe: options.TrainingRecipe = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    controls: Annotated[
        bool,
        typer.Option(
            help="Also train a random and a uniform architecture of the same latency.",
            rich_help_panel=options.TRAINING,
        ),
    ] = True,
    seed: options.Seed = 0,
    out: options.Out,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    networks: options.Networks = 300,
    minutes: options.Minutes = 6.0,
    train_count: options.TrainCount = None,
    test_count: options.TestCount = None,
    data_root: options.DataRoot = None,
    download: options.Download = False,
) -> None:
    """Search, train and export a network that keeps a latency budget.

    Without --latency the budget holds for this machine, which is measured first.

    Examples:

      tapetum fit photos --target-ms 8 --out runs/photos

      tapetum fit photos --target-ms 20 --latency raspberry-pi.json --out runs/pi
    """
    arguments = {**locals()}
    with errors_in_one_sentence(as_json=arguments.pop("json")):
        say_crowded(threads or 1)
        say_loading()
        from tapetum import jobs

        with progress_bar() as tick:
            result = jobs.fit(**arguments, progress=tick)
        show_fit(result, as_json=json)


def show_fit(result: "FitResult", *, as_json: bool) -> None:
    """Print what a fit has made."""
    from tapetum.training import is_main_process

    if not is_main_process():
        return
    if as_json:
        answer(_facts(result))
        return
    table(("", ""), _rows(result), title=str(result.request.conditions), numbers=False)
    if result.delivery.note:
        say(f"the package does not match the budget: {result.delivery.note}", label="note")
    say(f"package: {result.package}")
    say(f"report: {result.report}")
    if result.delivery.command:
        say(f"copy the package to the device and type there: {result.delivery.command}")


def _rows(result: "FitResult") -> list[tuple[str, str]]:
    delivery, mean = result.delivery, result.delivery.scores.mean
    fastest_ms, slowest_ms = result.table.range
    rows = [
        ("latency range of this space", f"{fastest_ms:.3g} to {slowest_ms:.3g} ms"),
        ("budget", f"{delivery.target_ms:g} ms"),
        ("predicted", f"{delivery.predicted_ms:.3g} ms"),
    ]
    if delivery.timing is not None:
        timing = delivery.timing
        measured = f"{timing.median_ms:.3g} ms, 95th percentile {timing.p95_ms:.3g} ms"
        rows.append(("package, measured", measured))
    if mean.accuracy is not None:
        rows.append(("accuracy", f"{mean.accuracy:.1%}"))
    if mean.psnr_db is not None and mean.ssim is not None:
        rows.append(("denoised images", f"{mean.psnr_db:.2f} dB, SSIM {mean.ssim:.3f}"))
    return rows


def _facts(result: "FitResult") -> dict[str, Any]:
    return {
        **result.delivery.model_dump(mode="json"),
        "ratio": result.delivery.ratio,
        "selection": result.selection.model_dump(mode="json"),
        "package": str(result.package),
        "report": str(result.report),
    }
