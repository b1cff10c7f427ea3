"""``tapetum train``: train one network on a dataset and score it."""

from pathlib import Path

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, run_job, say, say_remarks, say_warnings, show_scores
from tapetum.cli.options import IMAGES, MAIN, TRAINING, option
from tapetum.progress import pasted, shown_path

__all__ = ["train"]


ARCHITECTURE = typer.Argument(
    None,
    metavar="ARCH",
    help="Name of an architecture ('tapetum info' lists them) or JSON file; by default that of "
    "--start.",
)
MINUTES = option(
    None,
    MAIN,
    "Minutes of training.",
    rule=options.MINUTES,
    shown="from the images and the network",
)
START = option(
    None,
    MAIN,
    "Finished run or package whose weights are the start; or fresh, auto, efficientnet-lite0.",
    metavar="PATH",
    shown="fresh",
)
STEPS = option(
    None,
    TRAINING,
    "Steps of training; reproducible if OMP_NUM_THREADS is set.",
    rule=options.COUNT,
)
LEARNING_RATE = option(
    None, TRAINING, "Peak learning rate.", rule=options.RATE, shown=options.FROM_RECIPE
)
PATIENCE = option(
    None,
    TRAINING,
    "Minutes without better held-out scores, after which the training is brought to its end.",
    rule=options.MINUTES,
    shown="never",
)
CHANNELS = option(
    None,
    IMAGES,
    "Channels of the images: 1 (grey) or 3 (RGB).",
    rule=options.CHANNELS,
    shown="from the folder",
)


def train(
    architecture: str | None = ARCHITECTURE,
    *,
    data: str = options.FOLDER,
    out: Path = options.OUT,
    size_px: int | None = options.SIZE,
    noise: str | None = options.NOISE,
    resume: bool = options.RESUME,
    overwrite: bool = options.OVERWRITE,
    minutes: float | None = MINUTES,
    start: str | None = START,
    recipe: str | None = options.RECIPE,
    steps: int | None = STEPS,
    epochs: int | None = options.EPOCHS,
    batch_size: int | None = options.BATCH_SIZE,
    learning_rate: float | None = LEARNING_RATE,
    patience: float | None = PATIENCE,
    balance: options.BalanceName | None = options.BALANCE,
    labels: Path | None = options.LABELS,
    layout: options.LayoutName | None = options.LAYOUT,
    group_by: str | None = options.GROUP_BY,
    white: str = options.WHITE,
    channels: int | None = CHANNELS,
    resize: options.ResizeName | None = options.RESIZE,
    mirror: options.MirrorName | None = options.MIRROR,
    vertical_flip: bool | None = options.VERTICAL_FLIP,
    quarter_turns: bool | None = options.QUARTER_TURNS,
    crop_scale: float | None = options.CROP_SCALE,
    brightness: float | None = options.BRIGHTNESS,
    protocol: options.ProtocolName | None = options.PROTOCOL,
    seed: int | None = options.RECIPE_SEED,
    json: bool = options.JSON,
    train_count: int | None = options.TRAIN_COUNT,
    test_count: int | None = options.TEST_COUNT,
    data_root: Path | None = options.DATA_ROOT,
    download: bool = options.DOWNLOAD,
) -> None:
    """Train a network on a dataset and score it at every noise level.

    Examples:

      tapetum train dc-net-reduced-integrated --data digits --out runs/digits

      tapetum train dc-net-medium-integrated --data photos --minutes 10 --out runs/photos

      tapetum train --start runs/photos --data others --minutes 5 --out runs/others

      tapetum train unet-s --data photos --noise gaussian:0-0.2 --protocol camera --out runs/camera

    """
    result = run_job("train", options.with_augmentation(locals()))
    say_warnings(result.scores)
    if json:
        answer(result.model_dump(mode="json"))
        say_remarks(result.scores)
        return
    show_scores(result.scores)
    say(f"report: {shown_path(out / 'report.html')}")
    say(f"next: tapetum export {pasted(out)} --out {pasted(out.name + '.tapetum')}")
