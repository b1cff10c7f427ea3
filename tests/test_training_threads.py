"""Laws of the governor of threads, on a machine whose clock is scripted."""

import pytest
import torch

from tapetum.training.threads import ThreadGovernor

ONE_THREAD_MS = 20.0


class Machine:
    """Two cores; with a busy neighbour, steps of two threads collapse.

    Args:
        quiet_ms: A step with two threads on a quiet machine.
        counts_waiting: Whether the system counts how long a thread waited for a core.
    """

    def __init__(self, *, quiet_ms: float = 12.0, counts_waiting: bool = True) -> None:
        self.quiet_ms, self.counts_waiting = quiet_ms, counts_waiting
        self.threads, self.is_busy, self.waited_s, self.now_s = 2, False, 0.0, 0.0
        self.governor = ThreadGovernor([2, 1], set_threads=self.set, waited=lambda: self.waited_s)

    def set(self, threads: int) -> None:
        """Set the number of threads."""
        self.threads = threads

    def step(self) -> None:
        """Take one step."""
        collapses = self.is_busy and self.threads == 2
        one_ms = ONE_THREAD_MS if self.threads == 1 else self.quiet_ms
        seconds = (2_000.0 if collapses else one_ms) / 1e3
        if collapses and self.counts_waiting:
            self.waited_s += 0.4 * seconds
        self.now_s += seconds
        self.governor.after_step(seconds)

    def steps_in(self, seconds: float) -> int:
        """Return the number of steps that some seconds allow."""
        end_s, count = self.now_s + seconds, 0
        while self.now_s < end_s:
            self.step()
            count += 1
        return count


def test_a_quiet_machine_uses_all_threads_in_every_step() -> None:
    """So that equal trainings stay equal, bit by bit."""
    machine = Machine()
    for _ in range(1_000):
        machine.step()
    assert machine.governor.used == {2}


@pytest.mark.parametrize("is_busy_at_first", [False, True])
def test_a_busy_neighbour_leaves_two_fifths_of_the_speed(*, is_busy_at_first: bool) -> None:
    """Whether it comes later or was there at first; without the governor it leaves 1/166."""
    machine = Machine()
    machine.is_busy = is_busy_at_first
    machine.steps_in(30)
    machine.is_busy = True
    machine.steps_in(30)  # notices
    assert machine.threads == 1
    assert machine.steps_in(600) > 0.4 * 600 / (machine.quiet_ms / 1e3)


def test_a_slow_step_time_alone_is_noticed() -> None:
    """Where the system does not count the waiting, by comparison with the steps of before."""
    machine = Machine(counts_waiting=False)
    machine.steps_in(10)
    machine.is_busy = True
    machine.steps_in(30)
    assert machine.threads == 1


def test_all_threads_come_back_when_the_neighbour_has_gone() -> None:
    """Within a minute, since a trial that lost two seconds is repeated after forty."""
    machine = Machine()
    machine.is_busy = True
    machine.steps_in(60)
    assert machine.governor.threads == 1
    machine.is_busy = False
    machine.steps_in(60)
    assert machine.governor.threads == 2
    assert machine.steps_in(60) == pytest.approx(60 / (machine.quiet_ms / 1e3), rel=0.01)


def test_threads_stay_where_one_is_no_faster() -> None:
    """A thread that waits for a core is tried alone, and comes back if that does not help."""
    machine = Machine(quiet_ms=12.0)
    machine.steps_in(1)
    for _ in range(50):
        machine.waited_s += 0.01
        machine.step()
    assert machine.governor.rungs[machine.governor.home] == 2
    machine.governor.close()
    assert machine.threads == 2


def test_larger_images_are_no_busy_neighbour() -> None:
    """Steps that take four times as long from now on are those of another kind."""
    machine = Machine(counts_waiting=False)
    machine.steps_in(10)
    machine.quiet_ms *= 4
    machine.governor.forget()
    machine.steps_in(30)
    assert machine.governor.used == {2}


def test_a_trial_ends_where_steps_become_of_another_kind() -> None:
    """And its number of threads is not kept."""
    machine = Machine()
    machine.is_busy = True
    while machine.governor.trial is None:
        machine.step()
    machine.governor.forget()
    assert machine.governor.threads == machine.threads == 2
    machine.steps_in(30)


def test_fixed_threads_are_never_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """``OMP_NUM_THREADS`` fixes them, for trainings that are repeated bit by bit."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert len(ThreadGovernor.of_process(torch.device("cpu")).rungs) == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert ThreadGovernor.of_process(torch.device("cpu")).rungs == [8, 7, 4, 1]
    assert ThreadGovernor.of_process(torch.device("cuda")).rungs == [8]
