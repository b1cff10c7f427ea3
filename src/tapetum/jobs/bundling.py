"""Write the bundle of networks that another device has to time for a fit."""

from pathlib import Path
from typing import Literal

from tapetum.arch import Architecture, ShapeSpace, Space, find_architecture, ladder
from tapetum.jobs.choose import PAIR
from tapetum.latency import Budget, Effort, bundle
from tapetum.progress import ProgressCallback, silent
from tapetum.records import faults_are_ours, hold_name, require_free_name
from tapetum.runtime import Precision

__all__ = ["bundle_networks"]

PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "auto": ("fp32", "int8"),
    "fp32": ("fp32",),
    "int8": ("fp32", "int8"),  # the image path of some shapes stays in fp32
}
LONGEST_MS = 100.0  # of a network that is timed for any budget
LONGEST = 2.0  # times the budget
BLOCK_ROUNDS = 20  # at most, since prices need more than shapes


def bundle_networks(
    out: str | Path,
    space: ShapeSpace | Space,
    *,
    size_px: int,
    threads: int = 1,
    batch: int = 1,
    precision: Literal["auto", "fp32", "int8"] = "auto",
    target_ms: float | None = None,
    networks: int = 400,
    minutes: float = 20.0,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> bundle.Job:
    """Write a bundle of networks of every size; ``python3 OUT`` on the device times them.

    Args:
        out: Archive to write, such as ``pi.zip``.
        space: Fast shapes for a race, or a published space for the prices of its blocks.
        size_px: Side of the images in a fit, in pixels.
        threads: Inference threads on the device.
        batch: Images in one pass.
        precision: ``auto`` times each shape in fp32 and int8, ``fp32`` in fp32 alone; blocks are
            always timed in fp32.
        target_ms: The budget of the fit, in milliseconds: more shapes are near it; None for any.
        networks: Number of networks; of shapes about.
        minutes: Time after which no other round begins on the device.
        overwrite: Whether an older bundle may be replaced.
        progress: Called after each network.

    Raises:
        InputError: A number is not possible, or the file exists.
    """
    require_free_name(Path(out), overwrite=overwrite)
    with faults_are_ours("no bundle can be written"):
        job = bundle.Job(space=space, threads=threads, batch=batch, minutes=minutes)
    if isinstance(space, ShapeSpace):
        longest_ms, precisions = LONGEST_MS, PRECISIONS[precision]
        if target_ms is not None:
            Budget.require_positive(target_ms)
            longest_ms = LONGEST * target_ms
        job = job.model_copy(update={"longest_ms": longest_ms})
        shapes = ladder.steps(space, networks, budget_ms=target_ms, threads=threads)
        named = bundle.shape_networks(space, shapes.items(), _usual(space))
    else:
        job, precisions = job.model_copy(update={"most_rounds": BLOCK_ROUNDS}), ("fp32",)
        named = bundle.block_networks(space, Effort(networks, minutes).networks)
    with hold_name(Path(out)):
        return bundle.write_bundle(
            Path(out), job, named, size_px=size_px, precisions=precisions, progress=progress
        )


def _usual(space: ShapeSpace) -> list[Architecture]:
    """Return the networks that a user would pick by hand."""
    form = {"channels": space.image_channels, "num_classes": space.num_classes or 2}
    names = PAIR if space.num_classes else PAIR[1:]
    return [find_architecture(name, **form, boxes=False) for name in names]
