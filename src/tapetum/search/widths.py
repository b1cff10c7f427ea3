"""Elasticity scaling: hidden widths that bring a network to its latency target.

After each epoch of a search, the network that would be chosen now (the most probable candidate of
each slot) is made as wide as the target allows.  First all slots are scaled by one factor, then
ever fewer of the later ones, until no slot can take one more step.  Widths stay on the grid of
their slot, and prices are those of the latency table.

References:
    TF-NAS (Hu, Wu, He, 2020), https://arxiv.org/abs/2008.05314
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from tapetum.arch import Candidate, Choice, Slot, Space
from tapetum.latency import LatencyTable

__all__ = ["Scaled", "nominal_widths", "scale_widths"]

Network = dict[str, Choice | None]


class Scaled(NamedTuple):
    """A network whose widths were scaled.

    Attributes:
        choices: The network.
        latency_ms: Predicted latency in milliseconds.
        ended: ``target`` if one more step would miss the target, ``narrowest`` if all widths are
            minimal and still above the target, ``widest`` if all are maximal and below it.
    """

    choices: Network
    latency_ms: float
    ended: Literal["target", "narrowest", "widest"]


def nominal_widths(space: Space) -> dict[str, dict[str, int]]:
    """Return the width on the grid nearest to the expansion of each candidate of each slot."""
    return {
        path: {candidate.name: _nominal(slot, candidate) for candidate in slot.candidates}
        for path, slot in space.slots.items()
    }


def scale_widths(
    table: LatencyTable, choices: Mapping[str, Choice | None], *, target_ms: float
) -> Scaled:
    """Scale the widths of a network to a latency target in milliseconds."""
    slots = table.space.slots
    grids = {
        path: slots[path].widths(slots[path].candidate(choice.candidate))
        for path, choice in choices.items()
        if choice
    }
    scaled, paths = dict(choices), list(grids)
    for start in range(len(paths)):
        scaled = _scale_together(table, scaled, paths[start:], grids, target_ms)
        if table.predict(scaled).median_ms > target_ms:
            return Scaled(scaled, table.predict(scaled).median_ms, "narrowest")
    for path in reversed(paths):
        scaled = _scale_together(table, scaled, [path], grids, target_ms)
    is_widest = all(_present(scaled, path).hidden_channels == grids[path][-1] for path in paths)
    return Scaled(scaled, table.predict(scaled).median_ms, "widest" if is_widest else "target")


def _scale_together(
    table: LatencyTable,
    choices: Network,
    paths: Sequence[str],
    grids: Mapping[str, range],
    target_ms: float,
) -> Network:
    """Multiply some widths by the largest factor within the target, or by the smallest."""
    present = {path: _present(choices, path).hidden_channels for path in paths}
    factors = sorted({width / present[path] for path in paths for width in grids[path]})
    # Latency rises with the factor, so bisection finds the last one within the target.
    place = bisect_right(
        factors,
        target_ms,
        key=lambda factor: table.predict(_times(choices, paths, grids, factor)).median_ms,
    )
    return _times(choices, paths, grids, factors[max(place - 1, 0)])


def _times(
    choices: Network, paths: Sequence[str], grids: Mapping[str, range], factor: float
) -> Network:
    """Return the network with some widths times a factor, rounded down to their grids."""
    scaled = dict(choices)
    for path in paths:
        choice, grid = _present(choices, path), grids[path]
        wanted = factor * choice.hidden_channels + 1e-6
        width = max((step for step in grid if step <= wanted), default=grid[0])
        scaled[path] = choice.model_copy(update={"hidden_channels": width})
    return scaled


def _nominal(slot: Slot, candidate: Candidate) -> int:
    nominal = candidate.expansion * slot.in_channels
    return min(slot.widths(candidate), key=lambda width: abs(width - nominal))


def _present(choices: Network, path: str) -> Choice:
    choice = choices[path]
    assert choice is not None  # noqa: S101  (only slots that are there have a grid)
    return choice
