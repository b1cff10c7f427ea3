"""Tests of timing: durations, interleaved rounds, their statistics, and the lock."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm  # type: ignore[import-untyped,unused-ignore]

from tapetum.errors import InputError
from tapetum.latency import agent, lock, timing
from tapetum.latency.lock import timing_lock
from tapetum.latency.rounds import faster_half_mean, relative_noise
from tapetum.latency.timing import (
    ForwardPass,
    PassCount,
    Round,
    Timing,
    shared_core,
    time_interleaved,
    time_passes,
    time_rounds,
)

SHORT = PassCount(warmups=1, warmup_ms=0, min_passes=3, min_ms=0)


def test_a_known_sleep_is_timed_right() -> None:
    """A pass is never shorter than its sleep."""
    passes = time_passes(lambda: time.sleep(0.02), SHORT)
    assert len(passes.passes_ms) == 3
    assert min(passes.passes_ms) >= 20
    assert Timing.of([passes]).median_ms >= 20


def test_a_block_is_long_enough_in_passes_and_in_time() -> None:
    """Warm-ups do not count."""
    calls = []
    passes = time_passes(
        lambda: calls.append(0), PassCount(warmups=4, warmup_ms=0, min_passes=7, min_ms=0)
    )
    assert (len(passes.passes_ms), len(calls)) == (7, 11)
    passes = time_passes(
        lambda: time.sleep(0.001), PassCount(warmups=1, warmup_ms=0, min_passes=1, min_ms=20)
    )
    assert sum(passes.passes_ms) >= 20


def test_everything_has_its_turn_in_every_round() -> None:
    """A B A B, never A A B B; each is made ready anew."""
    calls: list[str] = []

    def make_ready(name: str) -> ForwardPass:
        calls.append(name.upper())
        return lambda: calls.append(name)

    block = PassCount(warmups=1, warmup_ms=0, min_passes=1, min_ms=0)
    found = time_rounds([partial(make_ready, name) for name in "ab"], block, num_rounds=3)
    assert "".join(calls) == "AaaBbb" * 3
    assert [len(rounds) for rounds in found] == [3, 3]


def test_rounds_are_pooled_by_their_medians() -> None:
    """One disturbed pass, or one disturbed round, does not move the latency."""
    found = Timing.of(list(map(Round, ([1, 1, 9], [1, 1, 1], [50, 60, 70]))))
    assert found.median_ms == 1
    assert found.p95_ms == 70
    assert (found.num_rounds, found.num_passes) == (3, 9)
    assert Timing.of([Round([2, 2]), Round([2, 2])]).spread == 0
    assert Timing.of([Round([1]), Round([2]), Round([3])]).spread == pytest.approx(0.5)


class Core:
    """A core whose clocks the test turns: every pass works for 1 ms, then others take it away."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, waits_ms: Sequence[float], *, helpers: int = 0
    ) -> None:
        self.wall_ns = self.caller_ns = self.process_ns = 0
        self.waits_ms, self.helpers = cycle(waits_ms), helpers
        for name, clock in {
            "perf_counter_ns": lambda: self.wall_ns,
            "thread_time_ns": lambda: self.caller_ns,
            "process_time_ns": lambda: self.process_ns,
        }.items():
            monkeypatch.setattr(f"tapetum.latency.timing.time.{name}", clock)
        monkeypatch.setattr(agent, "FULL_SHARE", 0.95)
        monkeypatch.setattr("tapetum.latency.agent.clock_is_coarse", lambda: False)
        monkeypatch.setattr(timing, "QUIET_SHARE", 0.9)

    def forward(self) -> None:
        """Work for 1 ms with all threads, then wait for the core."""
        self.caller_ns += 1_000_000
        self.process_ns += (1 + self.helpers) * 1_000_000
        self.wall_ns += 1_000_000 + round(1e6 * next(self.waits_ms))


def test_preempted_passes_are_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of all passes wait 2 ms for the core: the other half counts, as many as requested."""
    core = Core(monkeypatch, [0, 2])
    found = time_passes(core.forward, PassCount(warmups=1, warmup_ms=0, min_passes=5, min_ms=20))
    assert found.passes_ms == [1.0] * 20
    assert found.num_preempted == 20
    assert found.core_share == pytest.approx(0.5)


def test_a_shared_core_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the share that we got, over the passes that count and those that do not."""
    core = Core(monkeypatch, [2 * (1 / 0.45 - 1), 0])
    passes = PassCount(warmups=2, warmup_ms=0, min_passes=10, min_ms=0)
    (found,) = time_interleaved([lambda: core.forward], num_rounds=2, pause_s=0, passes=passes)
    assert found.median_ms == found.p95_ms == 1.0
    assert found.num_preempted == found.num_passes
    assert found.shared == "another process uses this core: our passes got 45 % of it"
    assert "another process uses this core: our passes got 45 % of it" in caplog.text


def test_a_core_of_our_own_is_not_called_shared(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One pass of fifty waits: it does not count, and nothing is said."""
    core = Core(monkeypatch, [2, *[0] * 49])
    (found,) = time_interleaved([lambda: core.forward], num_rounds=2, pause_s=0)
    assert found.num_preempted > 0
    assert found.shared == ""
    assert not caplog.text


def test_timing_ends_where_every_pass_is_preempted(monkeypatch: pytest.MonkeyPatch) -> None:
    """After four times as many; the processor's time of those that got most of the core counts."""
    core = Core(monkeypatch, [3, 1, 4])
    found = time_passes(core.forward, PassCount(warmups=3, warmup_ms=0, min_passes=4, min_ms=0))
    assert found.passes_ms == [1.0] * 4
    assert found.num_preempted == 12


@pytest.mark.parametrize(("wait_ms", "num_preempted"), [(0.0, 0), (1.0, 10)])
@pytest.mark.parametrize("helpers", [0, 1])
def test_more_threads_than_one_are_watched_alike(
    helpers: int, wait_ms: float, num_preempted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of a process with two busy threads is twice that of the wall, and half of it ours.

    With a helper that sleeps, the calling thread alone shows that nobody interrupts.
    """
    core = Core(monkeypatch, [wait_ms, 0], helpers=helpers)
    found = time_passes(core.forward, PassCount(min_passes=10, min_ms=0), threads=2)
    assert found.num_preempted == num_preempted
    assert found.core_share == pytest.approx(1 if not wait_ms else 2 / 3, abs=0.02)


def test_a_gpu_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor sleeps while it computes, and that is no pre-emption."""
    core = Core(monkeypatch, [5])
    found = time_passes(core.forward, SHORT, threads=None)
    assert found.passes_ms == [6.0] * 3
    assert found.core_share is None
    assert shared_core([None]) == ""


def test_two_timings_never_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is refused while the first is running without end, and not afterwards."""
    monkeypatch.setattr(lock, "LONGEST_WAIT_S", 0)
    refused = pytest.raises(InputError, match="another latency measurement is running")
    with timing_lock(), refused, timing_lock():
        pass
    with timing_lock():
        pass


@pytest.mark.parametrize("is_other_user", [False, True])
def test_the_lock_ends_with_the_process_that_holds_it(
    is_other_user: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever started it, whatever its temporary folder is: who waits gets it when it is killed."""
    if is_other_user and (os.name != "posix" or os.getuid() != 0):
        pytest.skip("only root can become another user")
    code = (
        "import os, sys, time; from tapetum.latency import lock\n"
        "lock.LOCK_NAME = sys.argv[1]\n"
        f"{'os.setuid(65534)' if is_other_user else ''}\n"
        "with lock.timing_lock(): print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, lock.LOCK_NAME],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        killer = threading.Timer(0.3, process.kill)
        killer.start()
        with timing_lock():
            assert process.wait(timeout=1) < 0
        killer.join()
    assert "waiting until it ends" in caplog.text
    with timing_lock():
        pass


@pytest.mark.parametrize("medians", [[5.0], [5.0, 8.0], [5.0, 9.0, 5.0], [9.0, 5.0, 7.0, 5.0]])
def test_disturbed_medians_do_not_count(medians: list[float]) -> None:
    """As long as they are not more than half of all, however slow they are."""
    assert faster_half_mean(medians) == 5.0


def disturbed(count: int, rounds: int, *, sigma: float, share: float) -> list[list[float]]:
    """Visits of things of 10 ms: noise in each, and a burst in a share of them."""
    generator = np.random.default_rng(0)
    medians = 10 * np.exp(sigma * generator.standard_normal((count, rounds)))
    bursts = generator.random(medians.shape) < share
    return np.where(bursts, 1.5 * medians, medians).tolist()


@pytest.mark.parametrize("rounds", [2, 3, 6])
def test_the_noise_is_how_far_off_the_faster_half_is(rounds: int) -> None:
    """It is the deviation of what the medians come to, and bursts hardly change it."""
    medians = disturbed(500, rounds, sigma=0.02, share=0.0)
    found = [faster_half_mean(one) / 10 for one in medians]
    assert relative_noise(medians) == pytest.approx(np.std(found), rel=0.1)
    bursts = disturbed(500, rounds, sigma=0.02, share=0.05)
    assert relative_noise(bursts) == pytest.approx(np.std(found), rel=0.3)


def test_noise_is_of_what_counts_and_not_of_single_medians() -> None:
    """Bursts in three of ten medians spread those, and hardly what the faster half comes to."""
    medians = disturbed(500, 8, sigma=0.02, share=0.3)
    found = np.abs([faster_half_mean(one[::2]) / 10 - 1 for one in medians])
    typical = np.median(found) / norm.ppf(0.75)
    assert relative_noise(medians, num_rounds=4) == pytest.approx(typical, rel=0.15)


def test_noise_can_be_told_of_other_numbers_of_medians() -> None:
    """What six rounds know of the noise says how far off two or twelve medians would be."""
    medians = disturbed(500, 6, sigma=0.02, share=0.0)
    found = [faster_half_mean(one[:2]) / 10 for one in medians]
    assert relative_noise(medians, num_rounds=2) == pytest.approx(np.std(found), rel=0.15)
    assert relative_noise(medians, num_rounds=12) < relative_noise(medians)


def test_a_round_in_which_all_are_slower_is_no_noise() -> None:
    """What moves all things alike says nothing about one of them; one round says nothing at all."""
    medians = disturbed(100, 3, sigma=0.01, share=0.0)
    slower = [[first, 1.3 * second, third] for first, second, third in medians]
    assert relative_noise(slower) == pytest.approx(relative_noise(medians))
    assert relative_noise([[1.0], [2.0]]) is None


def test_a_system_without_the_lock_times_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not wait for a measurement that is not there."""

    class Refused(socket.socket):
        def bind(self, address: object) -> None:
            del address
            raise PermissionError(errno.EACCES, "not in this sandbox")

    monkeypatch.setattr("tapetum.latency.lock.socket.socket", Refused)
    with timing_lock():
        assert "two measurements at once are not noticed here" in caplog.text
        assert "not in this sandbox" in caplog.text
