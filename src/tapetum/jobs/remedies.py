"""What would keep a budget that no network keeps, with the latency that each remedy gives."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec

from tapetum.arch import ShapeSpace
from tapetum.jobs.device import Device
from tapetum.jobs.methods import RUN_INT8
from tapetum.latency import Budget, find_runtime
from tapetum.progress import rounded
from tapetum.provenance import usable_cores

__all__ = ["timed_remedies"]

SIZE_STEP_PX, LEAST_PX = 8, 16
NUM_ROUNDS = 3


def timed_remedies(device: Device, space: ShapeSpace, target_ms: float, fastest_ms: float) -> str:
    """Time the smallest network with other options, and say which keep a budget that it misses."""
    smallest = space.architecture(space.smallest())
    sizes_px = _smaller_px(space.size_px, target_ms / fastest_ms)
    enough, others = list[str](), list[str]()
    for option, changed in _changes(device, sizes_px):
        (timing,) = changed.timer(space)([smallest], num_rounds=NUM_ROUNDS)
        keeps = timing.median_ms <= (1 + Budget.TOLERANCE) * target_ms
        (enough if keeps else others).append(f"{option} ({rounded(timing.median_ms)} ms)")
    told = f"ask for {rounded(1.05 * fastest_ms)} ms or more"
    if enough:
        told += f", or give {' or '.join(enough)}: timed here, with the smallest network"
    if others:
        told += f"; timed, but not enough: {', '.join(others)}"
    return told if "--runtime" in told else f"{told}; another --runtime was not timed"


def _smaller_px(size_px: int, ratio: float) -> list[int]:
    """Return a size at which the latency falls by a ratio if it follows the pixels, and half of it.

    A part of the latency does not depend on the pixels, so the first one can be too large.
    """
    wanted = min(size_px * math.sqrt(ratio), size_px - SIZE_STEP_PX)
    found = [math.floor(one / SIZE_STEP_PX) * SIZE_STEP_PX for one in (wanted, wanted / 2)]
    return [one for one in dict.fromkeys(found) if one >= LEAST_PX]


def _changes(device: Device, sizes_px: Sequence[int]) -> Iterator[tuple[str, Device]]:
    """Yield each option that may help, and the device with it."""
    conditions, cores = device.conditions, usable_cores()
    for size_px in sizes_px:
        yield f"--size {size_px}", _at_size(device, size_px)
    if conditions.threads < cores:
        more = conditions.model_copy(update={"threads": cores})
        yield f"--threads {cores}", replace(device, conditions=more)
    if conditions.precision == "fp32" and conditions.runtime in RUN_INT8:
        yield "--precision int8", device.in_precision("int8")
    if device.includes != "network":
        yield "--budget-includes network", replace(device, includes="network")
    yield from _other_runtimes(device)


def _other_runtimes(device: Device) -> Iterator[tuple[str, Device]]:
    """Yield the other runtimes that are installed and run what the budget includes."""
    for name in RUN_INT8:  # all that there are
        if name == device.conditions.runtime or find_spec(name) is None:
            continue
        runtime = find_runtime(name)
        if runtime.runs_packages or device.includes != "call":
            changes = {"runtime": name, "runtime_version": runtime.version}
            conditions = device.conditions.model_copy(update=changes)
            yield f"--runtime {name}", replace(device, runtime=runtime, conditions=conditions)


def _at_size(device: Device, size_px: int) -> Device:
    """Return the device for images of another size."""
    preparation = device.data.preparation
    if preparation.size_px is not None:
        preparation = preparation.model_copy(update={"size_px": size_px})
    changes = {"size_px": size_px, "preparation": preparation}
    size = {"height_px": size_px, "width_px": size_px}
    return replace(
        device,
        data=device.data.model_copy(update=changes),
        conditions=device.conditions.model_copy(update=size),
    )
