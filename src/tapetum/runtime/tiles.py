"""Cut large images into windows that overlap by the reach of the network.

A pixel of the denoised image depends on the noisy one only within the network's reach. A tile is a
*core*, whose result is kept, inside a *window*, which the network sees. The window is the core
grown by a halo of at least the reach, and cut at the edge of the image. Cores cover the image
without overlap. Every window begins at a multiple of the stride, where the network's coarse grids
lie as in the whole image. The result is therefore that of the whole image, up to the last bits of
float32.

A layer that sees the whole image (group norm, squeeze-and-excitation) has no finite reach: no halo
makes the tiles of such a network exact, and :func:`halo_px` returns None.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, cost, spec
from tapetum.errors import InputError

__all__ = ["Limits", "Run", "Window", "copy_core", "halo_px", "plan_runs", "plan_tiles"]


class Window(NamedTuple):
    """A part of an image, in pixels; ``right`` and ``bottom`` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def num_pixels(self) -> int:
        """The area in pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    def holds(self, box: NDArray[np.float32]) -> bool:
        """Whether a box of shape (4,), left, top, right, bottom, lies inside."""
        left, top, right, bottom = (float(edge) for edge in box)
        inside = self.left <= left and right <= self.right
        return inside and self.top <= top and bottom <= self.bottom

    def cut(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return this part of an array of shape (..., h, w), as a view."""
        return pixels[..., self.top : self.bottom, self.left : self.right]

    def shift(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return boxes of shape (k, 4) of the image in the coordinates of this window."""
        return boxes - np.array([self.left, self.top, self.left, self.top], np.float32)


class Limits(NamedTuple):
    """The limits of every window.

    Attributes:
        halo_px: Margin of a window around its core; a multiple of the stride.
        stride_px: Windows begin at multiples of this.
        max_pixels: The largest area of a window.
    """

    halo_px: int
    stride_px: int
    max_pixels: int


class Run(NamedTuple):
    """One run of the network on a window.

    Attributes:
        window: The part that the network sees.
        core: The part to keep; None where only boxes are classified.
        boxes: Indices of the boxes that this run classifies.
    """

    window: Window
    core: Window | None
    boxes: list[int]


def halo_px(architecture: Architecture) -> int | None:
    """Return the margin of a window around its core, a multiple of the stride.

    It is None where no halo is enough: a layer on the way to the image sees all of it, or the only
    output is a label of the whole image. For boxes it is at least 1, since a narrow box is sampled
    up to half a place outside of it.
    """
    if architecture.decoder is None:
        return _round_up(1, architecture.stride_px) if architecture.classifies_boxes else None
    blocks = [block for level in architecture.encoder for block in level.blocks]
    blocks += architecture.decoder.blocks
    blocks += [block for level in architecture.decoder.levels for block in level.blocks]
    output = architecture.decoder.output
    if any(_sees_all(block) for block in blocks) or (output is not None and _sees_all(output)):
        return None
    margin_px = 1 if architecture.classifies_boxes else 0
    return _round_up(cost.reach_px(architecture) + margin_px, architecture.stride_px)


def plan_tiles(height_px: int, width_px: int, limits: Limits) -> list[tuple[Window, Window]]:
    """Return tiles of least work within the limits, in reading order: windows with their cores."""
    if height_px * width_px <= limits.max_pixels:
        whole = Window(0, 0, width_px, height_px)
        return [(whole, whole)]
    core_height, core_width = _best_core(height_px, width_px, limits)
    cores = [
        Window(left, top, min(left + core_width, width_px), min(top + core_height, height_px))
        for top in range(0, height_px, core_height)
        for left in range(0, width_px, core_width)
    ]
    return [(_grown(core, height_px, width_px, limits), core) for core in cores]


def plan_runs(
    height_px: int,
    width_px: int,
    boxes: NDArray[np.float32] | None,
    limits: Limits,
    *,
    with_image: bool,
) -> list[Run]:
    """Return one run for each tile, and one for each box that no core contains.

    So the network sees each box as in the whole image. Tiles without boxes are for the image alone.
    """
    tiles = plan_tiles(height_px, width_px, limits)
    if boxes is None:
        return [Run(window, core, []) for window, core in tiles]
    waiting = set(range(len(boxes)))
    runs = []
    for window, core in tiles:
        held = sorted(index for index in waiting if core.holds(boxes[index]))
        waiting.difference_update(held)
        if held or with_image:
            runs.append(Run(window, core, held))
    for index in sorted(waiting):
        window = _window_around(boxes[index], height_px, width_px, limits)
        runs.append(Run(window, None, [index]))
    return runs


def copy_core(
    whole: NDArray[np.float32], window: Window, core: Window, answer: NDArray[np.float32]
) -> None:
    """Copy the core of ``answer``, the output for a window, to its place in the whole image."""
    left, top = core.left - window.left, core.top - window.top
    inner = Window(left, top, left + core.right - core.left, top + core.bottom - core.top)
    core.cut(whole)[...] = inner.cut(answer)


def _best_core(height_px: int, width_px: int, limits: Limits) -> tuple[int, int]:
    """Return height and width of the cores that process the fewest pixels twice."""
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
            f"tiles of at most {max_pixels:,} pixels leave no room next to a halo of {halo_px} px",
            f"raise the memory limit so that {needed:,} pixels fit",
        )
    return best[1], best[2]


def _longest_core(length_px: int, limit_px: int, limits: Limits) -> int | None:
    """Return the longest core whose windows keep the limits, evened out over the length."""
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
    """Return the smallest window that shows a box of shape (4,) as the whole image would."""
    window = _grown(box.tolist(), height_px, width_px, limits)
    if window.num_pixels > limits.max_pixels:
        raise InputError(
            f"the box {box.tolist()} needs {window.num_pixels:,} pixels at once, "
            f"above the limit of {limits.max_pixels:,}",
            "raise the memory limit, or pass smaller boxes",
        )
    return window


def _grown(part: Sequence[float], height_px: int, width_px: int, limits: Limits) -> Window:
    """Return the window of a part of the image: its halo around it, from stride to stride."""
    left, top, right, bottom = part
    halo_px, stride_px, _ = limits
    return Window(
        max(0, _round_down(left - halo_px, stride_px)),
        max(0, _round_down(top - halo_px, stride_px)),
        min(width_px, _round_up(right + halo_px, stride_px)),
        min(height_px, _round_up(bottom + halo_px, stride_px)),
    )


def _sees_all(block: spec.Block) -> bool:
    if isinstance(block, spec.MaxPool):
        return False
    if isinstance(block, spec.Expanding):
        return block.squeeze_channels is not None or block.norm == "group"
    return block.norm == "group"


def _round_down(length_px: float, multiple_px: int) -> int:
    return int(length_px // multiple_px) * multiple_px


def _round_up(length_px: float, multiple_px: int) -> int:
    return -_round_down(-length_px, multiple_px)
