"""Networks that are timed together, and the clock of the processor, both made up."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tapetum.arch import find_architecture
from tapetum.latency import Conditions, DeployedNetwork, Runtime, benchmark_together
from tapetum.latency.benchmark import DENSE_PX
from tapetum.latency.clock import fastest_core_mhz, throttling


class Made(Runtime):
    """A runtime whose passes take as many milliseconds as there are pixels in a row."""

    name, version = "made", "1"
    now_ns = 0

    def __init__(self) -> None:
        self.prepared: list[tuple[int, int]] = []

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> Callable[[], object]:
        """Note what is prepared, and let time pass; two threads are twice as fast."""
        del network
        self.prepared.append((conditions.width_px, conditions.threads))
        return partial(self._pass, conditions.width_px / conditions.threads)

    def _pass(self, ms: float) -> None:
        self.now_ns += round(1e6 * ms)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The runtime, whose clock is that of all timings."""
    runtime = Made()
    monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: runtime.now_ns)
    monkeypatch.setattr("tapetum.latency.timing.time.sleep", lambda _: None)
    monkeypatch.setattr("tapetum.provenance.usable_cores", lambda: 2)
    return runtime


def test_networks_take_turns(made: Made) -> None:
    """In each round every network and every peak once; each has the latency of its own threads."""
    network = DeployedNetwork(b"", {}, find_architecture("unet-s", channels=3))
    forms = [(16, 1), (32, 1), (16, 2)]
    given = [
        (network, made, network.conditions(made, threads=threads, size_px=size_px))
        for size_px, threads in forms
    ]
    found = benchmark_together(given, reference=made, pace_ms=20.0, seconds=0.001)
    assert [one.timing.median_ms for one in found] == [16, 32, 8]
    assert [one.paced is None for one in found] == [False, True, False]
    turn = [*forms, (DENSE_PX, 1), (DENSE_PX, 2)]
    rounds = made.prepared[len(forms) :]  # after a first look at each
    assert rounds[: 2 * len(turn)] == turn * 2
    first, _, third = found
    assert third.peak_share == pytest.approx(first.peak_share)  # both rates are twice as high


def test_a_fallen_clock_is_noticed(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fastest core counts, after each round; 10 % less is told, and what is not there too."""
    monkeypatch.setattr("tapetum.latency.clock.CPUS", tmp_path)
    network = DeployedNetwork(b"", {}, find_architecture("unet-s", channels=3))
    given = [(network, made, network.conditions(made, threads=1, size_px=16))]
    assert fastest_core_mhz() == []
    (unknown,) = benchmark_together(given, reference=made, seconds=0.001)
    assert unknown.throttling == "not readable"
    for core, khz in enumerate((800_000, 3_000_000)):
        path = tmp_path / f"cpu{core}" / "cpufreq" / "scaling_cur_freq"
        path.parent.mkdir(parents=True)
        path.write_text(f"{khz}\n")
    (steady,) = benchmark_together(given, reference=made, seconds=0.001)
    assert (steady.clock_mhz, steady.throttling) == ((3000, 3000), "none")
    assert throttling((2700.0, 3000.0)) == "none"
    assert throttling((2600.0, 3000.0)) == "from 3000 to 2600 MHz"
