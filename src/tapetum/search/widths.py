"""Elasticity scaling: hidden widths that bring a network to its target.

After each epoch of a search the network that would be delivered now (the likeliest candidate of
each slot) is made as wide as the target allows, or as narrow as it demands: first all slots
together by one factor, then ever fewer of the later ones, until no slot can take one step more.
Widths stay on the grid of their slot, and prices are those of the latency table.

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
        latency_ms: What the table predicts for it.
        ended: At the ``target`` (not one step more would keep it), or because everything is at its
            ``narrowest``, still above the target, or at its ``widest``, still below.
    """

    choices: Network
    latency_ms: float
    ended: Literal["target", "narrowest", "widest"]


def nominal_widths(space: Space) -> dict[str, dict[str, int]]:
    """For each candidate of each slot the width on the grid that is nearest to its expansion."""
    return {
        path: {candidate.name: _nominal(slot, candidate) for candidate in slot.candidates}
        for path, slot in space.slots.items()
    }


def scale_widths(
    table: LatencyTable, choices: Mapping[str, Choice | None], *, target_ms: float
) -> Scaled:
    """Brings a network as near to a target as its widths can.

    Args:
        table: Prices the network.
        choices: The network.
        target_ms: Predicted latency, at most.
    """
    grids = {path: _grid(table.space, path, choice) for path, choice in choices.items() if choice}
    found = dict(choices)
    paths = list(grids)
    for start in range(len(paths)):
        found = _scale_together(table, found, paths[start:], grids, target_ms)
        if table.predict(found).median_ms > target_ms:
            return Scaled(found, table.predict(found).median_ms, "narrowest")
    for path in reversed(paths):
        found = _scale_together(table, found, [path], grids, target_ms)
    is_widest = all(_width(found, path) == grids[path][-1] for path in paths)
    return Scaled(found, table.predict(found).median_ms, "widest" if is_widest else "target")


def _scale_together(
    table: LatencyTable,
    choices: Network,
    paths: Sequence[str],
    grids: Mapping[str, range],
    target_ms: float,
) -> Network:
    """The widths of some slots times the largest factor that keeps the target, or the smallest."""
    factors = sorted({width / _width(choices, path) for path in paths for width in grids[path]})
    # Latency rises with the factor, so the last one that keeps the target is found by halving.
    place = bisect_right(
        factors,
        target_ms,
        key=lambda factor: table.predict(_times(choices, paths, grids, factor)).median_ms,
    )
    return _times(choices, paths, grids, factors[max(place - 1, 0)])


def _times(
    choices: Network, paths: Sequence[str], grids: Mapping[str, range], factor: float
) -> Network:
    """The network with some widths times a factor, rounded down to their grids."""
    found = dict(choices)
    for path in paths:
        choice, grid = choices[path], grids[path]
        assert choice is not None  # noqa: S101  (only slots that are there have a grid)
        wanted = factor * choice.hidden_channels + 1e-6
        width = max((one for one in grid if one <= wanted), default=grid[0])
        found[path] = choice.model_copy(update={"hidden_channels": width})
    return found


def _nominal(slot: Slot, candidate: Candidate) -> int:
    nominal = candidate.expansion * slot.in_channels
    return min(slot.widths(candidate), key=lambda width: abs(width - nominal))


def _grid(space: Space, path: str, choice: Choice) -> range:
    slot = space.slots[path]
    return slot.widths(slot.candidate(choice.candidate))


def _width(choices: Network, path: str) -> int:
    choice = choices[path]
    assert choice is not None  # noqa: S101  (only slots that are there have a grid)
    return choice.hidden_channels
