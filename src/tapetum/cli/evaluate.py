"""``tapetum evaluate``: scores of a run or a package on every noise level."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tapetum.cli.common import (
    DataRoot,
    Download,
    Json,
    Protocol,
    TestCount,
    answer,
    errors_in_one_sentence,
    progress_bar,
    say_loading,
)
from tapetum.cli.scores import show_scores, show_skipped

__all__ = ["evaluate"]


def evaluate(
    subject: Annotated[
        Path, typer.Argument(metavar="RUN|PACKAGE", help="A run's folder or a .tapetum file.")
    ],
    data: Annotated[str, typer.Option(help="A folder of images, 'digits' or 'digit-crops'.")],
    noise: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as 0.2 or speckle:0.1; may be repeated.",
            show_default="the levels of the training",
        ),
    ] = None,
    protocol: Protocol = None,
    part: Annotated[
        Literal["validation", "all"],
        typer.Option(help="Of a folder; 'all' only if none of it was trained on."),
    ] = "validation",
    seed: Annotated[
        int | None,
        typer.Option(help="Of the split of a folder, or of digits.", show_default="as trained"),
    ] = None,
    noise_seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    size: Annotated[
        int | None, typer.Option(help="Side of the images, pixels.", show_default="as trained")
    ] = None,
    test_count: TestCount = None,
    threads: Annotated[
        int | None, typer.Option(help="For a package.", show_default="all cores")
    ] = None,
    data_root: DataRoot = None,
    download: Download = False,
    json: Json = False,
) -> None:
    """Score a run or a package on images that it was not trained on.

    Examples:

      tapetum evaluate runs/digits --data digits

      tapetum evaluate photos.tapetum --data photos --noise 0.1 --noise 0.3
    """
    with errors_in_one_sentence(as_json=json):
        say_loading()
        from tapetum.data import open_dataset
        from tapetum.jobs import open_subject, require_fit, score
        from tapetum.noise import parse_noise
        from tapetum.training import prepare_process

        prepare_process()  # before torch starts its threads
        noises = [parse_noise(text) for text in noise or []]
        opened = open_subject(subject, threads=threads)
        with progress_bar() as tick:
            images = open_dataset(
                data,
                seed=opened.seed if seed is None else seed,
                data_root=data_root,
                download=download,
                test_count=test_count,
                **opened.image_form(data, size_px=size),
                score_all=part == "all",
                progress=tick,
            )
            show_skipped(images.skipped)
            require_fit(opened.architecture, images, class_names=opened.class_names)
            scores = score(
                opened.predict,
                images,
                noises or opened.noises,
                protocol=protocol or opened.protocol,
                seed=noise_seed,
                progress=tick,
            )
        if json:
            answer(scores.model_dump(mode="json"))
        else:
            show_scores(scores)
