"""``tapetum fit``: a folder, a device and a budget in, a package that keeps it out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tapetum.cli.common import (
    DataRoot,
    Decoder,
    Download,
    Json,
    LearnDepth,
    Noise,
    Protocol,
    Resume,
    RuntimeName,
    SearchDecoder,
    SpaceName,
    TestCount,
    TrainCount,
    Up,
    answer,
    errors_in_one_sentence,
    progress_bar,
    runtime_of,
    say,
    say_crowded,
    say_loading,
    table,
)
from tapetum.cli.scores import opened

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.jobs import FitResult

__all__ = ["fit", "show_budget"]


def fit(
    data: Annotated[str, typer.Argument(help="A folder of images, or 'digit-crops'.")],
    target_ms: Annotated[float, typer.Option(help="What one pass may take on this machine.")],
    out: Annotated[Path, typer.Option(help="New folder for all of it.")],
    latency: Annotated[
        Path | None,
        typer.Option(help="A table that was measured before.", show_default="measured now"),
    ] = None,
    space: SpaceName = "dc-nas",
    operators: Annotated[int, typer.Option(help="4, 6 or 8 candidates a slot.")] = 4,
    decoder: Decoder = "conv",
    up: Up = "transposed_conv",
    search_decoder: SearchDecoder = False,
    learn_depth: LearnDepth = False,
    size: Annotated[
        int | None, typer.Option(help="Side of the images.", show_default="found out")
    ] = None,
    threads: Annotated[int, typer.Option(help="That will be deployed.")] = 1,
    batch: Annotated[int, typer.Option(help="Images in one pass.")] = 1,
    runtime: RuntimeName = "onnxruntime",
    search_recipe: Annotated[str, typer.Option(help="swift, tf-nas, or FILE.json.")] = "swift",
    search_epochs: Annotated[int | None, typer.Option(help="Of the search.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Of the training.", show_default="images")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of each training.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in a training step.")] = None,
    noise: Noise = None,
    protocol: Protocol = None,
    controls: Annotated[
        bool, typer.Option(help="Also train a random and a uniform network as slow.")
    ] = True,
    networks: Annotated[int, typer.Option(help="Random networks that are timed.")] = 300,
    minutes: Annotated[float, typer.Option(help="That measuring may take.")] = 6.0,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 0,
    train_count: TrainCount = None,
    test_count: TestCount = None,
    data_root: DataRoot = None,
    download: Download = False,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Measure, search, train, export and time: one network that keeps a budget here.

    Examples:

      tapetum fit photos --target-ms 8 --out runs/photos

      tapetum fit photos --target-ms 20 --threads 2 --latency table.json --out runs/slower
    """
    options = _Options(
        opening={
            "seed": seed,
            "data_root": data_root,
            "download": download,
            "train_count": train_count,
            "test_count": test_count,
            "size_px": size,
        },
        space={
            "name": space,
            "operators": operators,
            "decoder": "searched" if search_decoder else decoder,
            "up": up,
            "learns_depth": learn_depth,
        },
        recipes={
            "search": search_recipe,
            "training": recipe,
            "noise": noise,
            "protocol": protocol,
            "search_changes": {"epochs": search_epochs, "seed": seed},
            "changes": {"epochs": epochs, "batch_size": batch_size, "seed": seed},
        },
        asking={"threads": threads, "batch": batch, "has_controls": controls},
        doing={"minutes": minutes, "networks": networks, "resume": resume},
    )
    with errors_in_one_sentence(as_json=json):
        say_crowded(threads)
        show_budget(_made(data, target_ms, out, runtime, latency, options), as_json=json)


class _Options(NamedTuple):
    """What the options say, by the step of the job that takes it."""

    opening: dict[str, Any]
    space: dict[str, Any]
    recipes: dict[str, Any]
    asking: dict[str, Any]
    doing: dict[str, Any]


def _made(
    data: str, target_ms: float, out: Path, runtime: str, latency: Path | None, options: _Options
) -> "FitResult":
    """Does the job."""
    say_loading()
    from tapetum.jobs import (
        ask_budget,
        budget_recipes,
        budget_space,
        fit_to_budget,
        write_fit_report,
    )
    from tapetum.latency import Budget, LatencyTable
    from tapetum.training import prepare_process

    Budget.require_positive(target_ms)  # before many images are read
    prepare_process()  # before torch starts its threads
    given = None if latency is None else LatencyTable.read(latency)
    if given is not None:
        Budget.of(given, target_ms)
    with progress_bar() as tick:
        images, chosen = opened(data, tick, **options.opening), runtime_of(runtime)
        space = budget_space(images, **options.space)
        recipes = budget_recipes(data, **options.recipes)
        asked = ask_budget(images, chosen, space, recipes, target_ms=target_ms, **options.asking)
        made = fit_to_budget(
            asked, images, chosen, out, table=given, progress=tick, **options.doing
        )
        tick(0, 1, "drawing the page")
        write_fit_report(made, images)
        tick(1, 1, "drawing the page")
    return made


def show_budget(made: "FitResult", *, as_json: bool) -> None:
    """Prints what a job with a budget has made."""
    if as_json:
        answer(_facts(made))
    else:
        _show(made)


def _show(made: "FitResult") -> None:
    fastest_ms, slowest_ms = made.table.range
    timing, mean = made.delivered.timing, made.scores.mean
    rows = [
        ("this space spans", f"{fastest_ms:.2f} to {slowest_ms:.2f} ms here"),
        ("target", f"{made.delivered.target_ms:g} ms"),
        ("predicted", f"{made.delivered.predicted_ms:.2f} ms"),
        ("the package takes", f"{timing.median_ms:.2f} ms, 95 in 100 below {timing.p95_ms:.2f}"),
    ]
    if mean.accuracy is not None:
        rows.append(("right names", f"{mean.accuracy:.1%}"))
    if mean.psnr_db is not None and mean.ssim is not None:
        rows.append(("denoised images", f"{mean.psnr_db:.2f} dB, SSIM {mean.ssim:.3f}"))
    table(("", ""), rows, title=str(made.asked.conditions), numbers=False)
    if made.delivered.note:
        say(f"the budget is not kept: {made.delivered.note}")
    say(f"package: {made.package}   page: {made.page}")


def _facts(made: "FitResult") -> dict[str, Any]:
    return {
        "delivered": made.delivered.model_dump(mode="json") | {"ratio": made.delivered.ratio},
        "settled": made.matched.model_dump(mode="json"),
        "scores": made.scores.model_dump(mode="json"),
        "package": str(made.package),
        "page": str(made.page),
    }
