"""Measure what latencies the shapes of a space span, and refuse those that none of them has."""

import math

import numpy as np

from tapetum.arch import Shape, ShapeSpace, cost
from tapetum.errors import InputError
from tapetum.latency import TimedShapes, TimeNetworks
from tapetum.progress import ProgressCallback, rounded, silent
from tapetum.records import Record

__all__ = ["FeasibleRange", "feasible_range", "refusal"]

NUM_RUNGS = 10  # shapes of the feasible range


class FeasibleRange(Record):
    """The measured latencies that the shapes of a space span.

    Attributes:
        fastest_ms: Latency of the smallest shape.
        slowest_ms: Latency of the largest shape that was timed.
        is_whole: Whether that is the largest of the space; else larger ones were not timed.
        num_timed: Number of shapes that were timed.
    """

    fastest_ms: float
    slowest_ms: float
    is_whole: bool
    num_timed: int

    def __str__(self) -> str:
        open_end = "" if self.is_whole else "at least "
        return f"{rounded(self.fastest_ms)} to {open_end}{self.slowest_ms:.3g} ms"


def feasible_range(
    timed: TimedShapes,
    time: TimeNetworks,
    *,
    longest_ms: float = math.inf,
    progress: ProgressCallback = silent,
) -> tuple[FeasibleRange, TimedShapes]:
    """Time about ten shapes, from the smallest up.

    Args:
        timed: What was timed before; shapes that are known are not timed again.
        time: Times networks.
        longest_ms: Where to stop: larger networks are not timed.
        progress: Receives each shape.

    Returns:
        The range, and all that was timed.
    """
    rungs = _rungs(timed.space)
    for done, shape in enumerate(rungs, start=1):
        timed = timed.timed([shape], time)
        last = timed.find(shape)
        assert last is not None  # noqa: S101  (it was timed just now)
        progress(
            done,
            len(rungs),
            f"timing small to large, the last took {last.median_ms:.3g} ms, in at most networks",
        )
        if last.median_ms > longest_ms:
            break
    known = [one.median_ms for shape in rungs if (one := timed.find(shape)) is not None]
    found = FeasibleRange(
        fastest_ms=min(known),
        slowest_ms=max(known),
        is_whole=timed.find(rungs[-1]) is not None,
        num_timed=len(known),
    )
    return found, timed


def _rungs(space: ShapeSpace) -> list[Shape]:
    """Return about ten shapes from the smallest to the largest: those of the scaling rule."""
    smallest, largest = space.smallest(), space.largest()
    size = (space.size_px, space.size_px)
    ends = [cost.multiply_adds(space.architecture(one), *size) for one in (smallest, largest)]
    between = [space.rule(float(some)) for some in np.geomspace(ends[0], ends[1], NUM_RUNGS)[1:-1]]
    return list(dict.fromkeys([smallest, *between, largest]))


def refusal(timed: TimedShapes, span: FeasibleRange, target_ms: float) -> InputError:
    """Return the error of a target that no network meets, with one that the smallest meets."""
    conditions = timed.conditions
    return InputError(
        f"no network meets {target_ms:g} ms: the smallest one takes {span.fastest_ms:.3g} ms for "
        f"images of {conditions.width_px} px ({conditions})",
        f"ask for {rounded(1.05 * span.fastest_ms)} ms or more, or use smaller images",
    )
