"""Large pictures in pieces: windows that overlap by what the network can see.

A pixel of the cleaned picture depends on the noisy one only within the network's reach.  A tile
is therefore a *core*, the part whose result is kept, inside a *window*, the part that the network
gets to see: the core grown by a halo of at least the reach, and cut at the picture's edge.  Cores
cover the picture without overlap.  Every window begins at a multiple of the stride, where the
network's coarse grids lie as they do in the whole picture, so the pieces are not only seamless
but the same numbers as the whole, up to the last bits of float32.

::

    window ┌───────────────┐
           │  halo         │
           │   ┌───────┐   │
           │   │ core  │   │
           │   └───────┘   │
           └───────────────┘

A normalisation over the whole picture (group norm) has no finite reach: no halo makes such a
network's tiles exact, and :func:`halo_px` says so.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.arch.cost import reach_px
from tapetum.arch.spec import Architecture, Block, MaxPool
from tapetum.errors import InputError

__all__ = ["Tile", "Window", "halo_px", "join_cores", "plan_tiles", "window_around"]


class Window(NamedTuple):
    """A part of a picture, in pixels; ``right`` and ``bottom`` are just outside of it."""

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
        left, top, right, bottom = box.tolist()
        return (
            self.left <= left
            and self.top <= top
            and right <= self.right
            and bottom <= self.bottom
        )

    def cut(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """This part of an array of shape (..., h, w); a view."""
        return pixels[..., self.top : self.bottom, self.left : self.right]

    def shift(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes of shape (k, 4) of the picture, as seen from this window."""
        return boxes - np.array([self.left, self.top, self.left, self.top], np.float32)


class Tile(NamedTuple):
    """What the network sees and which part of its answer counts, both in the whole picture."""

    window: Window
    core: Window


class _Span(NamedTuple):
    """One tile along one side: what counts, inside what is seen."""

    window_start: int
    core_start: int
    core_end: int
    window_end: int


def halo_px(architecture: Architecture) -> int | None:
    """How far a window must reach beyond its core, a multiple of the stride.

    None where no halo is enough: where a layer on the way to the picture normalises over all
    places, and where a label of the whole picture is all there is.
    """
    if architecture.decoder is None:
        return 0 if architecture.names_boxes else None
    blocks = [block for level in architecture.encoder for block in level.blocks]
    blocks += [block for level in architecture.decoder.levels for block in level.blocks]
    if any(_sees_all(block) for block in (*blocks, architecture.decoder.output)):
        return None
    return _round_up(reach_px(architecture), architecture.stride_px)


def plan_tiles(
    height_px: int, width_px: int, *, halo_px: int, stride_px: int, max_pixels: int
) -> list[Tile]:
    """The tiling of least work whose windows keep a limit.

    Args:
        height_px: Of the picture.
        width_px: Of the picture.
        halo_px: By how much windows are larger than cores; a multiple of the stride.
        stride_px: Cores begin at multiples of this.
        max_pixels: The largest window.

    Returns:
        Tiles in reading order; a single one where the picture is within the limit.

    Raises:
        InputError: The limit leaves no room for a core beside its halo.
    """
    best: tuple[int, int, int] | None = None  # work in pixels, height and width of a core
    for num_columns in range(1, -(-width_px // stride_px) + 1):
        core_width = _round_up(-(-width_px // num_columns), stride_px)
        seen_width = min(width_px, core_width + 2 * halo_px)
        core_height = _largest_core(height_px, max_pixels // seen_width, halo_px, stride_px)
        if core_height is None:
            continue
        rows = -(-height_px // core_height)
        columns = -(-width_px // core_width)
        work = (height_px + 2 * halo_px * (rows - 1)) * (width_px + 2 * halo_px * (columns - 1))
        if best is None or work < best[0]:
            best = (work, core_height, core_width)
    if best is None:
        least = min(height_px, stride_px + 2 * halo_px) * min(width_px, stride_px + 2 * halo_px)
        raise InputError(
            f"tiles of at most {max_pixels:,} pixels leave no room beside a halo of {halo_px} px",
            f"raise the memory limit so that {least:,} pixels fit",
        )
    return [
        Tile(
            Window(across.window_start, down.window_start, across.window_end, down.window_end),
            Window(across.core_start, down.core_start, across.core_end, down.core_end),
        )
        for down in _spans(height_px, best[1], halo_px)
        for across in _spans(width_px, best[2], halo_px)
    ]


def window_around(
    box: NDArray[np.float32], height_px: int, width_px: int, *, halo_px: int, stride_px: int
) -> Window:
    """The least window that shows the network a box of shape (4,) as the whole picture would."""
    left, top, right, bottom = box.tolist()
    return Window(
        max(0, _round_down(left - halo_px, stride_px)),
        max(0, _round_down(top - halo_px, stride_px)),
        min(width_px, _round_up(right + halo_px, stride_px)),
        min(height_px, _round_up(bottom + halo_px, stride_px)),
    )


def join_cores(
    pieces: Iterable[tuple[Tile, NDArray[np.float32]]], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """The whole picture of shape (c, h, w) from the network's answer to each window.

    Args:
        pieces: Tiles that cover the picture, each with the answer to its window, (c, h', w').
        shape: Channels, height and width of the whole.
    """
    whole = np.empty(shape, np.float32)
    for (window, core), answer in pieces:
        inner = Window(
            core.left - window.left,
            core.top - window.top,
            core.right - window.left,
            core.bottom - window.top,
        )
        core.cut(whole)[...] = inner.cut(answer)
    return whole


def _largest_core(length_px: int, limit_px: int, halo_px: int, stride_px: int) -> int | None:
    """The longest core whose windows are within the limit, evened out over the whole length."""
    if length_px <= limit_px:
        return _round_up(length_px, stride_px)
    longest = _round_down(limit_px - 2 * halo_px, stride_px)
    if longest < stride_px:
        return None
    count = -(-length_px // longest)
    return _round_up(-(-length_px // count), stride_px)


def _spans(length_px: int, core_px: int, halo_px: int) -> Iterator[_Span]:
    for start in range(0, length_px, core_px):
        end = min(start + core_px, length_px)
        yield _Span(max(0, start - halo_px), start, end, min(length_px, end + halo_px))


def _sees_all(block: Block) -> bool:
    return not isinstance(block, MaxPool) and block.norm == "group"


def _round_down(length_px: float, multiple_px: int) -> int:
    return int(length_px // multiple_px) * multiple_px


def _round_up(length_px: float, multiple_px: int) -> int:
    return -_round_down(-length_px, multiple_px)
