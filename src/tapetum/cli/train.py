"""``tapetum train``: train one network on a dataset and score it."""

from typing import Annotated

import typer

from tapetum.cli import options
from tapetum.cli.common import (
    answer,
    errors_in_one_sentence,
    progress_bar,
    say,
    say_loading,
    show_scores,
)

__all__ = ["train"]


def train(
    architecture: Annotated[
        str,
        typer.Argument(
            metavar="ARCH", help="Name of an architecture ('tapetum info' lists them) or JSON file."
        ),
    ],
    *,
    data: options.DataFolder,
    size_px: options.Size = None,
    channels: Annotated[
        int | None,
        typer.Option(
            help="Channels of the images: 1 (grey) or 3 (RGB).",
            show_default="from the folder",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    noise: options.Noise = None,
    protocol: options.Protocol = None,
    recipe: options.TrainingRecipe = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate.",
            show_default="from the recipe",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    seed: options.RecipeSeed = None,
    out: options.Out,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    train_count: options.TrainCount = None,
    test_count: options.TestCount = None,
    data_root: options.DataRoot = None,
    download: options.Download = False,
) -> None:
    """Train a network on a dataset and score it at every noise level.

    Examples:

      tapetum train dc-net-reduced-integrated --data digits --out runs/digits

      tapetum train dc-net-medium-integrated --data photos --size 128 --out runs/photos

      tapetum train unet-s --data photos --noise gaussian:0-0.2 --protocol camera --out runs/camera

    """
    arguments = {**locals()}
    with errors_in_one_sentence(as_json=arguments.pop("json")):
        say_loading()
        from tapetum import jobs
        from tapetum.training import is_main_process

        with progress_bar() as tick:
            result = jobs.train(**arguments, progress=tick)
        if not is_main_process():
            return
        if json:
            answer(result.model_dump(mode="json"))
            return
        show_scores(result.scores)
        say(f"report: {out / 'report.html'}")
        say(f"next: tapetum export {out} --out {out.name}.tapetum")
