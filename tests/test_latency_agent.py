"""The program of a bundle agrees with the package that wrote it."""

import itertools
import json
import time
from typing import Any

import pytest

from tapetum import provenance
from tapetum.latency import agent
from tapetum.runtime import load_onnxruntime, session

ENTRIES = ("session.set_denormal_as_zero", "session.x64quantprecision")
SETTINGS = (
    "graph_optimization_level",
    "enable_mem_pattern",
    "inter_op_num_threads",
    "intra_op_num_threads",
)


def test_it_names_the_processor_as_the_package_does() -> None:
    """Otherwise timings of this machine would be taken for those of another."""
    assert agent.cpu_model() == provenance.cpu_model()


@pytest.mark.parametrize("has_int8", [True, False])
def test_it_runs_networks_as_packages_run(has_int8: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting that decides the speed is the same, with and without instructions for int8."""
    flags = {"flags": "fpu avx512_vnni" if has_int8 else "fpu"}
    monkeypatch.setattr(agent, "cpu_fields", lambda: flags)
    monkeypatch.setattr(agent.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(session, "has_int8_instructions", lambda: has_int8)
    theirs = agent.session_options(load_onnxruntime(), 3)
    ours = session._session_options(3)
    for name in SETTINGS:
        assert getattr(theirs, name) == getattr(ours, name)
    for entry in ENTRIES:
        assert _entry(theirs, entry) == _entry(ours, entry)


def _entry(options: Any, name: str) -> str:
    """A setting; empty where it was not made."""
    try:
        return str(options.get_session_config_entry(name))
    except RuntimeError:
        return ""


class _Scripted:
    """Networks that take as long as they have multiply-adds."""

    def __init__(self, count: int, *, longest_ms: float, rounds: int) -> None:
        given = {"precision": "fp32", "family": "drawn"}
        networks = [{**given, "multiply_adds": cost} for cost in range(1, count + 1)]
        self.job = {"networks": networks, "minutes": 1.0, "longest_ms": longest_ms}
        self.job["most_rounds"] = rounds
        self.timed: list[int] = []

    def time(self, network: dict[str, Any]) -> agent.Round:
        """Takes no time itself."""
        self.timed.append(network["multiply_adds"])
        return agent.Round([float(network["multiply_adds"])])


def test_networks_that_are_much_too_slow_are_left_out(tmp_path: Any) -> None:
    """From twice the multiply-adds of the first one that is; in every round."""
    bench = _Scripted(12, longest_ms=3.5, rounds=2)
    found: dict[str, Any] = {"rounds": [[] for _ in range(12)]}
    agent.measure(bench, found, str(tmp_path / "out.json"))  # type: ignore[arg-type]
    assert bench.timed == [*range(1, 9), *range(1, 9)]
    assert [len(one) for one in found["rounds"]] == [2] * 12
    assert found["rounds"][8] == [None, None]


def test_what_tells_the_grid_of_widths_is_never_left_out(tmp_path: Any) -> None:
    """However slow it is: without it the other timings are of no use."""
    bench = _Scripted(12, longest_ms=3.5, rounds=2)
    bench.job["networks"][10]["family"] = agent.WIDTH
    found: dict[str, Any] = {"rounds": [[] for _ in range(12)]}
    agent.measure(bench, found, str(tmp_path / "out.json"))  # type: ignore[arg-type]
    assert bench.timed == 2 * [*range(1, 9), 11]


def test_no_round_begins_after_the_time(tmp_path: Any) -> None:
    """The first one is finished all the same: without it there would be nothing."""
    bench = _Scripted(3, longest_ms=9.0, rounds=5)
    bench.job["minutes"] = 0.0
    found: dict[str, Any] = {"rounds": [[] for _ in range(3)]}
    agent.measure(bench, found, str(tmp_path / "out.json"))  # type: ignore[arg-type]
    assert bench.timed == [1, 2, 3]


def test_an_interrupted_round_goes_on_where_it_was_written_last(tmp_path: Any) -> None:
    """No network is timed twice but those after the last writing; what was too slow still is."""
    count = agent.WRITTEN_EVERY + 8
    bench = _Scripted(count, longest_ms=agent.WRITTEN_EVERY - 2.5, rounds=2)
    out, time = tmp_path / "out.json", bench.time

    def interrupted(network: dict[str, Any]) -> agent.Round:
        if network["multiply_adds"] == agent.WRITTEN_EVERY + 3:
            raise KeyboardInterrupt
        return time(network)

    found: dict[str, Any] = {"rounds": [[] for _ in range(count)]}
    bench.time = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        agent.measure(bench, found, str(out))  # type: ignore[arg-type]
    kept = json.loads(out.read_text())
    assert [len(one) for one in kept["rounds"]] == agent.WRITTEN_EVERY * [1] + 8 * [0]
    bench.time, bench.timed = time, []  # type: ignore[method-assign]
    agent.measure(bench, kept, str(out))  # type: ignore[arg-type]
    known = range(1, 2 * (agent.WRITTEN_EVERY - 2) + 1)
    assert bench.timed == [*known[agent.WRITTEN_EVERY :], *known]
    assert [len(one) for one in json.loads(out.read_text())["rounds"]] == count * [2]


@pytest.mark.parametrize(
    ("step_ns", "is_coarse"), [(100, False), (15_625_000, True), (1_000_000, True), (0, True)]
)
def test_a_clock_in_long_steps_is_noticed(
    step_ns: int, is_coarse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it says of itself; so is one that stands still."""
    monkeypatch.setattr(agent, "MOST_READINGS", 2_000)
    readings = itertools.count()
    coarse = lambda: next(readings) // 500 * step_ns  # noqa: E731
    for process, thread in ((coarse, time.thread_time_ns), (time.process_time_ns, coarse)):
        monkeypatch.setattr(agent.time, "process_time_ns", process)
        monkeypatch.setattr(agent.time, "thread_time_ns", thread)
        agent.clock_is_coarse.cache_clear()
        assert agent.clock_is_coarse() == is_coarse
    agent.clock_is_coarse.cache_clear()


def test_no_share_is_judged_by_a_clock_in_long_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pass counts, by the clock on the wall, as where a GPU computes."""
    monkeypatch.setattr(agent, "clock_is_coarse", lambda: True)
    monkeypatch.setattr(agent.time, "thread_time_ns", lambda: 0)
    monkeypatch.setattr(agent.time, "process_time_ns", lambda: 0)
    passes = {"warmups": 1, "warmup_ms": 0.0, "min_passes": 3, "min_ms": 0.0}
    found = agent.time_round(lambda: None, **passes, threads=1)  # type: ignore[arg-type]
    assert (len(found.passes_ms), found.num_preempted, found.core_share) == (3, 0, None)
