"""``tapetum train``: images in, a trained and scored network out."""

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
        help="published, quick, swift, images, or FILE.json.",
        show_default="quick for digits, images for a folder",
    ),
]


def train(
    architecture: Annotated[
        str, typer.Argument(metavar="ARCH", help="A name that `tapetum info` lists, or FILE.json.")
    ],
    data: Annotated[str, typer.Option(help="A folder of images, 'digits' or 'digit-crops'.")],
    out: Annotated[Path, typer.Option(help="New folder for the run.")],
    recipe: Recipe = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in one step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest one.")] = None,
    noise: Annotated[
        str | None,
        typer.Option(help="KIND:LOW-HIGH, such as gaussian:0-0.5, for training and scoring."),
    ] = None,
    protocol: Protocol = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order, noise and split.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of training images, pixels.")] = None,
    channels: Annotated[int | None, typer.Option(help="1 grey, 3 RGB; else found out.")] = None,
    train_count: TrainCount = None,
    test_count: TestCount = None,
    data_root: DataRoot = None,
    download: Download = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train a network on images and score it on every noise level.

    Examples:

      tapetum train dc-net-reduced-integrated --data digits --out runs/digits

      tapetum train dc-net-medium-integrated --data photos --size 128 --out runs/photos

      tapetum train unet-s --data photos --noise gaussian:0-0.2 --protocol camera --out runs/camera

    """
    with errors_in_one_sentence(as_json=json):
        say_loading()
        from tapetum.jobs import architecture_for, choose_recipe, fit
        from tapetum.jobs.run_report import write_run_report
        from tapetum.nn import build
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
            images = opened(
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
            found = architecture_for(architecture, images)
            network = build(found, seed=chosen.seed)
            result = fit(
                network, chosen, images, out, resume=resume, overwrite=overwrite, progress=tick
            )
            if not is_main_process():
                return
            tick(0, 1, "drawing the page")
            page = write_run_report(out, images)
            tick(1, 1, "drawing the page")
        if json:
            answer(result.model_dump(mode="json"))
            return
        show_scores(result.scores)
        say(f"run: {out}   page: {page}   next: tapetum export {out} --out {out.name}.tapetum")
