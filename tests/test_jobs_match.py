"""Tests of matching a target: a table that is off does not make the network miss its budget."""

import pytest

from scripted_runtime import ScriptedRuntime, without_graph
from tapetum.arch import Architecture
from tapetum.jobs.match import match_target
from tapetum.latency import Budget, LatencyTable, Timing
from tapetum.latency.timing import LONG_ROUND, time_passes
from tapetum.search.derive import derive
from test_latency_table import CONDITIONS, small_space, table_of


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """Of the small space, every slot of which stays."""
    return table_of(small_space(learns_depth=False))


def matched_on(table: LatencyTable, device: ScriptedRuntime, target_ms: float):  # noqa: ANN201
    """The matched network where nothing is preferred."""
    even = {
        path: {one.name: 1 / len(slot.candidates) for one in slot.candidates}
        for path, slot in table.space.slots.items()
    }

    def choose(budget: Budget):  # noqa: ANN202
        return derive(budget, even, {})

    def time(architecture: Architecture) -> Timing:
        forward = device.prepare(without_graph(architecture), CONDITIONS)
        return Timing.of([time_passes(forward, LONG_ROUND)])

    return match_target(Budget.of(table, target_ms), choose, time)


@pytest.mark.parametrize("factor", [0.8, 0.97, 1.0, 1.03, 1.25])
def test_the_matched_network_keeps_the_budget(
    table: LatencyTable, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As measured, whatever the table says: never above, at most a tenth below."""
    device = ScriptedRuntime(table.space, monkeypatch, factor=factor)
    fastest, slowest = table.range
    target_ms = factor * (fastest + slowest) / 2
    matched = matched_on(table, device, target_ms)
    assert not matched.note
    assert 0.9 * target_ms <= matched.attempt.timing.median_ms <= target_ms


@pytest.mark.parametrize("drift", [0.97, 1.0, 1.04])
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_a_machine_that_drifts_until_the_delivery_keeps_the_budget(
    table: LatencyTable, factor: float, drift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few percent either way: the delivered median is at most 2 % above, a tenth below."""
    device = ScriptedRuntime(table.space, monkeypatch, factor=factor)
    fastest, slowest = table.range
    target_ms = factor * (fastest + slowest) / 2
    delivered_ms = drift * matched_on(table, device, target_ms).attempt.timing.median_ms
    assert (1 - Budget.BELOW) * target_ms <= delivered_ms <= (1 + Budget.TOLERANCE) * target_ms


def test_a_budget_beyond_reach_is_told(
    table: LatencyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest network is taken, and it is said why it misses."""
    fastest, slowest = table.range
    slow = matched_on(table, ScriptedRuntime(table.space, monkeypatch, factor=2.0), 1.05 * fastest)
    assert "no network that was timed" in slow.note
    assert slow.attempt.timing.median_ms == min(one.timing.median_ms for one in slow.attempts)
    fast = matched_on(table, ScriptedRuntime(table.space, monkeypatch, factor=0.5), 1.5 * slowest)
    assert "slowest network of the space" in fast.note
