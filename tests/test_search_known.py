"""Networks of a budget among those that another device has timed."""

import pytest

from tapetum.arch import Shape, ShapeSpace, cost, ladder
from tapetum.errors import InputError
from tapetum.latency import Conditions, TimedShapes, Timing
from tapetum.latency.whole import TimedShape
from tapetum.search.known import known_range, propose_known, similar

SPACE = ShapeSpace(width_step=16, size_px=32, image_channels=3, num_classes=4)
CONDITIONS = Conditions(
    device="a board",
    runtime="onnxruntime",
    runtime_version="1",
    precision="fp32",
    threads=1,
    batch=1,
    channels=3,
    height_px=32,
    width_px=32,
)


def _ms(shape: Shape) -> float:
    """A device that needs a millisecond for ten million multiply-adds."""
    return cost.multiply_adds(SPACE.architecture(shape), 32, 32) / 1e7


def _timed(count: int) -> TimedShapes:
    steps = ladder.steps(SPACE, count)
    on_grid = {one: family for one, family in steps.items() if _is_on_grid(one)}
    shapes = tuple(
        TimedShape(shape=one, family=family, timing=_timing(_ms(one)))
        for one, family in on_grid.items()
    )
    return TimedShapes(conditions=CONDITIONS, space=SPACE, shapes=shapes)


def _is_on_grid(shape: Shape) -> bool:
    return all(width % 16 == 0 for width in (*shape.widths, *shape.branch.widths))


def _timing(ms: float) -> Timing:
    facts = {"median_ms": ms, "mean_ms": ms, "p95_ms": ms, "spread": 0.0}
    return Timing(**facts, num_rounds=3, num_passes=9)


TIMED = _timed(300)


@pytest.mark.parametrize("target_ms", [0.55, 3.0, 12.0])
def test_what_is_proposed_was_measured_within_the_budget(target_ms: float) -> None:
    """Between 10 % below and 2 % above it; the default first, and different ones."""
    found = propose_known(TIMED, target_ms, count=5)
    assert all(0.9 <= one.timing.median_ms / target_ms <= 1.02 for one in found.candidates)
    assert found.candidates[0].name == ladder.RULE
    assert len({one.shape for one in found.candidates}) == len(found.candidates) > 1
    assert all(one.timing.median_ms == _ms(one.shape) for one in found.candidates)
    assert found.timed == TIMED


def test_the_family_of_lite0_is_among_them_where_it_has_weights() -> None:
    """Elsewhere it is a network like others."""
    like_lite0 = [one for one in TIMED.shapes if one.family == ladder.MOBILE][-1]
    target_ms = like_lite0.timing.median_ms
    for with_mobile in (True, False):
        found = propose_known(TIMED, target_ms, with_mobile=with_mobile)
        assert (ladder.MOBILE in [one.name for one in found.candidates]) == with_mobile


def test_a_budget_between_two_networks_takes_the_lower_one() -> None:
    """And says that none that was timed uses more of it."""
    two = [TIMED.shapes[0], TIMED.shapes[-1]]
    few = TIMED.model_copy(update={"shapes": tuple(two)})
    found = propose_known(few, two[1].timing.median_ms / 2)
    assert [one.shape for one in found.candidates] == [two[0].shape]
    assert any("take less than 90 %" in note for note in found.notes)


def test_a_budget_that_no_network_keeps_is_refused() -> None:
    """The message names the fastest one and its device."""
    fastest_ms = known_range(TIMED).fastest_ms
    with pytest.raises(InputError, match="a board"):
        propose_known(TIMED, fastest_ms / 2)


def test_the_most_similar_network_of_a_budget_is_found() -> None:
    """A shape that was timed within the budget is most like itself."""
    inside = [one for one in TIMED.shapes if 1.8 <= one.timing.median_ms <= 2.0]
    for one in inside:
        assert similar(TIMED, one.shape, 2.0).shape == one.shape
    least_ms = TIMED.shapes[0].timing.median_ms
    assert similar(TIMED, inside[0].shape, 1.01 * least_ms).shape == TIMED.shapes[0].shape


def test_a_network_that_was_not_requested_is_not_called_missing() -> None:
    """All three families were timed within the budget; two networks are the first two of them."""
    found = propose_known(TIMED, 3.0, count=2)
    assert not [note for note in found.notes if "none of this latency was timed" in note]
    plain = {"shapes": tuple(one for one in TIMED.shapes if one.family == ladder.RULE)}
    (note,) = propose_known(TIMED.model_copy(update=plain), 3.0, count=2).notes
    assert note.endswith("none of this latency was timed: the plain DC-Net")
