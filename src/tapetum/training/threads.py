"""Fewer threads beside a busy neighbour.

The threads of one torch operation wait for each other, and spin while they wait.  Where another
program keeps a core busy, a step with all threads can take a hundred times as long, while a step
with one thread fewer takes hardly longer than alone.  A :class:`ThreadGovernor` notices this and
tries fewer threads, keeps whatever is faster in this process, and returns when that pays.

A sum over other threads can differ in its last bits.  Repeating a training bit by bit needs a fixed
number of threads: the environment variable ``OMP_NUM_THREADS`` fixes it and turns this off.
"""

import math
import os
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

__all__ = ["ThreadGovernor"]

SLOW = 2.5  # times the fastest typical step
WAITED = 0.15  # share of the time in which this thread waited for a core
HELD_UP_S = 0.5  # of waiting are enough to act, after a single step
RECENT, MANY, PROBES = 5, 3, 3  # steps
PRICE = 20  # a trial that lost a second is not repeated for so many seconds


class ThreadGovernor:
    """Chooses the number of threads from the time of each step.

    Args:
        rungs: Numbers of threads to choose from, falling; the first one is for a quiet machine.
        set_threads: Sets the number of threads.
        waited: Returns the seconds that this thread has waited for a core so far.

    Attributes:
        used: Every number of threads that a step was taken with.
        seconds: Time of all steps.
        seconds_waited: How long this thread was ready and had no core meanwhile.
    """

    def __init__(
        self,
        rungs: Sequence[int],
        *,
        set_threads: Callable[[int], None] = torch.set_num_threads,
        waited: Callable[[], float] | None = None,
    ) -> None:
        self.rungs = list(rungs)
        self.set_threads = set_threads
        self.waited = waited or _seconds_waited
        self.home = 0  # the rung in use; a trial is on another one
        self.trial: int | None = None
        self.times: deque[tuple[float, float]] = deque(maxlen=RECENT)  # seconds, waited
        self.trial_times: list[float] = []
        self.fastest: dict[int, float] = {}
        self.patience = 0.0  # seconds until another trial
        self.used: set[int] = set()
        self.seconds = self.seconds_waited = 0.0
        self.last_waited = self.waited()

    @classmethod
    def of_process(cls, device: torch.device) -> "ThreadGovernor":
        """Return the governor of this process; it has no choice where the threads are fixed."""
        threads = torch.get_num_threads()
        if "OMP_NUM_THREADS" in os.environ or device.type != "cpu":
            return cls([threads])
        return cls(sorted({threads, max(threads - 1, 1), max(threads // 2, 1), 1}, reverse=True))

    @property
    def threads(self) -> int:
        """The number of threads of the next step."""
        return self.rungs[self.home if self.trial is None else self.trial]

    @property
    def core_share(self) -> float | None:
        """Share of a core that the steps got, up to 1; None before the first one.

        None also where the system does not count how long a thread waits.
        """
        if not self.seconds or math.isnan(self.seconds_waited):
            return None
        return max(0.0, 1 - self.seconds_waited / self.seconds)

    def after_step(self, seconds: float) -> None:
        """Take the time of a step into account, and set the threads of the next one."""
        self.used.add(self.threads)
        now = self.waited()
        waited, self.last_waited = now - self.last_waited, now
        self.seconds, self.seconds_waited = self.seconds + seconds, self.seconds_waited + waited
        if self.trial is not None:
            self._judge(seconds)
            return
        self.times.append((seconds, waited))
        self.patience -= seconds
        if len(self.times) == RECENT:
            typical = self._typical()
            self.fastest[self.home] = min(typical, self.fastest.get(self.home, typical))
        if self.patience > 0:
            return
        if self._is_slow() and self.home + 1 < len(self.rungs):
            self._try(self.home + 1)
        elif self.home > 0 and len(self.times) == RECENT:
            self._try(self.home - 1)

    def forget(self) -> None:
        """Forget how long steps took, since those that come are of another kind."""
        if self.trial is not None:
            self.trial = None
            self.set_threads(self.threads)
        self.times.clear()
        self.fastest.clear()

    def close(self) -> None:
        """Return to all threads."""
        if self.threads != self.rungs[0]:
            self.set_threads(self.rungs[0])
        self.trial, self.home = None, 0

    def _typical(self) -> float:
        return statistics.median(seconds for seconds, _ in self.times)

    def _is_slow(self) -> bool:
        """Return whether many of the recent steps were slow, or waited for a core."""
        total, waited = map(sum, zip(*self.times, strict=True))
        if waited > max(HELD_UP_S, WAITED * total):
            return True
        limit = SLOW * self.fastest.get(self.home, math.inf)
        return sum(s > limit or wait > WAITED * s for s, wait in self.times) >= MANY

    def _try(self, rung: int) -> None:
        self.trial, self.trial_times = rung, []
        self.set_threads(self.threads)

    def _judge(self, seconds: float) -> None:
        """End a trial as soon as it is clear which number of threads is faster."""
        self.trial_times.append(seconds)
        typical = self._typical()
        is_clearly_worse = seconds > 1.5 * typical
        if len(self.trial_times) < PROBES and not is_clearly_worse:
            return
        assert self.trial is not None  # noqa: S101  (the caller looked)
        lost = sum(self.trial_times) - typical * len(self.trial_times)
        if not is_clearly_worse and statistics.median(self.trial_times) < 0.95 * typical:
            self.home = self.trial
            self.times.clear()
        self.patience = PRICE * max(lost, typical)
        self.trial = None
        self.set_threads(self.threads)


def _seconds_waited() -> float:
    """Return the seconds that this thread was ready and had no core; nan where nobody counts."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return math.nan
