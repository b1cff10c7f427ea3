"""Time the winner of a race once more before its training, and correct its width if it drifted.

Latency does not depend on the weights, but the speed of a machine drifts. The winner was timed
before the race; where it has left the budget since, it is timed taking turns with its neighbours in
width and depth, and the one nearest to the aim is trained.
"""

import math
from collections.abc import Sequence

from tapetum.arch import Shape, nearby
from tapetum.jobs.match import NEAR, Matched
from tapetum.latency import Budget, TimedShapes, TimeNetworks, Timing
from tapetum.records import Record

__all__ = ["MatchedShape", "match_known", "match_shape"]

NUM_NEIGHBOURS, NUM_ROUNDS, NUM_TRIES = 5, 6, 3


class Attempt(Record):
    """A shape and its latency, with what the budget includes."""

    shape: Shape
    timing: Timing


class MatchedShape(Matched[Attempt]):
    """The shape that will be trained."""


def match_shape(
    timed: TimedShapes,
    time: TimeNetworks,
    shape: Shape,
    target_ms: float,
    *,
    largest_ms: float = math.inf,
    keeps: bool = False,
) -> MatchedShape:
    """Time a shape, and its neighbours where it does not keep the target.

    Args:
        timed: What was timed before.
        time: Times networks.
        shape: The shape.
        target_ms: The latency that it should have.
        largest_ms: Latency of the largest useful network: a shape as large as that stays as it is.
        keeps: Whether the shape stays as it is in any case.
    """
    space = timed.space

    def time_all(shapes: Sequence[Shape]) -> list[Attempt]:
        timings = time([space.architecture(one) for one in shapes], num_rounds=NUM_ROUNDS)
        return [Attempt(shape=one, timing=it) for one, it in zip(shapes, timings, strict=True)]

    attempts, last = time_all([shape]), 0
    if largest_ms < NEAR[0] * target_ms:
        note = f"the largest useful network takes {largest_ms:.3g} ms"
        return MatchedShape(target_ms=target_ms, attempts=tuple(attempts), chosen=0, note=note)
    while attempts[-1].timing.median_ms > NEAR[1] * target_ms and len(attempts) < NUM_TRIES:
        attempts += time_all([shape])  # others only make it slower, so the fastest counts
    for _ in range(0 if keeps else NUM_TRIES):
        best = attempts[_best(attempts, target_ms, last)]
        if NEAR[0] <= best.timing.median_ms / target_ms <= NEAR[1]:
            break
        others = _neighbours(timed, attempts, best, target_ms)
        if not others:
            break
        last = len(attempts)  # what took turns is compared
        attempts += time_all([best.shape, *others])
    chosen = _best(attempts, target_ms, last)
    ratio = attempts[chosen].timing.median_ms / target_ms
    note = ""
    if ratio > 1 + Budget.TOLERANCE:
        note = "no network that was timed keeps it"
    elif ratio < 1 - Budget.BELOW:
        larger = [one for one in attempts if one.shape != attempts[chosen].shape]
        note = _why_below([] if keeps else larger, target_ms, space.width_step)
    return MatchedShape(target_ms=target_ms, attempts=tuple(attempts), chosen=chosen, note=note)


def match_known(timed: TimedShapes, shape: Shape, target_ms: float) -> MatchedShape:
    """Return a shape that was timed on another device, as it is."""
    timing = timed.find(shape)
    assert timing is not None  # noqa: S101  (only such shapes are proposed)
    ratio, note = timing.median_ms / target_ms, ""
    if ratio > 1 + Budget.TOLERANCE:
        note = "no network that was timed on the device keeps it"
    elif ratio < 1 - Budget.BELOW:
        note = "no better network that was timed on the device uses more of it"
    attempts = (Attempt(shape=shape, timing=timing),)
    return MatchedShape(target_ms=target_ms, attempts=attempts, chosen=0, note=note)


def _why_below(others: Sequence[Attempt], target_ms: float, width_step: int) -> str:
    """Say which of the other networks is the next larger one, where one exceeds the target."""
    times = [one.timing.median_ms for one in others]
    above = [ms for ms in times if ms > (1 + Budget.TOLERANCE) * target_ms]
    if not above:
        return "no other network that was timed uses more of it"
    return (
        f"the next larger network that was timed takes {min(above):.3g} ms, since channel counts "
        f"are multiples of {width_step}"
    )


def _neighbours(
    timed: TimedShapes, attempts: Sequence[Attempt], best: Attempt, target_ms: float
) -> list[Shape]:
    """Return untried shapes near the aim that resemble the best attempt, of different latency.

    The model learns from all attempts, by how much the machine has drifted since the winner of the
    race was timed.
    """
    winner, now_ms = attempts[0].shape, {one.shape: one.timing.median_ms for one in attempts}
    before = timed.find(winner)
    before_ms = timed.predictor()(winner) if before is None else before.median_ms
    drift = now_ms[winner] / before_ms
    predict = timed.predictor({shape: ms / drift for shape, ms in now_ms.items()})
    correction = best.timing.median_ms / predict(best.shape)
    found = nearby(
        timed.space,
        best.shape,
        lambda one: correction * predict(one),
        Budget.AIM * target_ms,
        most_ms=target_ms,
        count=4 * NUM_NEIGHBOURS,
        without=now_ms,
    )
    # Of those that are predicted alike, one tells enough.
    different = {round(200 * correction * predict(one) / target_ms): one for one in found[::-1]}
    return [one for one in found if one in different.values()][:NUM_NEIGHBOURS]


def _best(attempts: Sequence[Attempt], target_ms: float, first: int) -> int:
    """Return the index of the attempt that keeps and uses the target best, or of the fastest.

    Those up to the target come before those within the tolerance above it, and these before those
    that leave too much of it. Attempts before ``first`` do not count.
    """
    ratios = {
        index: attempts[index].timing.median_ms / target_ms for index in range(first, len(attempts))
    }
    keeps = [index for index, ratio in ratios.items() if ratio <= 1 + Budget.TOLERANCE]
    if not keeps:
        return min(ratios, key=ratios.__getitem__)

    def order(index: int) -> tuple[bool, bool, float]:
        ratio = ratios[index]
        return ratio < 1 - Budget.BELOW, ratio > 1, abs(ratio - Budget.AIM)

    return min(keeps, key=order)
