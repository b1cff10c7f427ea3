"""What a fit is requested to do: a space, two recipes, the conditions of a device and a budget."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from pydantic import PositiveFloat

from tapetum.arch import Space, spaces
from tapetum.data import Dataset, DatasetInfo
from tapetum.errors import InputError, TapetumError, nearest
from tapetum.jobs.choose import is_digits, open_logged
from tapetum.jobs.controls import CONTROLS, Control
from tapetum.jobs.device import SCOPES, BudgetIncludes
from tapetum.jobs.suit import augmentation_of, suit, suit_search
from tapetum.jobs.training import choose_recipe
from tapetum.latency import Budget, Conditions, Effort, LatencyTable, Runtime, find_runtime
from tapetum.records import Record
from tapetum.search import SearchRecipe, choose_search_recipe
from tapetum.training import Recipe

__all__ = ["FitOptions", "FitRequest", "open_request"]

FitOptions = SimpleNamespace  # the arguments of tapetum.fit, which names and describes them
RECALIBRATION_BATCHES = 50


class FitRequest(Record):
    """What a fit is requested to do.

    Attributes:
        target_ms: Latency budget, in milliseconds.
        includes: What the budget includes: one pass of the network, the preparation of a typical
            image as well, or the whole call.
        space: Search space.
        conditions: Conditions that the budget holds for.
        search_recipe: How to search.
        recipe: How to train the searched network and the controls.
        data: The facts that identify the dataset.
        controls: Networks of the same latency that are trained for comparison.
    """

    format: Literal["tapetum-fit"] = "tapetum-fit"
    schema_version: Literal[3] = 3
    target_ms: PositiveFloat
    includes: BudgetIncludes = "network"
    space: Space
    conditions: Conditions
    search_recipe: SearchRecipe
    recipe: Recipe
    data: DatasetInfo
    controls: tuple[Control, ...] = CONTROLS


def open_request(
    options: FitOptions,
) -> tuple[FitRequest, Dataset, LatencyTable | None, Runtime | None]:
    """Open what the options of a fit name.

    Returns:
        The request, its dataset, the given latency table, and the runtime that times networks;
        no runtime where the device is another machine.

    Raises:
        InputError: The budget is not feasible, or an option does not fit another.
    """
    Budget.require_positive(options.target_ms)
    table = _choose_table(options)
    search_recipe, recipe = _choose_recipes(options)
    recipe = augmentation_of(recipe, options.augmentation)
    form: dict[str, Any] = {"size_px": options.size_px}
    if table is not None and not is_digits(options.data):  # digits have a form of their own
        form |= {"size_px": table.conditions.height_px, "channels": table.conditions.channels}
    dataset = open_logged(
        options.data, seed=options.seed, progress=options.progress, **form, **options.digits
    )
    space = _choose_space(options, table, dataset.info)
    given = {"augmentation": options.augmentation}
    recipe = suit(recipe, dataset, batch_size=options.batch_size, **given)
    search_recipe = search_recipe.model_copy(update={"augmentation": recipe.augmentation})
    search_recipe = suit_search(search_recipe, dataset, batch_size=None, quiet=True, **given)
    conditions, runtime = _choose_device(options, table, dataset.info)
    _check_scope(options, conditions, runtime)
    request = FitRequest(
        target_ms=options.target_ms,
        includes=options.budget_includes,
        space=space,
        conditions=conditions,
        search_recipe=search_recipe,
        recipe=recipe,
        data=dataset.info,
        controls=CONTROLS if options.controls else (),
    )
    return request, dataset, table, runtime


def _choose_table(options: FitOptions) -> LatencyTable | None:
    """Return the given latency table; None where this machine is to be measured."""
    if options.latency is None:
        Effort(options.networks, options.minutes)  # refuses what would be in vain
        return None
    given = options.latency
    table = given if isinstance(given, LatencyTable) else LatencyTable.read(Path(given))
    Budget.of(table, options.target_ms)
    conditions = table.conditions
    measured = {
        "--size": (options.size_px, conditions.height_px),
        "--threads": (options.threads, conditions.threads),
        "--batch": (options.batch, conditions.batch),
        "--runtime": (getattr(options.runtime, "name", options.runtime), conditions.runtime),
    }
    wrong = [
        f"{option} is {value}, but the latency table was measured with {theirs}"
        for option, (value, theirs) in measured.items()
        if value not in (None, theirs)
    ]
    if wrong:
        raise InputError(
            "; ".join(wrong),
            "leave the option out, or measure another table with 'tapetum latency measure'",
        )
    return table


def _choose_recipes(options: FitOptions) -> tuple[SearchRecipe, Recipe]:
    """Return the recipes of the search and of the trainings, for the same noise.

    The trainings estimate batch statistics again at their end.
    """
    changes: dict[str, Any] = {"epochs": options.epochs, "batch_size": options.batch_size}
    changes |= {"seed": options.seed, "recalibration_batches": RECALIBRATION_BATCHES}
    training = choose_recipe(
        options.recipe,
        options.data,
        noise=options.noise,
        protocol=options.protocol,
        changes=changes,
    )
    changes = {"epochs": options.search_epochs, "seed": options.seed}
    if options.noise is None:
        changes["noise"] = training.noise.model_dump()
    name = str(options.search_recipe)
    return choose_search_recipe(name, noise=options.noise, changes=changes), training


def _choose_device(
    options: FitOptions, table: LatencyTable | None, info: DatasetInfo
) -> tuple[Conditions, Runtime | None]:
    """Return the conditions of the budget, and the runtime where they are those of this machine."""

    def here(threads: int, batch: int, name: str) -> tuple[Conditions, Runtime]:
        runtime = options.runtime or name
        runtime = find_runtime(runtime) if isinstance(runtime, str) else runtime
        form = {"channels": info.channels, "size_px": info.size_px}
        return Conditions.here(runtime, threads=threads, batch=batch, **form), runtime

    if table is None:
        threads = 1 if options.threads is None else options.threads
        return here(threads, 1 if options.batch is None else options.batch, "onnxruntime")
    there = table.conditions
    try:
        conditions, runtime = here(there.threads, there.batch, there.runtime)
    except TapetumError:  # this machine does not have the runtime of the table
        return there, None
    return there, runtime if conditions == there else None


def _check_scope(options: FitOptions, conditions: Conditions, runtime: Runtime | None) -> None:
    """Refuse a budget that includes what cannot be timed."""
    includes = options.budget_includes
    if includes not in SCOPES:
        raise InputError(f"a budget includes no {includes!r}", nearest(str(includes), SCOPES))
    if includes == "network":
        return
    remedy = "give --budget-includes network"
    if runtime is None:
        raise InputError(
            f"{SCOPES[includes]} can only be timed on the device itself, and the latency table is "
            f"of {conditions.device}",
            f"{remedy}, less what 'tapetum benchmark PACKAGE' shows there for the preparation",
        )
    if conditions.batch > 1:
        raise InputError(f"{SCOPES[includes]} is timed for one image, not for a batch", remedy)
    if includes == "call" and not runtime.runs_packages:
        raise InputError(f"a package is not called in {runtime.name}", remedy)


def _choose_space(options: FitOptions, table: LatencyTable | None, info: DatasetInfo) -> Space:
    """Return the search space for a dataset: as requested, else that of the table."""
    if info.has_boxes:
        raise InputError(
            "a search space classifies whole images, but this dataset has boxes",
            "give a folder of images, or 'digit-crops'",
        )
    if table is not None:
        _require_form(table, info)
    given = (options.space, options.operators, options.decoder, options.up, options.learns_depth)
    if table is not None and all(value is None for value in given):
        return table.space
    space = options.space or "dc-nas"
    if not isinstance(space, Space):
        frame = spaces.Frame(
            operators=4 if options.operators is None else options.operators,
            image_px=info.size_px,
            image_channels=info.channels,
            num_classes=max(2, len(info.class_names)),
            learns_depth=bool(options.learns_depth),
            decoder=options.decoder or "conv",
            up=options.up or "transposed_conv",
        )
        space = spaces.open_space(str(space), frame)
    if table is not None and table.space != space:
        raise InputError(
            f"the latency table was not measured for the space that was requested, {space.name}",
            "leave out --space and its options to search the space of the table, or measure "
            "another table with 'tapetum latency measure'",
        )
    return space


def _require_form(table: LatencyTable, info: DatasetInfo) -> None:
    """Refuse a table for images or classes that the dataset does not have."""
    conditions, classifier = table.conditions, table.space.classifier
    ours = {"channels": info.channels, "px": info.size_px, "classes": len(info.class_names)}
    theirs = {"channels": conditions.channels, "px": conditions.height_px}
    theirs["classes"] = ours["classes"] if classifier is None else classifier.num_classes
    wrong = [
        f"{theirs[name]} {name}, not {ours[name]}" for name in ours if ours[name] != theirs[name]
    ]
    if wrong:
        raise InputError(
            f"the latency table does not fit the dataset: it is for {'; '.join(wrong)}",
            f"measure another: tapetum latency measure --size {ours['px']} --channels "
            f"{ours['channels']} --classes {ours['classes']}",
        )
