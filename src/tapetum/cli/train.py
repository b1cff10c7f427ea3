"""``tapetum train``: pictures in, a trained and scored network out."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli.common import (
    DataRoot,
    Download,
    Json,
    Overwrite,
    Protocol,
    Resume,
    TestCount,
    TrainCount,
    answer,
    errors_in_one_sentence,
    progress_bar,
    say,
    say_loading,
)
from tapetum.cli.scores import opened, show_scores

__all__ = ["train"]

Recipe = Annotated[
    str | None,
    typer.Option(
        help="published, quick, swift, pictures, or FILE.json.",
        show_default="quick for digits, pictures for a folder",
    ),
]


def train(
    architecture: Annotated[
        str, typer.Argument(metavar="ARCH", help="A name that `tapetum info` lists, or FILE.json.")
    ],
    data: Annotated[str, typer.Option(help="A folder of pictures, 'digits' or 'digit-crops'.")],
    out: Annotated[Path, typer.Option(help="New folder for the run.")],
    recipe: Recipe = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the pictures.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in one step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest one.")] = None,
    noise: Annotated[
        str | None,
        typer.Option(help="KIND:LOW-HIGH, such as gaussian:0-0.5, for training and scoring."),
    ] = None,
    protocol: Protocol = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order, noise and split.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of training pictures, pixels.")] = None,
    channels: Annotated[int | None, typer.Option(help="1 grey, 3 RGB; else found out.")] = None,
    train_count: TrainCount = None,
    test_count: TestCount = None,
    data_root: DataRoot = None,
    download: Download = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train a network on pictures and score it on every noise level.

    Examples:

      tapetum train dc-net-reduced-integrated --data digits --out runs/digits

      tapetum train dc-net-medium-integrated --data photos --size 128 --out runs/photos

      tapetum train unet-s --data photos --noise gaussian:0-0.2 --protocol camera --out runs/camera

      tapetum train resnet-18 --data photos --out runs/resnet-18
    """
    with errors_in_one_sentence(as_json=json):
        say_loading()
        from tapetum.arch import Architecture
        from tapetum.fit import architecture_for, choose_recipe, fit
        from tapetum.fit.page import write_run_page
        from tapetum.training import is_main_process, prepare_process

        prepare_process()  # before torch starts its threads
        changes = {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
        }
        chosen = choose_recipe(recipe, data, noise=noise, protocol=protocol, changes=changes)
        with progress_bar() as tick:
            pictures = opened(
                data,
                tick,
                seed=chosen.seed,
                data_root=data_root,
                download=download,
                train_count=train_count,
                test_count=test_count,
                size_px=size,
                channels=channels,
            )
            network = architecture_for(architecture, pictures)
            result = fit(
                network, chosen, pictures, out, resume=resume, overwrite=overwrite, progress=tick
            )
            if not is_main_process():
                return
            tick(0, 1, "drawing the page")
            page = write_run_page(out, pictures)
            tick(1, 1, "drawing the page")
        if json:
            answer(result.model_dump(mode="json"))
            return
        show_scores(result.scores)
        suffix = ".tapetum" if isinstance(network, Architecture) else ".onnx"
        say(f"run: {out}   page: {page}   next: tapetum export {out} --out {out.name}{suffix}")
