"""What is asked of the job that keeps a budget: a space, two recipes, a device and a target."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import PositiveFloat

from tapetum.arch import Space, spaces
from tapetum.data import Dataset, DatasetInfo
from tapetum.errors import InputError
from tapetum.jobs.controls import CONTROLS, Control
from tapetum.jobs.train import choose_recipe
from tapetum.latency import Budget, Conditions, Runtime
from tapetum.records import Record
from tapetum.search import SearchRecipe, choose_search_recipe
from tapetum.training import Recipe

__all__ = ["FitRequest", "Recipes", "ask_budget", "budget_recipes", "budget_space"]

RECALIBRATION_BATCHES = 50


class FitRequest(Record):
    """What was asked of the whole job.

    Attributes:
        target_ms: What one pass may take.
        space: That is searched.
        conditions: Under which the target holds.
        search_recipe: How to search.
        recipe: How to train what was found, and the controls.
        data: The dataset.
        controls: Networks of the same latency that are trained for comparison.
    """

    format: Literal["tapetum-fit"] = "tapetum-fit"
    schema_version: Literal[1] = 1
    target_ms: PositiveFloat
    space: Space
    conditions: Conditions
    search_recipe: SearchRecipe
    recipe: Recipe
    data: DatasetInfo
    controls: tuple[Control, ...] = CONTROLS


class Recipes(NamedTuple):
    """How to search, and how to train what was found and the controls."""

    search: SearchRecipe
    training: Recipe


def budget_space(
    images: Dataset,
    name: str = "dc-nas",
    *,
    operators: int = 4,
    decoder: str = "conv",
    up: str = "transposed_conv",
    learns_depth: bool = False,
) -> Space:
    """The space of a name or a JSON file, for some images.

    Args:
        images: To learn from.
        name: Or a path that ends in ``.json``, and then the rest is not asked.
        operators: Candidates of each slot.
        decoder: One of :data:`~tapetum.arch.spaces.DECODERS`.
        up: One of :data:`~tapetum.arch.spaces.UPS`.
        learns_depth: Whether slots that keep size and channels may be left out.

    Raises:
        InputError: The name is unknown, a value impossible, or the images have boxes.
    """
    if images.info.has_boxes:
        raise InputError(
            "spaces are for images with one name each, and these have boxes",
            "give a folder of images, or 'digit-crops'",
        )
    frame = spaces.Frame(
        operators=operators,
        image_px=images.info.size_px,
        image_channels=images.train.channels,
        num_classes=max(2, len(images.train.class_names)),
        learns_depth=learns_depth,
        decoder=decoder,
        up=up,
    )
    return spaces.open_space(name, frame)


def budget_recipes(
    data: str,
    *,
    search: str = "swift",
    training: str | None = None,
    noise: str | None = None,
    protocol: str | None = None,
    search_changes: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Recipes:
    """Two recipes for the same noise.

    Args:
        data: Where the images are from, which decides the training where none is given.
        search: A name, or a path that ends in ``.json``.
        training: Likewise.
        noise: Instead of that of both; by default the search takes that of the training.
        protocol: Instead of that of the training.
        search_changes: Fields of the search recipe; null keeps them.
        changes: Fields of the training's; null keeps them.  Batch statistics are estimated anew at
            the end, unless ``recalibration_batches`` says otherwise.

    Raises:
        InputError: A name is unknown, or a value impossible.
    """
    changes = {"recalibration_batches": RECALIBRATION_BATCHES, **(changes or {})}
    chosen = choose_recipe(training, data, noise=noise, protocol=protocol, changes=changes)
    if noise is None:
        search_changes = {"noise": chosen.noise.model_dump(), **(search_changes or {})}
    return Recipes(choose_search_recipe(search, noise=noise, changes=search_changes), chosen)


def ask_budget(
    images: Dataset,
    runtime: Runtime,
    space: Space,
    recipes: Recipes,
    *,
    target_ms: float,
    threads: int = 1,
    batch: int = 1,
    has_controls: bool = True,
) -> FitRequest:
    """Puts a request together for some images and this machine.

    Args:
        images: To learn from.
        runtime: Of the device.
        space: That is searched (:func:`budget_space`).
        recipes: Of the search and of the trainings (:func:`budget_recipes`).
        target_ms: What one pass may take.
        threads: That share the work of one layer.
        batch: Images in one pass.
        has_controls: Whether controls are trained too.

    Raises:
        InputError: A value is impossible.
    """
    Budget.require_positive(target_ms)  # in our words, before the request refuses it in others
    size_px = images.info.size_px
    return FitRequest(
        target_ms=target_ms,
        space=space,
        conditions=Conditions.here(
            runtime,
            threads=threads,
            batch=batch,
            channels=images.train.channels,
            size_px=size_px,
        ),
        search_recipe=recipes.search,
        recipe=recipes.training,
        data=images.info,
        controls=CONTROLS if has_controls else (),
    )
