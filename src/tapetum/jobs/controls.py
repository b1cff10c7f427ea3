"""Controls: architectures of the same latency that were not searched."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from tapetum.arch import Choice, Space
from tapetum.latency import LatencyTable
from tapetum.search import widths

__all__ = ["CONTROLS", "Control", "control"]

Control = Literal["random", "uniform"]
CONTROLS: tuple[Control, ...] = ("random", "uniform")
NUM_DRAWS = 200  # random architectures to try until widths can bring one to the latency


def control(
    kind: Control, table: LatencyTable, *, limit_ms: float, seed: int
) -> dict[str, Choice | None]:
    """Return the choices of an architecture of a given latency by the table.

    Args:
        kind: ``random``, or ``uniform`` (the same operator in every slot).
        table: The prices of the space.
        limit_ms: The highest latency, in milliseconds; widths are scaled to use it.
        seed: Random seed of a random architecture.
    """
    drawn = _uniform(table.space) if kind == "uniform" else _random(table.space, seed)
    tried = []
    for choices in drawn:
        tried.append(widths.scale_widths(table, choices, target_ms=limit_ms))
        if tried[-1].ended == "target":
            return tried[-1].choices
    # No widths reach the latency: take the nearest architecture, one below the limit first.
    return min(
        tried, key=lambda best: (best.latency_ms > limit_ms, abs(best.latency_ms - limit_ms))
    ).choices


def _uniform(space: Space) -> Iterator[dict[str, Choice | None]]:
    """Yield the first operator in every slot, then the second, and so on."""
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
