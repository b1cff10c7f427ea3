"""``tapetum evaluate``: score a run or a package."""

from pathlib import Path
from typing import Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, run_job, show_scores
from tapetum.cli.options import ADVANCED, DATA, option

__all__ = ["evaluate"]

AS_TRAINED = "as trained"


def evaluate(
    path: Path = typer.Argument(
        ..., metavar="RUN|PACKAGE", help="Folder of a run, or a .tapetum file."
    ),
    *,
    data: str = options.FOLDER,
    labels: Path | None = options.LABELS,
    layout: options.LayoutName | None = options.LAYOUT,
    group_by: str | None = options.GROUP_BY,
    white: str | None = option(
        None,
        DATA,
        "Stored value that means white in images of more than 8 bits.",
        metavar="NUMBER",
        shown=AS_TRAINED,
    ),
    part: Literal["validation", "all"] = option(
        "validation",
        DATA,
        "Part of the folder to score; choose 'all' only if no image was trained on.",
    ),
    noise: list[str] | None = option(
        None,
        DATA,
        "Noise level, such as 0.2 or speckle:0.1; repeat the option for several levels.",
        metavar="LEVEL",
        shown=AS_TRAINED,
    ),
    protocol: options.ProtocolName | None = options.PROTOCOL,
    seed: int | None = option(
        None, DATA, "Random seed of the split of the folder, or of the digits.", shown=AS_TRAINED
    ),
    noise_seed: int = option(0, DATA, "Random seed of the noise."),
    json: bool = options.JSON,
    max_megapixels: float = option(
        2000.0,
        ADVANCED,
        "Limit of the pixels of all images and noise levels, in millions; above it all images are "
        "classified but only a random choice is denoised and compared.",
    ),
    threads: int | None = options.PACKAGE_THREADS,
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
    if json:
        answer(scores.model_dump(mode="json"))
    else:
        show_scores(scores)
