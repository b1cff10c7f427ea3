"""The main job: pictures in, a trained and scored network out.

So far the architecture is given; measuring a device and searching for one that keeps its budget
go in front of this (docs/architecture.md).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapetum.arch import Architecture
from tapetum.fit.pictures import DIGITS, Pictures
from tapetum.noise import Noise, Protocol, parse_noise_plan
from tapetum.training import (
    Predict,
    ProgressCallback,
    Recipe,
    Request,
    Result,
    RunFolder,
    Scores,
    adjusted,
    evaluate,
    find_recipe,
    is_main_process,
    load_network,
    network_predict,
    process_settings,
    start_run,
    suited,
    train,
)

__all__ = ["choose_recipe", "fit", "score"]


def fit(
    architecture: Architecture,
    recipe: Recipe,
    pictures: Pictures,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> Result:
    """Trains a network, scores it on every noise level, and keeps all of it in a run folder.

    Args:
        architecture: What to train.
        recipe: How.
        pictures: On what.
        out: The run's folder.
        resume: Whether to go on with a run that was killed, in training or in scoring.
        overwrite: Whether an older run may be replaced.
        progress: Is told of every step.

    Returns:
        The result, with scores, as written to ``result.json``.

    Raises:
        RunError: The folder is taken, or holds no run to go on with, or one of another request.
        DataError: A set of pictures is too small.
        TrainingError: The training cannot go on; its last good state is kept.
    """
    request = Request(
        architecture=architecture,
        recipe=recipe,
        data=pictures.identity,
        class_names=pictures.train.class_names if architecture.classifier else (),
    )
    if resume and _is_unscored(out):
        run = RunFolder.open(out)
        run.require_same(request)
        result = run.result()
    else:
        run = start_run(out, request, resume=resume, overwrite=overwrite)
        sets = (pictures.train, pictures.validation)
        result = train(architecture, recipe, *sets, run, resume=resume, progress=progress)
    if not is_main_process():
        return result
    scores = score(
        network_predict(load_network(out)),
        pictures,
        recipe.noise.spread(),
        protocol=recipe.noise.protocol,
        progress=progress,
    )
    scored = result.model_copy(update={"scores": scores})
    run.write_result(scored)
    return scored


def score(
    predict: Predict,
    pictures: Pictures,
    noises: Sequence[Noise],
    *,
    protocol: Protocol,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Scores:
    """Scores anything that predicts on the validation pictures.

    Args:
        predict: What cleans, names, or both.
        pictures: Whose validation part is used.
        noises: The levels; without effect on paired pictures, which bring their own noise.
        protocol: What is kept of a noisy picture.
        seed: Of the noise.
        progress: Is told of each batch.
    """
    return evaluate(
        predict,
        pictures.validation,
        [None] if pictures.paired else noises,
        protocol=protocol,
        seed=seed,
        progress=progress,
    )


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
            ``pictures`` for a folder.
        data: ``digits`` or a folder.
        noise: Instead of the recipe's, such as ``gaussian:0-0.5``.
        protocol: Instead of the recipe's.
        changes: Fields by name; those that are null stay as they are.

    Raises:
        InputError: There is no such recipe, or a change that it cannot take.
    """
    chosen = name or ("quick" if data == DIGITS else "pictures")
    recipe = Recipe.read(Path(chosen)) if chosen.endswith(".json") else find_recipe(chosen)
    wanted = {field: value for field, value in (changes or {}).items() if value is not None}
    if noise is not None:
        wanted["noise"] = parse_noise_plan(noise).model_dump()
    if protocol is not None:
        plan = wanted.get("noise") or recipe.noise.model_dump()
        wanted["noise"] = plan | {"protocol": protocol}
    return suited(adjusted(recipe, **wanted), process_settings())


def _is_unscored(out: Path) -> bool:
    """Whether a run was killed between the end of its training and the end of its scoring."""
    run = RunFolder.open(out)
    return run.is_finished and run.result().scores is None
