"""``tapetum evaluate``: score a run or a package."""

from pathlib import Path
from typing import Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, run_job, say_remarks, say_warnings, show_scores
from tapetum.cli.options import IMAGES, LESS, MAIN, option

__all__ = ["evaluate"]

AS_TRAINED = "as trained"

NOISE = option(
    None,
    MAIN,
    "Noise level, such as 0.2 or speckle:0.1; repeatable.",
    rule=options.LEVEL,
    shown=AS_TRAINED,
)
PART = option(
    "validation",
    MAIN,
    "Part of the folder: validation, or all if no image was trained on.",
    metavar="NAME",
)
WHITE = option(
    None,
    IMAGES,
    "Stored value that means white, such as 4095 for 12-bit images.",
    rule=options.WHITE_RULE,
    shown=AS_TRAINED,
)
SEED = option(
    None,
    LESS,
    "Random seed of the split, or of the digits.",
    rule=options.SEED,
    shown=AS_TRAINED,
)
MEGAPIXELS = option(
    2000.0,
    LESS,
    "Megapixels of all images above which only a random choice is denoised.",
    rule=options.a_number(float, 2000, above=0),
)


def evaluate(
    path: Path = typer.Argument(
        ..., metavar="RUN|PACKAGE", help="Folder of a run, or a .tapetum file."
    ),
    *,
    data: str = options.FOLDER,
    noise: list[str] | None = NOISE,
    part: Literal["validation", "all"] = PART,
    labels: Path | None = options.LABELS,
    layout: options.LayoutName | None = options.LAYOUT,
    group_by: str | None = options.GROUP_BY,
    white: str | None = WHITE,
    protocol: options.ProtocolName | None = options.shown_as(options.PROTOCOL, AS_TRAINED),
    seed: int | None = SEED,
    noise_seed: int = option(0, LESS, "Random seed of the noise.", rule=options.SEED),
    max_megapixels: float = MEGAPIXELS,
    threads: int | None = options.PACKAGE_THREADS,
    json: bool = options.JSON,
    test_count: int | None = options.TEST_COUNT,
    data_root: Path | None = options.DATA_ROOT,
    download: bool = options.DOWNLOAD,
) -> None:
    """Score a run or a package on images that it was not trained on, as 'predict' runs it.

    A package is scored without torch.

    Examples:

      tapetum evaluate runs/digits --data digits

      tapetum evaluate photos.tapetum --data photos --noise 0.1 --noise 0.3
    """
    scores = run_job("evaluate", locals(), needs_torch=path.is_dir())
    say_warnings(scores)
    if json:
        headline = scores.headline.model_dump(mode="json")
        answer({**scores.model_dump(mode="json"), "headline": headline})
        say_remarks(scores)
    else:
        show_scores(scores)
