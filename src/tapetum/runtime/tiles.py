"""Large images in pieces: windows that overlap by what the network can see.

A pixel of the denoised image depends on the noisy one only within the network's reach.  A tile
is therefore a *core*, the part whose result is kept, inside a *window*, the part that the network
gets to see: the core grown by a halo of at least the reach, and cut at the image's edge.  Cores
cover the image without overlap.  Every window begins at a multiple of the stride, where the
network's coarse grids lie as they do in the whole image, so the pieces are not only seamless
but the same numbers as the whole, up to the last bits of float32.

::

    window ┌───────────────┐
           │  halo         │
           │   ┌───────┐   │
           │   │ core  │   │
           │   └───────┘   │
           └───────────────┘

What looks at the whole image (group norm, squeeze-and-excitation) has no finite reach: no halo
makes such a network's tiles exact, and :func:`halo_px` says so.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, cost, spec
from tapetum.errors import InputError

__all__ = ["Limits", "Run", "Tile", "Window", "copy_core", "halo_px", "plan_runs", "plan_tiles"]


class Window(NamedTuple):
    """A part of an image, in pixels; ``right`` and ``bottom`` are just outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def num_pixels(self) -> int:
        """Its area."""
        return (self.right - self.left) * (self.bottom - self.top)

    def holds(self, box: NDArray[np.float32]) -> bool:
        """Whether a box of shape (4,), left, top, right, bottom, lies inside."""
        left, top, right, bottom = (float(edge) for edge in box)
        inside = self.left <= left and right <= self.right
        return inside and self.top <= top and bottom <= self.bottom

    def cut(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """This part of an array of shape (..., h, w); a view."""
        return pixels[..., self.top : self.bottom, self.left : self.right]

    def shift(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes of shape (k, 4) of the image, as seen from this window."""
        return boxes - np.array([self.left, self.top, self.left, self.top], np.float32)


class Limits(NamedTuple):
    """What every window keeps to.

    Attributes:
        halo_px: By how much windows are larger than cores; a multiple of the stride.
        stride_px: Windows begin at multiples of this.
        max_pixels: The largest window.
    """

    halo_px: int
    stride_px: int
    max_pixels: int


class Tile(NamedTuple):
    """What the network sees and which part of its answer counts, both in the whole image."""

    window: Window
    core: Window


class Run(NamedTuple):
    """One run of the network.

    Attributes:
        window: What the network sees.
        core: Which part of the denoised window counts; None where only the boxes do.
        boxes: Indices of the boxes that are named in this run.
    """

    window: Window
    core: Window | None
    boxes: list[int]


class _Span(NamedTuple):
    """One tile along one side: what counts, inside what is seen."""

    window_start: int
    core_start: int
    core_end: int
    window_end: int


def halo_px(architecture: Architecture) -> int | None:
    """How far a window must reach beyond its core, a multiple of the stride.

    None where no halo is enough: where a layer on the way to the image looks at all of its
    places, and where a label of the whole image is all there is.

    Where boxes are named it is at least 1: a box that is narrower than its region is sampled up
    to half a place outside of it, and a sample between two places reads both.
    """
    if architecture.decoder is None:
        return _round_up(1, architecture.stride_px) if architecture.classifies_boxes else None
    blocks = [block for level in architecture.encoder for block in level.blocks]
    blocks += architecture.decoder.blocks
    blocks += [block for level in architecture.decoder.levels for block in level.blocks]
    if any(_sees_all(block) for block in (*blocks, architecture.decoder.output)):
        return None
    beside_box_px = 1 if architecture.classifies_boxes else 0
    return _round_up(cost.reach_px(architecture) + beside_box_px, architecture.stride_px)


def plan_tiles(height_px: int, width_px: int, limits: Limits) -> list[Tile]:
    """The tiling of least work whose windows keep the limits.

    Args:
        height_px: Of the image.
        width_px: Of the image.
        limits: What every window keeps to.

    Returns:
        Tiles in reading order; a single one where the image is within the limit.

    Raises:
        InputError: The limit leaves no room for a core beside its halo.
    """
    if height_px * width_px <= limits.max_pixels:
        whole = Window(0, 0, width_px, height_px)
        return [Tile(whole, whole)]
    core_height, core_width = _best_core(height_px, width_px, limits)
    return [
        Tile(
            Window(across.window_start, down.window_start, across.window_end, down.window_end),
            Window(across.core_start, down.core_start, across.core_end, down.core_end),
        )
        for down in _spans(height_px, core_height, limits.halo_px)
        for across in _spans(width_px, core_width, limits.halo_px)
    ]


def plan_runs(
    height_px: int,
    width_px: int,
    boxes: NDArray[np.float32] | None,
    limits: Limits,
    *,
    with_image: bool,
) -> list[Run]:
    """One run for each tile, and one for each box that no core holds whole.

    A box is named where the network sees it as it would in the whole image: in the tile whose
    core holds it, or else in a window of its own.

    Args:
        height_px: Of the image.
        width_px: Of the image.
        boxes: Shape (k, 4), in pixels; None where boxes are not named.
        limits: What every window keeps to.
        with_image: Whether tiles without boxes are needed at all.

    Raises:
        InputError: The limit leaves no room for a core, or for a box, beside its halo.
    """
    tiles = plan_tiles(height_px, width_px, limits)
    if boxes is None:
        return [Run(tile.window, tile.core, []) for tile in tiles]
    waiting = set(range(len(boxes)))
    runs = []
    for tile in tiles:
        held = sorted(index for index in waiting if tile.core.holds(boxes[index]))
        waiting.difference_update(held)
        if held or with_image:
            runs.append(Run(tile.window, tile.core, held))
    for index in sorted(waiting):
        window = _window_around(boxes[index], height_px, width_px, limits)
        runs.append(Run(window, None, [index]))
    return runs


def copy_core(
    whole: NDArray[np.float32], window: Window, core: Window, answer: NDArray[np.float32]
) -> None:
    """Writes what counts of one answer into the whole image.

    Args:
        whole: The image being put together, shape (c, h, w); changed in place.
        window: What the network saw.
        core: Which part of it counts.
        answer: What the network made of the window, shape (c, h', w').
    """
    inner = Window(
        core.left - window.left,
        core.top - window.top,
        core.right - window.left,
        core.bottom - window.top,
    )
    core.cut(whole)[...] = inner.cut(answer)


def _best_core(height_px: int, width_px: int, limits: Limits) -> tuple[int, int]:
    """Height and width of the cores that see the fewest pixels twice."""
    halo_px, stride_px, max_pixels = limits
    best: tuple[int, int, int] | None = None  # work in pixels, height, width
    for num_columns in range(1, -(-width_px // stride_px) + 1):
        width = _round_up(width_px / num_columns, stride_px)
        seen_px = min(width_px, width + 2 * halo_px)
        height = _longest_core(height_px, max_pixels // seen_px, limits)
        if height is None:
            continue
        repeats = (-(-height_px // height) - 1, -(-width_px // width) - 1)
        work = (height_px + 2 * halo_px * repeats[0]) * (width_px + 2 * halo_px * repeats[1])
        if best is None or work < best[0]:
            best = (work, height, width)
    if best is None:
        least_px = stride_px + 2 * halo_px
        needed = min(height_px, least_px) * min(width_px, least_px)
        raise InputError(
            f"tiles of at most {max_pixels:,} pixels leave no room beside a halo of {halo_px} px",
            f"raise the memory limit so that {needed:,} pixels fit",
        )
    return best[1], best[2]


def _longest_core(length_px: int, limit_px: int, limits: Limits) -> int | None:
    """The longest core whose windows are within the limit, evened out over the whole length."""
    if length_px <= limit_px:
        return _round_up(length_px, limits.stride_px)
    longest = _round_down(limit_px - 2 * limits.halo_px, limits.stride_px)
    if longest < limits.stride_px:
        return None
    count = -(-length_px // longest)
    return _round_up(length_px / count, limits.stride_px)


def _window_around(
    box: NDArray[np.float32], height_px: int, width_px: int, limits: Limits
) -> Window:
    """The least window that shows the network a box of shape (4,) as the whole image would."""
    halo_px, stride_px, max_pixels = limits
    left, top, right, bottom = box.tolist()
    window = Window(
        max(0, _round_down(left - halo_px, stride_px)),
        max(0, _round_down(top - halo_px, stride_px)),
        min(width_px, _round_up(right + halo_px, stride_px)),
        min(height_px, _round_up(bottom + halo_px, stride_px)),
    )
    if window.num_pixels > max_pixels:
        raise InputError(
            f"the box {[left, top, right, bottom]} needs {window.num_pixels:,} pixels at once, "
            f"above the limit of {max_pixels:,}",
            "raise the memory limit, or pass smaller boxes",
        )
    return window


def _spans(length_px: int, core_px: int, halo_px: int) -> Iterator[_Span]:
    for start in range(0, length_px, core_px):
        end = min(start + core_px, length_px)
        yield _Span(max(0, start - halo_px), start, end, min(length_px, end + halo_px))


def _sees_all(block: spec.Block) -> bool:
    if isinstance(block, spec.MaxPool):
        return False
    weighs = isinstance(block, spec.InvertedResidual) and block.squeeze_channels is not None
    return weighs or block.norm == "group"


def _round_down(length_px: float, multiple_px: int) -> int:
    return int(length_px // multiple_px) * multiple_px


def _round_up(length_px: float, multiple_px: int) -> int:
    return -_round_down(-length_px, multiple_px)
