"""A device that is not this machine: what it has timed, for a fit of fast networks."""

import statistics
from pathlib import Path

from tapetum.arch import ShapeSpace
from tapetum.data import DatasetInfo
from tapetum.errors import InputError
from tapetum.jobs.methods import FitOptions, require_as_measured
from tapetum.latency import TimedShapes, bundle
from tapetum.progress import shown_path
from tapetum.records import read_json
from tapetum.runtime import Precision

__all__ = ["int8_ratio", "open_timings", "shapes_for"]

NEAR = 2.0  # times the budget, or a part of it: networks whose int8 is compared with fp32
LEAST_COMPARED = 5


def open_timings(options: FitOptions) -> bundle.DeviceTimings | None:
    """Open what a device has timed; None where this machine is the device.

    Raises:
        InputError: The file is something else, or an option differs from what was timed.
    """
    if options.latency is None:
        return None
    path = Path(options.latency)
    stored = read_json(path)
    is_table = isinstance(stored, dict) and stored.get("format") == "tapetum-latency-table"
    timings = None if is_table else bundle.DeviceTimings.read(path)
    if timings is None or not isinstance(timings.job.space, ShapeSpace):
        raise InputError(
            f"{shown_path(path)} has prices of blocks, which the method tf-nas needs; --method "
            f"{options.method} needs timings of whole networks",
            "time some on the device: tapetum latency bundle --help",
        )
    if options.start is not None and str(options.start) not in ("fresh", "auto"):
        raise InputError(
            "--start with --latency: the network to start from cannot be timed on the device here",
            "leave out one of them",
        )
    command = "write another bundle with 'tapetum latency bundle'"
    there = timings.conditions("fp32")
    require_as_measured(options, there, what=str(path), command=command)
    if options.precision == "int8" and "int8" not in timings.precisions:
        raise InputError(
            f"{shown_path(path)} has no network in int8",
            "leave --precision out, or write another bundle",
        )
    return timings


def shapes_for(
    timings: bundle.DeviceTimings, precision: Precision, info: DatasetInfo
) -> TimedShapes:
    """Return what was timed in a number format, as shapes for a dataset.

    Raises:
        InputError: The images or the labels are of another kind than those of the bundle.
    """
    found, classes = timings.shapes(precision), len(info.class_names)
    space = found.space
    ours = (info.channels, info.size_px, classes > 0, info.has_boxes)
    theirs = (space.image_channels, space.size_px, space.num_classes is not None, space.boxes)
    if ours != theirs:
        other = f"--size {info.size_px} --channels {info.channels} --classes {classes}"
        raise InputError(
            f"the timings are for {_form(*theirs)}, and these images are {_form(*ours)}",
            "no bundle has networks for labelled boxes; leave --latency out"
            if info.has_boxes
            else f"write another bundle: tapetum latency bundle {other}",
        )
    if not found.shapes:
        raise InputError(
            f"the device has timed no network in {precision}", "run the bundle there once more"
        )
    # One more or one less output is no matter of latency.
    changed = space.model_copy(update={"num_classes": max(2, classes) if classes else None})
    return found.model_copy(update={"space": changed})


def _form(channels: int, size_px: int, has_labels: bool, has_boxes: bool) -> str:
    labels = "labelled boxes" if has_boxes else "labels" if has_labels else "no labels"
    return f"{channels} x {size_px} x {size_px} px with {labels}"


def int8_ratio(fp32: TimedShapes, int8: TimedShapes, target_ms: float) -> float | None:
    """Return the latency of int8 over that of fp32, of networks of about a budget.

    None where no network was timed in both.
    """
    known = {one.shape: one.timing.median_ms for one in fp32.shapes}
    pairs = [(known[one.shape], one.timing.median_ms) for one in int8.shapes if one.shape in known]
    pairs.sort(key=lambda pair: max(pair[0] / target_ms, target_ms / pair[0]))
    near = [pair for pair in pairs if 1 / NEAR <= pair[0] / target_ms <= NEAR]
    chosen = near if len(near) >= LEAST_COMPARED else pairs[:LEAST_COMPARED]
    return statistics.median(int8_ms / fp32_ms for fp32_ms, int8_ms in chosen) if chosen else None
