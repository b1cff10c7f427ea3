"""What a fit is requested to do: a budget, the conditions of a device, a recipe and a method."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat

from tapetum.arch import Shape
from tapetum.data import Dataset, DatasetInfo
from tapetum.errors import InputError, TapetumError
from tapetum.formats import FEWEST_IMAGES
from tapetum.jobs.choose import (
    is_digits,
    is_start_name,
    open_logged,
    refuse_noise_of_pairs,
    refuse_without_labels,
)
from tapetum.jobs.device import Device, require_scope
from tapetum.jobs.elsewhere import open_timings
from tapetum.jobs.exporting import AskedPrecision
from tapetum.jobs.methods import FitOptions, require_method
from tapetum.jobs.pretrained import SHA256, Pretrained, choose_pretrained, require_weights
from tapetum.jobs.request_tfnas import TfNasSettings, choose_settings, choose_table
from tapetum.jobs.start import Source, open_source
from tapetum.jobs.suit import suit
from tapetum.jobs.training import recipe_of
from tapetum.latency import (
    Budget,
    Conditions,
    Includes,
    LatencyTable,
    Runtime,
    bundle,
    find_runtime,
)
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record
from tapetum.search import Prefer
from tapetum.training import Recipe

__all__ = ["FitRequest", "OpenedRequest", "ShapeSettings", "open_request"]

RECALIBRATION_BATCHES = 50


class ShapeSettings(Record):
    """How a fast network is chosen: by a race, or by the scaling rule alone.

    Attributes:
        method: ``race`` or ``none``.
        search_minutes: Time of the race, in minutes; None for that of the final training.
        total_minutes: Time of everything, in minutes; None where nothing has to fit.
        prefer: Which of the scores counts more.
        precision: Number format of the package; ``auto`` takes the one that pays.
    """

    method: Literal["race", "none"] = "race"
    search_minutes: PositiveFloat | None = None
    total_minutes: PositiveFloat | None = None
    prefer: Prefer = "balanced"
    precision: AskedPrecision = "auto"


class Origin(Record):
    """The trained network that a fit starts from: its name, its weights' digest, its shape."""

    name: str
    sha256: str
    shape: Shape

    @classmethod
    def of(cls, source: Source) -> "Origin":
        """Return what identifies a source, whose shape says that a fit can train it."""
        return cls(name=source.name, sha256=source.sha256, shape=source.shape)


class FitRequest(Record):
    """What a fit is requested to do.

    Attributes:
        target_ms: Latency budget, in milliseconds.
        includes: What the budget includes: one pass of the network, the preparation of a typical
            image as well, or the whole call.
        method: How the network is chosen.
        conditions: Conditions that the budget holds for.
        recipe: How to train the chosen network and the controls.
        data: The facts that identify the dataset.
        controls: Whether networks are trained for comparison.
        start: The network whose weights one candidate begins with; None for none.
        pretrained: Digest of the weights that candidates of MBConv blocks start from; empty for
            none.
    """

    format: Literal["tapetum-fit"] = "tapetum-fit"
    schema_version: Literal[4] = 4
    target_ms: PositiveFloat
    includes: Includes = "network"
    method: Annotated[ShapeSettings | TfNasSettings, Field(discriminator="method")]
    conditions: Conditions
    recipe: Recipe
    data: DatasetInfo
    controls: bool = False
    start: Origin | None = None
    pretrained: str = ""


@dataclass(frozen=True)
class OpenedRequest:
    """A request with what it names, opened.

    Attributes:
        request: The request.
        dataset: Its dataset.
        device: This machine, as the device of the budget; None where that is another one.
        table: The latency table that was given.
        timings: Networks that were timed on the device; None where they are timed here.
        source: The network that one candidate starts from.
        pretrained: What candidates of MBConv blocks start from.
        progress: Called after each step.
    """

    request: FitRequest
    dataset: Dataset
    device: Device | None
    table: LatencyTable | None = None
    timings: bundle.DeviceTimings | None = None
    source: Source | None = None
    pretrained: Pretrained | None = None
    progress: ProgressCallback = silent


def open_request(options: FitOptions) -> OpenedRequest:
    """Open what the options of a fit name."""
    Budget.require_positive(options.target_ms)
    require_method(vars(options))
    is_published = options.method == "tf-nas"
    table = choose_table(options) if is_published else None
    timings = None if is_published else open_timings(options)
    there = None if table is None else table.conditions  # those of another device
    if timings is not None:
        there = timings.conditions("fp32")
    start = "auto" if options.start is None else str(options.start)
    source = None if is_start_name(start) else open_source(start)
    require_weights(start)
    runtime = _choose_runtime(options, there)
    recipe, dataset = _open_learning(options, there)
    method: ShapeSettings | TfNasSettings = (
        choose_settings(options, table, dataset, recipe)
        if is_published
        else _choose_shapes(options, dataset)
    )
    takes_pretrained = not is_published and source is None
    pretrained = choose_pretrained(start, dataset) if takes_pretrained else None
    conditions = there
    if conditions is None:
        assert runtime is not None  # noqa: S101  (this machine is the device)
        form = {"channels": dataset.info.channels, "size_px": dataset.info.size_px}
        conditions = _conditions_here(options, runtime, **form)
    request = FitRequest(
        target_ms=options.target_ms,
        includes=options.budget_includes,
        method=method,
        conditions=conditions,
        recipe=recipe,
        data=dataset.info,
        controls=is_published if options.controls is None else options.controls,
        start=None if source is None else Origin.of(source),
        pretrained="" if pretrained is None else SHA256,
    )
    device = None
    if runtime is not None:
        what = (runtime, conditions, dataset.info, request.includes)
        device = Device(*what, progress=options.progress)
    opened = (table, timings, source, pretrained, options.progress)
    return OpenedRequest(request, dataset, device, *opened)


def _open_learning(options: FitOptions, there: Conditions | None) -> tuple[Recipe, Dataset]:
    """Open the images of a fit, and return them behind the recipe that suits them."""
    # The trainings estimate batch statistics again at their end.
    changes = {"seed": options.seed, "recalibration_batches": RECALIBRATION_BATCHES}
    recipe = recipe_of(options.data, vars(options), **changes)
    dataset = _open_images(options, there, recipe)
    refuse_noise_of_pairs(dataset, noise=options.noise, protocol=options.protocol)
    refuse_without_labels(dataset, options.resize, options.augmentation)
    chosen = {"augmentation": options.augmentation, "batch_size": options.batch_size}
    return suit(recipe, dataset, progress=options.progress, **chosen), dataset


def _open_images(options: FitOptions, there: Conditions | None, recipe: Recipe) -> Dataset:
    """Open the images of a fit, and refuse labels that its options do not fit."""
    form: dict[str, Any] = {"size_px": options.size_px, "learns_by": recipe.noise.protocol}
    if there is not None and not is_digits(options.data):  # digits have a form of their own
        form |= {"size_px": there.height_px, "channels": there.channels}
    dataset = open_logged(
        options.data, seed=options.seed, progress=options.progress, **form, **options.digits
    )
    if options.method == "tf-nas" and dataset.info.has_boxes:
        raise InputError(
            "--method tf-nas makes networks that classify whole images, but the labels of this "
            "dataset belong to boxes",
            "leave out --method, or give a folder of images, or 'digit-crops'",
        )
    if options.prefer == "label" and not dataset.info.class_names:
        raise InputError(
            "--prefer label has no effect: these images have no labels",
            "leave --prefer out, or sort the images into a folder for each class",
        )
    return dataset


def _choose_shapes(options: FitOptions, dataset: Dataset) -> ShapeSettings:
    count = len(dataset.train)
    if options.precision == "int8" and count < FEWEST_IMAGES:
        raise InputError(
            f"int8 is calibrated on {FEWEST_IMAGES} training images or more, and there are {count}",
            "add images, or leave --precision out",
        )
    return ShapeSettings(
        method=options.method,
        search_minutes=options.search_minutes,
        total_minutes=options.total_minutes,
        prefer=options.prefer or "balanced",
        precision=options.precision or "auto",
    )


def _choose_runtime(options: FitOptions, there: Conditions | None) -> Runtime | None:
    """Return the runtime of the budget; None where this machine is not the device.

    ``there`` are the conditions of what was measured; None where this machine is the device.
    """
    if there is not None:
        runtime, batch = _runtime_of(options, there), there.batch
    else:
        runtime = find_runtime(options.runtime or "onnxruntime")
        # Of any form: that of the images is not known, and what is impossible need not wait for it.
        batch = _conditions_here(options, runtime, channels=1, size_px=1).batch
    require_scope(options.budget_includes, runtime, batch)
    return runtime


def _runtime_of(options: FitOptions, there: Conditions) -> Runtime | None:
    """Return the runtime of what was measured; None where it was measured elsewhere."""
    known = {"threads": there.threads, "batch": there.batch, "channels": there.channels}
    try:
        runtime = find_runtime(options.runtime or there.runtime)
        here = Conditions.here(runtime, size_px=there.height_px, **known)
    except TapetumError:  # this machine does not have the runtime of the table
        return None
    return runtime if here == there else None


def _conditions_here(
    options: FitOptions, runtime: Runtime, *, channels: int, size_px: int
) -> Conditions:
    """Return the conditions of a budget that holds for this machine, on images of a form."""
    return Conditions.here(
        runtime,
        threads=1 if options.threads is None else options.threads,
        batch=1 if options.batch is None else options.batch,
        channels=channels,
        size_px=size_px,
    )
