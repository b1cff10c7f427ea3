"""Laws of settling: a table that is off does not make the network miss its budget."""

import pytest

from tapetum.arch import Architecture
from tapetum.jobs.match import ABOVE, BELOW, match_target
from tapetum.latency import Budget, LatencyTable, range_of
from tapetum.latency.timing import Run
from tapetum.search.derive import derive
from test_latency_table import small_space, table_of, true_ms


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """Of the small space, every slot of which stays."""
    return table_of(small_space(learns_depth=False))


class OffDevice:
    """A device that is slower than its table says, by some factor."""

    def __init__(self, table: LatencyTable, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.space, self.factor, self.now_ns = table.space, factor, 0
        monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: self.now_ns)
        monkeypatch.setattr("tapetum.jobs.match.PAUSE_S", 0.0)

    def prepare(self, architecture: Architecture) -> Run:
        """A pass moves the clock by the true latency, times the factor."""
        pass_ns = round(1e6 * self.factor * true_ms(self.space, self.space.choices(architecture)))

        def run() -> None:
            self.now_ns += pass_ns

        return run


def matched_on(table: LatencyTable, device: OffDevice, target_ms: float):  # noqa: ANN201
    """What is settled on where nothing is preferred."""
    even = {
        path: {one.name: 1 / len(slot.candidates) for one in slot.candidates}
        for path, slot in table.space.slots.items()
    }

    def choose(budget: Budget):  # noqa: ANN202
        return derive(budget, even, {})

    return match_target(Budget.of(table, target_ms), choose, device.prepare)


@pytest.mark.parametrize("factor", [0.8, 0.97, 1.0, 1.03, 1.25])
def test_what_is_settled_on_keeps_the_budget(
    table: LatencyTable, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As measured, whatever the table says: never above, at most a tenth below."""
    device = OffDevice(table, factor, monkeypatch)
    fastest, slowest = range_of(table)
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
    device = OffDevice(table, factor, monkeypatch)
    fastest, slowest = range_of(table)
    target_ms = factor * (fastest + slowest) / 2
    delivered_ms = drift * matched_on(table, device, target_ms).attempt.timing.median_ms
    assert (1 - BELOW) * target_ms <= delivered_ms <= (1 + ABOVE) * target_ms


def test_a_budget_beyond_reach_is_told(
    table: LatencyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest network is taken, and it is said why it misses."""
    fastest, slowest = range_of(table)
    slow = matched_on(table, OffDevice(table, 2.0, monkeypatch), 1.05 * fastest)
    assert "no network that was timed" in slow.note
    assert slow.attempt.timing.median_ms == min(one.timing.median_ms for one in slow.attempts)
    fast = matched_on(table, OffDevice(table, 0.5, monkeypatch), 1.5 * slowest)
    assert "slowest network of the space" in fast.note
