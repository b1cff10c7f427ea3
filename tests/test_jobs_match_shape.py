"""The winner of a race keeps its budget when its training begins, after any drift."""

from collections.abc import Sequence

import pytest

from shape_runtime import formula_ms
from tapetum.arch import Architecture, ShapeSpace
from tapetum.jobs.match_shape import match_shape
from tapetum.latency import TimedShapes, Timing
from tapetum.latency.timing import Round
from test_latency_table import CONDITIONS

SIZE_PX = 32
SPACE = ShapeSpace(width_step=8, size_px=SIZE_PX, image_channels=1, num_classes=2)
WINNER = SPACE.rule(4e6)
CONDITIONS_PX = CONDITIONS.model_copy(update={"height_px": SIZE_PX, "width_px": SIZE_PX})


class Clock:
    """Times networks by a formula; the factors of its first calls are given."""

    def __init__(self, *factors: float, then: float = 1.0) -> None:
        self.factors, self.then, self.num_calls = list(factors), then, 0

    def __call__(self, networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        """As a timer of the room ``latency``."""
        del num_rounds
        self.num_calls += 1
        factor = self.factors.pop(0) if self.factors else self.then
        return [Timing.of([round_of(factor * formula_ms(one, SIZE_PX))]) for one in networks]


def round_of(pass_ms: float) -> Round:
    """A round of one pass."""
    return Round([pass_ms])


def target_ms() -> float:
    """A budget that the winner uses to 97 %."""
    return formula_ms(SPACE.architecture(WINNER), SIZE_PX) / 0.97


def known() -> TimedShapes:
    """Some shapes, timed before."""
    blank = TimedShapes(conditions=CONDITIONS_PX, space=SPACE)
    return blank.timed([WINNER, SPACE.smallest(), SPACE.rule(1e7)], Clock())


def test_a_winner_that_has_not_drifted_is_taken_as_it_is() -> None:
    """It is timed once."""
    clock = Clock()
    matched = match_shape(known(), clock, WINNER, target_ms())
    assert matched.attempt.shape == WINNER
    assert clock.num_calls == 1
    assert not matched.note


def test_a_moment_of_another_program_changes_nothing() -> None:
    """A slow timing is repeated before the shape is given up."""
    matched = match_shape(known(), Clock(1.6), WINNER, target_ms())
    assert matched.attempt.shape == WINNER


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.2, 1.6, 2.5])
def test_a_winner_that_has_drifted_is_corrected(factor: float) -> None:
    """By other widths or depths, so that it keeps the budget as measured now."""
    matched = match_shape(known(), Clock(then=factor), WINNER, target_ms())
    now_ms = factor * formula_ms(SPACE.architecture(matched.attempt.shape), SIZE_PX)
    assert 0.9 <= now_ms / target_ms() <= 1.0
    assert not matched.note


def test_a_little_above_the_budget_is_better_than_far_below_it() -> None:
    """Where nothing lies between: up to 2 % above counts as kept, as for the package."""
    shape, other = WINNER, SPACE.smallest()
    ratios = {shape: 1.01, other: 0.7}

    def time(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        del num_rounds
        known = {SPACE.architecture(one): ratio for one, ratio in ratios.items()}
        return [Timing.of([round_of(target_ms() * known.get(one, 0.7))]) for one in networks]

    matched = match_shape(known(), time, shape, target_ms())
    assert matched.attempt.shape == shape
    assert not matched.note


def test_a_network_that_leaves_much_of_the_budget_names_the_next_larger_one() -> None:
    """With its latency: between the two lies nothing, since widths are on a grid."""
    winner = SPACE.architecture(WINNER)

    def time(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        del num_rounds
        ratios = [1.3 if one == winner else 0.7 for one in networks]
        return [Timing.of([round_of(ratio * target_ms())]) for ratio in ratios]

    matched = match_shape(known(), time, WINNER, target_ms())
    assert matched.attempt.shape != WINNER
    next_ms = f"{1.3 * target_ms():.3g} ms"
    assert matched.note == (
        f"the next larger network that was timed takes {next_ms}, since channel counts are "
        f"multiples of {SPACE.width_step}"
    )


def test_a_budget_out_of_reach_is_said() -> None:
    """With the fastest of what was timed."""
    matched = match_shape(known(), Clock(then=40.0), WINNER, target_ms())
    assert "no network that was timed keeps it" in matched.note


def test_a_network_as_large_as_is_useful_is_not_enlarged() -> None:
    """However much of the budget it leaves, and the reason is said."""
    clock = Clock()
    matched = match_shape(known(), clock, WINNER, 10 * target_ms(), largest_ms=target_ms())
    assert matched.attempt.shape == WINNER
    assert clock.num_calls == 1
    assert "the largest useful network takes" in matched.note
