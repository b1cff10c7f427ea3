"""What a fit is requested to do: a space, two recipes, the conditions of a device and a budget."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import PositiveFloat

from tapetum.arch import Space, spaces
from tapetum.data import DatasetInfo
from tapetum.errors import InputError, TapetumError
from tapetum.jobs.choose import DigitOptions, ImageForm, is_digits
from tapetum.jobs.controls import CONTROLS, Control
from tapetum.jobs.training import choose_recipe
from tapetum.latency import (
    Budget,
    Conditions,
    Effort,
    LatencyTable,
    Runtime,
    find_runtime,
)
from tapetum.noise import Protocol
from tapetum.progress import ProgressCallback
from tapetum.records import Record
from tapetum.search import SearchRecipe, choose_search_recipe
from tapetum.training import Recipe

__all__ = [
    "Device",
    "FitOptions",
    "FitRequest",
    "choose_device",
    "choose_recipes",
    "choose_space",
    "choose_table",
    "image_form",
]

RECALIBRATION_BATCHES = 50


@dataclass(frozen=True)
class FitOptions:
    """The arguments of :func:`tapetum.fit`, which describes them."""

    data: str | Path
    out: str | Path
    target_ms: float
    latency: str | Path | LatencyTable | None
    space: str | Path | Space | None
    operators: int | None
    decoder: str | None
    up: str | None
    learns_depth: bool | None
    size_px: int | None
    threads: int | None
    batch: int | None
    runtime: str | Runtime | None
    search_recipe: str | Path
    search_epochs: int | None
    recipe: str | Path | Recipe | None
    epochs: int | None
    batch_size: int | None
    noise: str | None
    protocol: Protocol | None
    controls: bool
    networks: int
    minutes: float
    seed: int
    resume: bool
    overwrite: bool
    progress: ProgressCallback
    digits: DigitOptions


class FitRequest(Record):
    """What a fit is requested to do.

    Attributes:
        target_ms: Latency budget of one pass, in milliseconds.
        space: Search space.
        conditions: Conditions that the budget holds for.
        search_recipe: How to search.
        recipe: How to train the searched network and the controls.
        data: The facts that identify the dataset.
        controls: Networks of the same latency that are trained for comparison.
    """

    format: Literal["tapetum-fit"] = "tapetum-fit"
    schema_version: Literal[2] = 2
    target_ms: PositiveFloat
    space: Space
    conditions: Conditions
    search_recipe: SearchRecipe
    recipe: Recipe
    data: DatasetInfo
    controls: tuple[Control, ...] = CONTROLS


class Device(NamedTuple):
    """The device that a budget holds for.

    Attributes:
        conditions: Conditions of its latencies.
        runtime: Times networks on this machine; None where the device is another machine.
    """

    conditions: Conditions
    runtime: Runtime | None


def choose_table(options: FitOptions) -> LatencyTable | None:
    """Return the given latency table; None where this machine is to be measured.

    Raises:
        InputError: The table is damaged, the budget is not feasible, an option contradicts the
            table, or measuring would be in vain.
    """
    if options.latency is None:
        Effort(options.networks, options.minutes)  # refuses what would be in vain
        return None
    given = options.latency
    table = given if isinstance(given, LatencyTable) else LatencyTable.read(Path(given))
    Budget.of(table, options.target_ms)
    conditions, runtime = table.conditions, options.runtime
    measured = {
        "--size": (options.size_px, conditions.height_px),
        "--threads": (options.threads, conditions.threads),
        "--batch": (options.batch, conditions.batch),
        "--runtime": (getattr(runtime, "name", runtime), conditions.runtime),
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


def image_form(options: FitOptions, table: LatencyTable | None) -> ImageForm:
    """Return the size and the channels in which to open the dataset: those of the table."""
    if table is None or is_digits(options.data):  # digits have a form of their own
        return {"size_px": options.size_px}
    return {"size_px": table.conditions.height_px, "channels": table.conditions.channels}


def choose_recipes(options: FitOptions) -> tuple[SearchRecipe, Recipe]:
    """Return the recipes of the search and of the trainings, for the same noise.

    The trainings estimate batch statistics again at their end.

    Raises:
        InputError: A name is unknown, or a value is impossible.
    """
    training = choose_recipe(
        options.recipe,
        options.data,
        noise=options.noise,
        protocol=options.protocol,
        changes={
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "seed": options.seed,
            "recalibration_batches": RECALIBRATION_BATCHES,
        },
    )
    changes: dict[str, Any] = {"epochs": options.search_epochs, "seed": options.seed}
    if options.noise is None:
        changes["noise"] = training.noise.model_dump()
    return choose_search_recipe(
        str(options.search_recipe), noise=options.noise, changes=changes
    ), training


def choose_device(options: FitOptions, table: LatencyTable | None, info: DatasetInfo) -> Device:
    """Return the device of a latency table, or this machine where there is no table.

    Raises:
        InputError: A value is impossible.
    """
    if table is None:
        runtime = _runtime(options.runtime or "onnxruntime")
        threads = 1 if options.threads is None else options.threads
        batch = 1 if options.batch is None else options.batch
        return Device(_here(runtime, info, threads, batch), runtime)
    conditions = table.conditions
    try:
        runtime = _runtime(options.runtime or conditions.runtime)
        here = _here(runtime, info, conditions.threads, conditions.batch)
    except TapetumError:  # this machine does not have the runtime of the table
        return Device(conditions, None)
    return Device(conditions, runtime if here == conditions else None)


def choose_space(options: FitOptions, table: LatencyTable | None, info: DatasetInfo) -> Space:
    """Return the search space for a dataset: as requested, else that of the table.

    Raises:
        InputError: The name is unknown, a value is impossible, the dataset has boxes, or the table
            is of another space.
    """
    if info.has_boxes:
        raise InputError(
            "a search space classifies whole images, but this dataset has boxes",
            "give a folder of images, or 'digit-crops'",
        )
    if table is not None:
        _require_form(table, info)
    frame = (options.operators, options.decoder, options.up, options.learns_depth)
    if table is not None and options.space is None and frame == (None,) * len(frame):
        return table.space
    space = options.space or "dc-nas"
    if not isinstance(space, Space):
        space = spaces.open_space(
            str(space),
            spaces.Frame(
                operators=4 if options.operators is None else options.operators,
                image_px=info.size_px,
                image_channels=info.channels,
                num_classes=max(2, len(info.class_names)),
                learns_depth=bool(options.learns_depth),
                decoder=options.decoder or "conv",
                up=options.up or "transposed_conv",
            ),
        )
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


def _runtime(runtime: str | Runtime) -> Runtime:
    return find_runtime(runtime) if isinstance(runtime, str) else runtime


def _here(runtime: Runtime, info: DatasetInfo, threads: int, batch: int) -> Conditions:
    return Conditions.here(
        runtime, threads=threads, batch=batch, channels=info.channels, size_px=info.size_px
    )
