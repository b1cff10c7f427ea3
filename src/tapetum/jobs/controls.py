"""Networks that no search has looked for: what a found one must beat at the same latency."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from tapetum.arch import Choice, Space
from tapetum.latency import LatencyTable
from tapetum.search import widths

__all__ = ["CONTROLS", "Control", "control"]

Control = Literal["random", "uniform"]
CONTROLS: tuple[Control, ...] = ("random", "uniform")
NUM_DRAWS = 200  # random networks, at most, until one can be made as slow by its widths


def control(
    kind: Control, table: LatencyTable, *, limit_ms: float, seed: int
) -> dict[str, Choice | None]:
    """A network as slow as another one, by the table.

    Args:
        kind: ``random``, or ``uniform``: one operator everywhere, as wide as allowed.
        table: Prices the space.
        limit_ms: What it may take; its widths are scaled to use it.
        seed: Of the random one.
    """
    drawn = _uniform(table.space) if kind == "uniform" else _random(table.space, seed)
    tried = []
    for choices in drawn:
        tried.append(widths.scale_widths(table, choices, target_ms=limit_ms))
        if tried[-1].ended == "target":
            return tried[-1].choices
    # None can be made as slow: the one that comes nearest, and rather quicker than slower.
    return min(
        tried, key=lambda one: (one.latency_ms > limit_ms, abs(one.latency_ms - limit_ms))
    ).choices


def _uniform(space: Space) -> Iterator[dict[str, Choice | None]]:
    """The first operator everywhere, then the second, and so on."""
    nominal = widths.nominal_widths(space)
    for number in range(max(len(slot.candidates) for slot in space.slots.values())):
        names = {
            path: slot.candidates[min(number, len(slot.candidates) - 1)].name
            for path, slot in space.slots.items()
        }
        yield {
            path: Choice(candidate=name, hidden_channels=nominal[path][name])
            for path, name in names.items()
        }


def _random(space: Space, seed: int) -> Iterator[dict[str, Choice | None]]:
    generator = np.random.default_rng(seed)
    for _ in range(NUM_DRAWS):
        yield space.random(generator)
