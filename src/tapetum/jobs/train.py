"""The main job: images in, a trained and scored network out.

So far the architecture is given; measuring a device and searching for one that keeps its budget
go in front of this (docs/architecture.md).
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapetum.data import Dataset, digits, steps_per_epoch
from tapetum.nn import TrainableNetwork
from tapetum.noise import Noise, Protocol, parse_noise_plan
from tapetum.progress import ProgressCallback
from tapetum.records import write_atomically
from tapetum.training import (
    Predict,
    Recipe,
    Request,
    Result,
    Run,
    Scores,
    adjusted,
    evaluate,
    find_recipe,
    is_main_process,
    load_network,
    network_predict,
    start_run,
    suited,
    train,
)

__all__ = ["PAGE", "choose_recipe", "fit", "score"]

PAGE = "report.html"
SKIPPED = "skipped.txt"
LARGEST_BATCH = 64
LARGE_PX = 256  # images of this side are still scored in the largest batches


def fit(
    network: TrainableNetwork,
    recipe: Recipe,
    images: Dataset,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> Result:
    """Trains a network, scores it on every noise level, and keeps all of it in a run folder.

    Args:
        network: What to train, with fresh weights; it is trained in place.
        recipe: How.
        images: On what.
        out: The run's folder.
        resume: Whether to go on with a run that was killed, in training or after it.
        overwrite: Whether an older run may be replaced.
        progress: Is told of every step.

    Returns:
        The result, with scores, as written to ``result.json``.

    Raises:
        RunError: The folder is taken, or holds no run to go on with, or one of another request.
        DataError: A set of images is too small.
        TrainingError: The training cannot go on; its last good state is kept.
    """
    request = Request(
        architecture=network.architecture,
        recipe=recipe,
        data=images.info,
    )
    steps_per_epoch(images.train, recipe.batch_size)  # refused before there is a folder
    run = start_run(out, request, resume=resume, overwrite=overwrite)
    if run.is_finished:
        return _score_again(run, request, network, images, progress)
    if images.skipped and is_main_process():
        listed = "".join(f"{path}: {reason}\n" for path, reason in images.skipped)
        write_atomically(run.path / SKIPPED, listed.encode())
    sets = (images.train, images.validation)
    blank = copy.deepcopy(network)
    result = train(network, recipe, *sets, run, progress=progress)
    return _scored(run, result, blank, images, progress) if is_main_process() else result


def _score_again(
    run: Run,
    request: Request,
    network: TrainableNetwork,
    images: Dataset,
    progress: ProgressCallback | None,
) -> Result:
    """Goes on with a run that was killed between its training and its page."""
    if (run.path / PAGE).exists():
        run.require_unfinished()
    run.require_same(request)
    result = run.result()
    return result if result.scores else _scored(run, result, network, images, progress)


def _scored(
    run: Run,
    result: Result,
    network: TrainableNetwork,
    images: Dataset,
    progress: ProgressCallback | None,
) -> Result:
    """Scores a trained network and keeps the scores in its result."""
    noise = run.request.recipe.noise
    predict = network_predict(load_network(run.path, network=network))
    scores = score(predict, images, noise.spread(), protocol=noise.protocol, progress=progress)
    scored = result.model_copy(update={"scores": scores})
    run.finish(scored)
    return scored


def score(
    predict: Predict,
    images: Dataset,
    noises: Sequence[Noise],
    *,
    protocol: Protocol,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Scores:
    """Scores anything that predicts on the validation images.

    Args:
        predict: What denoises, names, or both.
        images: Whose validation part is used.
        noises: The levels; without effect on paired images, which bring their own noise.
        protocol: What is kept of a noisy image.
        seed: Of the noise.
        progress: Is told of each batch.
    """
    return evaluate(
        predict,
        images.validation,
        [None] if images.info.is_paired else noises,
        protocol=protocol,
        batch_size=_batch_size(images),
        seed=seed,
        progress=progress,
    )


def _batch_size(images: Dataset) -> int:
    """Images that are scored at once: fewer where they are large."""
    size_px = images.info.size_px
    return max(1, min(LARGEST_BATCH, LARGEST_BATCH * LARGE_PX**2 // size_px**2))


def choose_recipe(
    name: str | None,
    data: str,
    *,
    noise: str | None = None,
    protocol: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe of a name or a JSON file, with some of it changed.

    Args:
        name: Of a recipe, or a path that ends in ``.json``; by default ``quick`` for digits and
            ``images`` for a folder.
        data: ``digits``, ``digit-crops`` or a folder.
        noise: Instead of the recipe's, such as ``gaussian:0-0.5``.
        protocol: Instead of the recipe's.
        changes: Fields by name; those that are null stay as they are.

    Raises:
        InputError: There is no such recipe, or a change that it cannot take.
    """
    chosen = name or ("quick" if data in (digits.DIGITS, digits.DIGIT_CROPS) else "images")
    recipe = Recipe.read(Path(chosen)) if chosen.endswith(".json") else find_recipe(chosen)
    wanted = {field: value for field, value in (changes or {}).items() if value is not None}
    if noise is not None:
        wanted["noise"] = parse_noise_plan(noise).model_dump()
    if protocol is not None:
        plan = wanted.get("noise") or recipe.noise.model_dump()
        wanted["noise"] = plan | {"protocol": protocol}
    return suited(adjusted(recipe, **wanted))
