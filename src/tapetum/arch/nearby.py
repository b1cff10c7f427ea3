"""Find the shapes that are nearest to a latency and most similar to a given one.

A prediction of a latency decides, so what is found is timed afterwards. First the widths are scaled
together. Then up to three single steps are combined: one level wider and another narrower, a block
more and a width less. The effects of single steps nearly add up, so that each is predicted once,
their combinations are ranked by the sums, and only the best ones are predicted whole.
"""

from collections.abc import Callable, Collection
from itertools import combinations_with_replacement

import numpy as np

from tapetum.arch.distance import distance
from tapetum.arch.shape import Shape
from tapetum.arch.shapes import ShapeSpace
from tapetum.arch.steps import stepped, steps_from

__all__ = ["nearby"]

FAR = 0.1  # from the aim: a shape that is farther is scaled first
MOST_STEPS = 3
MISS = 5.0  # units of distance for one of relative latency: 2 % off count as much as two blocks
NUM_PREDICTED = 6  # combinations of each number of steps that are predicted whole, besides `count`


def nearby(
    space: ShapeSpace,
    shape: Shape,
    predict: Callable[[Shape], float],
    aim_ms: float,
    *,
    most_ms: float,
    count: int = 1,
    without: Collection[Shape] = (),
) -> list[Shape]:
    """Return shapes near a latency, the best first.

    Args:
        space: The space of the shapes.
        shape: The shape that they should resemble.
        predict: Predicts latencies.
        aim_ms: The latency, in milliseconds.
        most_ms: The highest predicted latency.
        count: The number of shapes, at most.
        without: Shapes that are not returned.
    """
    start = shape
    if abs(predict(shape) / aim_ms - 1) > FAR:
        start = space.scaled_to(shape, predict, aim_ms, most_ms=most_ms)
    single = steps_from(space, start)
    known, start_ms = list(single), predict(start)
    gains_ms = np.array([predict(one) - start_ms for one in single.values()])
    unlike = np.array([distance(start, one) for one in single.values()])
    found = {start: None}
    for size in range(1, MOST_STEPS + 1):
        rows = np.array(list(combinations_with_replacement(range(len(known)), size)), dtype=int)
        misses = np.abs((start_ms + gains_ms[rows].sum(axis=1)) / aim_ms - 1)
        order = np.argsort(unlike[rows].sum(axis=1) + MISS * misses, kind="stable")
        for row in rows[order[: NUM_PREDICTED + count]]:
            one = stepped(space, start, [known[index] for index in row])
            found |= {} if one is None else {one: None}
    near = [one for one in found if one not in without and predict(one) <= most_ms]

    def rank(one: Shape) -> float:
        return distance(start, one) + MISS * abs(predict(one) / aim_ms - 1)

    return sorted(near, key=rank)[:count]
