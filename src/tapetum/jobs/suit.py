"""Adapt a recipe to the images of a folder: a safe mirror, a batch size that fits, even classes."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tapetum.data import Augmentation, Dataset, DatasetInfo
from tapetum.errors import DataError, InputError
from tapetum.jobs.choose import say
from tapetum.jobs.data_remarks import other_light
from tapetum.progress import ProgressCallback, silent, step
from tapetum.records import changed
from tapetum.training import BaseRecipe, Recipe

__all__ = ["augmentation_of", "describe_balance", "describe_changes", "suit"]

SMALLEST_BATCH = 4  # where the folder has as many images
# Of the denoisers of pairs it gains 1 dB; where clean images are seen too, weak noise is left as it
# is (paper/docs/log.md).
LOG_MSE_OF_PAIRS = 0.1
SMALLEST_PX = 48  # of images of half the size; below, too little of them is left
FEWEST_STEPS = 8  # of an epoch, where epochs are the length and nobody chose the batch size

BALANCES = {
    "loss": "the loss is weighted by class",
    "sampling": "images of small classes are drawn more often",
    "none": "all images count alike",
}

R = TypeVar("R", bound=BaseRecipe)


def describe_changes(augmentation: Augmentation, data: DatasetInfo) -> str:
    """Return the random changes of the training images of a folder in words."""
    window_px = None
    if data.preparation.size_px is None:
        window_px = augmentation.window_of(data.size_px, has_labels=bool(data.class_names))
    return augmentation.describe(window_px=window_px)


def augmentation_of(recipe: R, given: Mapping[str, Any] | None) -> R:
    """Return a recipe with some random changes of the images replaced; null keeps the recipe's."""
    fields = {name: value for name, value in (given or {}).items() if value is not None}
    if not fields:
        return recipe
    changes = {"augmentation": {**recipe.augmentation.model_dump(), **fields}}
    return changed(recipe, changes, what=f"recipe {recipe.name!r}")


def suit(
    recipe: R,
    dataset: Dataset,
    *,
    batch_size: int | None,
    augmentation: Mapping[str, Any] | None,
    classifies: bool = True,
    quiet: bool = False,
    progress: ProgressCallback = silent,
) -> R:
    """Return a recipe that fits the training images, and say what was changed.

    Args:
        recipe: The recipe.
        dataset: The dataset.
        batch_size: The batch size that the user has chosen; None for that of the recipe.
        augmentation: The random changes that the user has chosen.
        classifies: Whether labels are learnt, so that uneven classes matter.
        quiet: Whether the random changes have been said already.
        progress: Receives the check whether images may be mirrored, which takes seconds.
    """
    has_epochs = getattr(recipe, "epochs", None) is not None
    keeps = batch_size is not None or not has_epochs
    size = _batch_size(recipe, dataset, keeps=keeps)
    if (augmentation or {}).get("brightness") is None and not _needs_brightness(recipe, dataset):
        recipe = augmentation_of(recipe, {"brightness": 0.0})
    looks = recipe.augmentation.mirror == "auto" and dataset.train.augmentation is not None
    with step(progress if looks else silent, "checking whether images may be mirrored"):
        decided = dataset.train.augmented(recipe.augmentation).augmentation
    if decided is None and any(value is not None for value in (augmentation or {}).values()):
        raise InputError(
            f"random changes of the images have no effect on {dataset.info.source}",
            "leave these options out",
        )
    if not quiet and not dataset.info.is_paired:
        say(f"noise of training images: {recipe.noise.describe()}")
    if not quiet and decided is not None:
        say(f"random changes of training images: {describe_changes(decided, dataset.info)}")
    changes: dict[str, Any] = {} if decided is None else {"augmentation": decided}
    if size != recipe.batch_size:
        num_images = len(dataset.train)
        say(f"batches of {size} images instead of {recipe.batch_size}, for {num_images:,} images")
        changes["batch_size"] = size
    if recipe.name == "images" and dataset.info.is_paired and not dataset.info.class_names:
        if not quiet:
            say("loss: for pairs also the logarithm of each image's error")
        changes["loss"] = recipe.loss.model_copy(update={"log_mse": LOG_MSE_OF_PAIRS})
    if isinstance(recipe, Recipe) and recipe.half_size:
        changes["half_size"] = _half_size(recipe, dataset.info, classifies=classifies, quiet=quiet)
    return _with_balance(recipe.model_copy(update=changes), dataset, classifies=classifies)


def _with_balance(recipe: R, dataset: Dataset, *, classifies: bool) -> R:
    """Return a recipe with the balance of the classes, and refuse one without an effect."""
    summary = dataset.summary
    if classifies and summary is not None and summary.train.classes:
        counts = list(summary.train.classes.values())
        return _balanced(recipe, counts, is_uneven=summary.imbalance is not None)
    if recipe.balance in ("loss", "sampling"):
        raise InputError(
            f"the balance {recipe.balance!r} has no effect: no uneven classes are learnt here",
            "leave --balance out",
        )
    return recipe.balanced("none", ())


def describe_balance(recipe: BaseRecipe) -> str:
    """Return how much the classes count, in words."""
    text = BALANCES["none" if recipe.balance == "auto" else recipe.balance]
    return f"{text} ({recipe.balance})" if recipe.class_weights else text


def _needs_brightness(recipe: BaseRecipe, dataset: Dataset) -> bool:
    """Return whether labels gain by the random brightness of a recipe.

    It costs them a little where training and validation images have the same light, and a denoiser
    learns nothing from it (benchmarks/results/brightness.json).
    """
    return bool(recipe.augmentation.brightness and other_light(dataset))


def _half_size(recipe: Recipe, info: DatasetInfo, *, classifies: bool, quiet: bool) -> float:
    """Return the share of a training on images of half the size: of large ones with labels.

    Denoisers learn from windows, which are small already.
    """
    half_px = info.size_px // 2
    if not classifies or not info.class_names or half_px < SMALLEST_PX:
        return 0.0
    if not quiet:
        say(
            f"size of training images: {half_px} px for {recipe.half_size:.0%} of the time, then "
            f"{info.size_px} px"
        )
    return recipe.half_size


def _batch_size(recipe: BaseRecipe, dataset: Dataset, *, keeps: bool) -> int:
    """Return a batch size that fits; one that gives an epoch some steps, unless it ``keeps``."""
    wanted, num_images = recipe.batch_size, int(recipe.smallest_part * len(dataset.train))
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    smallest = 2 * num_processes  # batch norm needs two
    if num_images < smallest:
        raise DataError(
            f"{len(dataset.train):,} training image(s) are too few to learn from", "add images"
        )
    size = min(wanted, num_images)
    has_folder = dataset.train.augmentation is not None
    if not keeps and (has_folder or size < wanted):
        size = min(size, max(num_images // FEWEST_STEPS, SMALLEST_BATCH))
    return max(smallest, size // num_processes * num_processes)


def _balanced(recipe: R, counts: Sequence[int], *, is_uneven: bool) -> R:
    """Return a recipe with the weights of the classes, where these are uneven or it asks for it."""
    num_images, fewest = sum(counts), min(count for count in counts if count)
    how = recipe.balance
    if how == "auto" and not is_uneven:
        how = "none"
    elif how == "auto":  # a weighted loss is jumpy where most batches lack the smallest class
        how = "loss" if recipe.batch_size * fewest >= num_images else "sampling"
    if is_uneven:
        largest, smallest = (_percent(count / num_images) for count in (max(counts), fewest))
        say(f"classes are uneven, {largest} to {smallest} of the training images: {BALANCES[how]}")
    return recipe.balanced(how, counts)


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.01 else 1}f} %"
