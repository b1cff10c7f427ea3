"""Write the bundle of networks that another device has to time for a fit."""

from pathlib import Path
from typing import Literal

from tapetum.arch import ShapeSpace, Space, find_architecture, ladder
from tapetum.errors import InputError
from tapetum.jobs.choose import PAIR
from tapetum.latency import Budget, Effort, bundle
from tapetum.progress import ProgressCallback, silent
from tapetum.records import faults_are_ours, hold_name
from tapetum.runtime import Precision

__all__ = ["bundle_blocks", "bundle_shapes"]

PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "auto": ("fp32", "int8"),
    "fp32": ("fp32",),
    "int8": ("fp32", "int8"),  # the image path of some shapes stays in fp32
}
LONGEST_MS = 100.0  # of a network that is timed for any budget
LONGEST = 2.0  # times the budget


def bundle_shapes(
    out: str | Path,
    *,
    size_px: int,
    channels: int = 3,
    num_classes: int = 10,
    threads: int = 1,
    batch: int = 1,
    precision: Literal["auto", "fp32", "int8"] = "auto",
    target_ms: float | None = None,
    networks: int = 400,
    minutes: float = 20.0,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> bundle.Job:
    """Write a bundle of fast networks of every size; ``python3 OUT`` on the device times them.

    Args:
        out: Archive to write, such as ``pi.zip``.
        size_px: Side of the images in a fit, in pixels.
        channels: Channels of the images: 1 (grey) or 3 (RGB).
        num_classes: Number of classes; 0 for images without labels.
        threads: Inference threads on the device.
        batch: Images in one pass.
        precision: ``auto`` times each network in fp32 and int8, ``fp32`` in fp32 alone.
        target_ms: The budget of the fit, in milliseconds: more networks are near it; None for any.
        networks: Number of networks, about.
        minutes: Time after which no other round begins on the device.
        overwrite: Whether an older bundle may be replaced.
        progress: Called after each network.

    Raises:
        InputError: A number is not possible, or the file exists.
    """
    out = _free(out, overwrite=overwrite)
    with faults_are_ours("no bundle can be written"):
        space = ShapeSpace(
            width_step=16,
            size_px=size_px,
            image_channels=channels,
            num_classes=num_classes or None,
        )
    if target_ms is not None:
        Budget.require_positive(target_ms)
    shapes = ladder.steps(space, networks, budget_ms=target_ms, threads=threads)
    names = PAIR if num_classes else PAIR[1:]
    others = [
        find_architecture(name, channels=channels, num_classes=num_classes or 2, boxes=False)
        for name in names
    ]
    with hold_name(out):
        return bundle.write_bundle(
            out,
            space,
            shapes.items(),
            others,
            threads=threads,
            batch=batch,
            precisions=PRECISIONS[precision],
            minutes=minutes,
            longest_ms=LONGEST_MS if target_ms is None else LONGEST * target_ms,
            progress=progress,
        )


def bundle_blocks(
    out: str | Path,
    space: Space,
    *,
    size_px: int,
    threads: int = 1,
    batch: int = 1,
    networks: int = 400,
    minutes: float = 20.0,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> bundle.Job:
    """Write a bundle of random networks of a published space, for the prices of its blocks.

    Args:
        out: Archive to write, such as ``pi.zip``.
        space: The space.
        size_px: Side of the images in a fit, in pixels.
        threads: Inference threads on the device.
        batch: Images in one pass.
        networks: Number of networks.
        minutes: Time after which no other round begins on the device.
        overwrite: Whether an older bundle may be replaced.
        progress: Called after each network.

    Raises:
        InputError: A number is not possible, or the file exists.
    """
    out, effort = _free(out, overwrite=overwrite), Effort(networks, minutes)
    with hold_name(out):
        return bundle.write_block_bundle(
            out,
            space,
            size_px=size_px,
            networks=effort.networks,
            threads=threads,
            batch=batch,
            minutes=effort.minutes,
            progress=progress,
        )


def _free(out: str | Path, *, overwrite: bool) -> Path:
    """Return the place of a bundle; refuse to write over one unasked."""
    if Path(out).exists() and not overwrite:
        raise InputError(f"{out} exists already", "choose another name, or overwrite it")
    return Path(out)
