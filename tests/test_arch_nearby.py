"""Laws of the shapes near a latency: within the budget, well used, and similar."""

import numpy as np
import pytest

from tapetum.arch import Shape, distance, nearby
from tapetum.latency import Budget
from test_arch_shapes import drawn
from test_latency_whole import SPACE, formula_ms

LEAST, MOST = 1 - Budget.BELOW, 1 + Budget.TOLERANCE


def predict(shape: Shape) -> float:
    """A device on which nothing but multiply-adds, layers and elements count."""
    return formula_ms(SPACE.architecture(shape))


@pytest.mark.parametrize("target_ms", [0.25, 0.5, 2.0])
def test_nearly_every_shape_has_one_that_keeps_a_budget(target_ms: float) -> None:
    """Whatever it was drawn like: at least 14 of 15 are used to 90 %, and none is exceeded."""
    used = []
    for shape in drawn(SPACE, 15):
        found = nearby(SPACE, shape, predict, Budget.AIM * target_ms, most_ms=target_ms)
        used += [predict(one) / target_ms for one in found]
    assert max(used) <= 1
    assert sum(one >= LEAST for one in used) >= 14


def test_a_shape_that_fits_is_returned_as_it_is() -> None:
    """It is the most similar one."""
    shape = SPACE.rule(45e6)
    (found,) = nearby(SPACE, shape, predict, predict(shape), most_ms=1.02 * predict(shape))
    assert found == shape


@pytest.mark.parametrize("factor", [0.92, 0.97, 1.04, 1.09])
def test_a_small_correction_stays_similar(factor: float) -> None:
    """Within a few blocks or widths of it, and near the aim: a narrow one has coarse steps."""
    for shape in [SPACE.rule(cost) for cost in (10e6, 45e6, 200e6)]:
        aim_ms = factor * predict(shape)
        (found,) = nearby(SPACE, shape, predict, aim_ms, most_ms=MOST * aim_ms)
        assert predict(found) == pytest.approx(aim_ms, rel=0.06)
        assert distance(shape, found) < 0.3


def test_several_are_different_and_the_best_comes_first() -> None:
    """Those that are known are left out."""
    shape = SPACE.rule(45e6)
    aim_ms = 0.93 * predict(shape)
    few = nearby(SPACE, shape, predict, aim_ms, most_ms=MOST * aim_ms, count=4)
    assert len(set(few)) == 4
    more = nearby(SPACE, shape, predict, aim_ms, most_ms=MOST * aim_ms, count=4, without=few[:2])
    assert more[:2] == few[2:]
    off = [abs(predict(one) / aim_ms - 1) for one in few]
    assert np.mean(off) < 0.03
