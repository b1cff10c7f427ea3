"""Laws of the time that a training is expected to take."""

from types import SimpleNamespace

import pytest
import torch

from tapetum.errors import TrainingError
from tapetum.search import pace
from tapetum.training import ShortTraining
from tiny_training import Squares, tiny_architecture, tiny_recipe


class _Training:
    """A training whose steps take scripted seconds, one thread or several."""

    compute = SimpleNamespace(device=torch.device("cpu"), wait_for_device=lambda: None)
    length = SimpleNamespace(half_steps=0, total_steps=4)

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, together_s: float) -> None:
        self.together_s, self.wall_s, self.cpu_s, self.threads = together_s, 0.0, 0.0, 2
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda count: setattr(self, "threads", count))
        clocks = SimpleNamespace(
            perf_counter=lambda: self.wall_s,
            process_time=lambda: self.cpu_s,
            monotonic=lambda: self.wall_s,
        )
        monkeypatch.setattr(pace, "time", clocks)
        monkeypatch.setattr(pace.bundle, "clock_is_coarse", lambda: False)

    def step(self, *, half_size: bool) -> None:
        if half_size:
            self.cpu_s += 0.5
            return
        self.wall_s += 3.0 if self.threads == 1 else self.together_s  # a neighbour takes two thirds
        self.cpu_s += 1.0


@pytest.mark.parametrize(("together_s", "quiet_s", "now_s"), [(0.6, 0.6, 0.6), (100.0, 1.0, 3.0)])
def test_a_busy_neighbour_is_told_from_a_slow_step(
    together_s: float, quiet_s: float, now_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes the time of all threads, but at most the processor time of one.

    How long it takes now is by the clock on the wall.
    """
    training = _Training(monkeypatch, together_s=together_s)
    assert pace._step_times(training) == pytest.approx((quiet_s, now_s))  # type: ignore[arg-type]
    assert training.threads == 2


def test_threads_that_are_held_up_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of a hundred seconds is not repeated."""
    training = _Training(monkeypatch, together_s=100.0)
    pace._step_times(training)  # type: ignore[arg-type]
    assert training.wall_s < 2 * 100.0


def test_a_clock_in_long_steps_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the clock on the wall counts alone."""
    training = _Training(monkeypatch, together_s=100.0)
    monkeypatch.setattr(pace.bundle, "clock_is_coarse", lambda: True)
    assert pace._step_times(training) == pytest.approx((3.0, 3.0))  # type: ignore[arg-type]


def test_a_step_lasts_until_the_accelerator_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that a step has queued is part of it, and of no other."""
    training, queued_s = _Training(monkeypatch, together_s=0.1), [0.0]

    def step(*, half_size: bool) -> None:
        training.wall_s += 0.125
        queued_s[0] += 1.0 if half_size else 4.0

    def wait_for_device() -> None:
        training.wall_s, queued_s[0] = training.wall_s + queued_s[0], 0.0

    training.step = step  # type: ignore[method-assign]
    training.length = SimpleNamespace(half_steps=2, total_steps=4)
    training.compute = SimpleNamespace(device=torch.device("cuda"), wait_for_device=wait_for_device)
    expected_s = 0.125 + (1.0 + 4.0) / 2
    for found_s in (*pace._step_times(training), pace._seconds_together(training)):  # type: ignore[arg-type]
        assert found_s == pytest.approx(expected_s)


def test_steps_on_small_images_count_by_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of four steps take half a second, and the fourth a second."""
    training = _Training(monkeypatch, together_s=100.0)
    training.threads, training.length = 1, SimpleNamespace(half_steps=3, total_steps=4)
    assert pace._step_times(training).quiet_s == pytest.approx(0.625)  # type: ignore[arg-type]


def test_a_fault_in_any_step_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that is not finite at the second step takes one candidate out, and no other."""
    steps = list[int]()

    def step(training: ShortTraining, **_: bool) -> None:
        steps.append(training.steps)
        if len(steps) > 1:
            raise TrainingError("the loss is nan at step 2", "lower the learning_rate")

    monkeypatch.setattr(ShortTraining, "step", step)
    runner = pace._Runner(tiny_architecture(), tiny_recipe(), Squares(16))
    assert not runner.fault
    runner.take_step()
    runner.take_step()
    assert "nan at step 2" in runner.pace(1.0, 0.0).fault
    assert len(steps) == 2
