"""Elasticity scaling: hidden widths that bring a network to its latency target.

After each epoch that trained the alphas, the network that would be chosen now (the most probable
candidate of each slot) is made as wide as the target allows.  First all slots are scaled by one
factor, then ever fewer of the later ones, until no slot can take one more step.  Widths stay on the
grid of their slot, and prices are those of the latency table.

The published search scales no other candidate.  A network of narrow candidates is then widened to
the target while the wide candidates keep their widths, so the expected latency stays above the
target until the alphas are certain.  Here the other candidates of a slot get a width of about the
same latency, such that the expected latency meets the target (:func:`scale_candidates`).  Where the
alphas are certain, both ways are the same.

References:
    TF-NAS (Hu, Wu, He, 2020), https://arxiv.org/abs/2008.05314
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tapetum.arch import Candidate, Choice, Slot, Space
from tapetum.latency import LatencyTable

__all__ = ["Scaled", "nominal_widths", "scale_candidates", "scale_widths"]

Network = dict[str, Choice | None]
Ended = Literal["target", "narrowest", "widest", "unscaled"]
CandidateWidths = dict[str, dict[str, int]]

HALVINGS = 9  # of an interval, until its end is near enough
LARGEST_RATIO = 8.0  # of the latency of a candidate and of the likeliest one of its slot


class Scaled(NamedTuple):
    """A network whose widths were scaled.

    Attributes:
        choices: The network.
        latency_ms: Predicted latency in milliseconds.
        ended: ``target`` if one more step would miss the target, ``narrowest`` if all widths are
            minimal and still above the target, ``widest`` if all are maximal and below it,
            ``unscaled`` if widths were left as they are.
    """

    choices: Network
    latency_ms: float
    ended: Ended


def nominal_widths(space: Space) -> CandidateWidths:
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


def scale_candidates(
    table: LatencyTable,
    likeliest: Mapping[str, Choice | None],
    expected_ms: Callable[[CandidateWidths], float],
    *,
    target_ms: float,
) -> tuple[Scaled, CandidateWidths]:
    """Scale every candidate of every slot to a latency target.

    Args:
        table: Prices of all candidates.
        likeliest: The most probable candidate of each slot, or ``None`` if it is left out.
        expected_ms: Returns the expected latency for the width of each candidate.
        target_ms: Latency target in milliseconds.

    Returns:
        The likeliest network and the width of each candidate.  The expected latency is near the
        target, as far as widths allow; that of the likeliest network is not above it, either.
    """

    def at(limit_ms: float, ratio: float) -> tuple[Scaled, CandidateWidths]:
        scaled = scale_widths(table, likeliest, target_ms=limit_ms)
        return scaled, _of_similar_latency(table, scaled.choices, ratio)

    def is_within(limit_ms: float, ratio: float) -> bool:
        return expected_ms(at(limit_ms, ratio)[1]) <= target_ms

    limit_ms = _last(lambda ms: is_within(ms, 1), table.range.fastest_ms, target_ms)
    return at(limit_ms, _last(lambda ratio: is_within(limit_ms, ratio), 1, LARGEST_RATIO))


def _last(is_within: Callable[[float], bool], low: float, high: float) -> float:
    """Return nearly the largest number that is within, or ``low`` if none is."""
    if is_within(high):
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_within(middle) else (low, middle)
    return low


def _of_similar_latency(table: LatencyTable, network: Network, ratio: float) -> CandidateWidths:
    """Return the widest width of each candidate whose latency is within that of the slot's choice.

    Args:
        table: Prices of all candidates.
        network: The choices, whose widths stay.
        ratio: Latency of the others, relative to that of the choice.  Candidates of a slot that is
            left out keep the width of their expansion.
    """
    widths = nominal_widths(table.space)
    for path, choice in network.items():
        if choice is None:
            continue
        slot, prices = table.space.slots[path], table.prices[path]
        limit_ms = ratio * prices[choice] + 1e-9
        for name in widths[path]:
            grid = slot.widths(slot.candidate(name))
            place = bisect_right(
                grid,
                limit_ms,
                key=lambda width: prices[Choice(candidate=name, hidden_channels=width)],
            )
            widths[path][name] = grid[max(place - 1, 0)]
        widths[path][choice.candidate] = choice.hidden_channels
    return widths


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
