"""Time forward passes on a machine that other processes share.

Single passes are disturbed, always upwards, so the passes of one round count by their median.  The
speed of the whole machine drifts by several per cent within seconds.  So networks that are compared
are timed interleaved (A B C A B C), in rounds that are spread in time.

A network is prepared anew for each round: the idle threads of a second session in memory spin and
can double the latency of the first.
"""

import logging
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from pydantic import NonNegativeFloat, PositiveInt

from tapetum.errors import InputError
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record

__all__ = [
    "ForwardPass",
    "PassCount",
    "Prepare",
    "Timing",
    "time_interleaved",
    "time_paced",
    "time_passes",
    "time_rounds",
    "timing_lock",
]

ForwardPass = Callable[[], object]
"""Run one forward pass; on a GPU, return when the GPU is done."""

Prepare = Callable[[], ForwardPass]
"""Load a network; what it holds is freed with the forward pass that it returns."""

NUM_ROUNDS, PAUSE_S = 10, 1.0
MOST_PASSES = 100_000  # in one round, so that a clock that stands still cannot hang a measurement
LOCK_NAME = "tapetum-timing"  # on Linux, in the namespace that has no files
LOCK_PORT = 21_907  # elsewhere
LONGEST_WAIT_S = 1_200.0  # for another measurement; a table takes minutes
SECONDS_BETWEEN_TRIES = 0.25

_log = logging.getLogger(__name__)


class PassCount(Record):
    """The least number of forward passes in one round, and the least time of all together."""

    warmups: PositiveInt = 1  # before counting
    warmup_ms: NonNegativeFloat = 15.0
    min_passes: PositiveInt = 3  # counted: each enters the result
    min_ms: NonNegativeFloat = 40.0


PACED_WARM_UP = PassCount(min_passes=1, min_ms=0)
SHORT_ROUND, LONG_ROUND = PassCount(), PassCount(min_passes=5, min_ms=100)


class Timing(Record):
    """The latency of one network.

    Attributes:
        median_ms: Median of the rounds' medians, in milliseconds.
        mean_ms: Mean of all passes.
        p95_ms: 95th percentile of all passes.
        spread: Distance between the quartiles of the rounds' medians, over the median; 0 for one
            round.
        num_rounds: Number of rounds.
        num_passes: Number of passes in all rounds together.
    """

    median_ms: float
    mean_ms: float
    p95_ms: float
    spread: float
    num_rounds: int
    num_passes: int

    @classmethod
    def of(cls, rounds: Sequence[Sequence[float]]) -> Self:
        """Return the timing of the passes of each round, in milliseconds."""
        medians = [statistics.median(passes) for passes in rounds]
        passes = sorted(pass_ms for in_round in rounds for pass_ms in in_round)
        median = statistics.median(medians)
        spread = 0.0
        if len(medians) > 1:
            low, _, high = statistics.quantiles(medians, n=4, method="inclusive")
            spread = (high - low) / median
        return cls(
            median_ms=median,
            mean_ms=statistics.fmean(passes),
            p95_ms=passes[min(len(passes) - 1, int(0.95 * len(passes)))],
            spread=spread,
            num_rounds=len(rounds),
            num_passes=len(passes),
        )


def time_passes(forward: ForwardPass, passes: PassCount) -> list[float]:
    """Return the duration of each pass of one round, in milliseconds, without the warm-up."""
    _time_passes(forward, at_least=passes.warmups, at_least_ms=passes.warmup_ms)
    return _time_passes(forward, at_least=passes.min_passes, at_least_ms=passes.min_ms)


def _time_passes(forward: ForwardPass, *, at_least: int, at_least_ms: float) -> list[float]:
    durations: list[float] = []
    total_ms = 0.0
    while len(durations) < at_least or (total_ms < at_least_ms and len(durations) < MOST_PASSES):
        start = time.perf_counter_ns()
        forward()
        durations.append((time.perf_counter_ns() - start) / 1e6)
        total_ms += durations[-1]
    return durations


def time_paced(forward: ForwardPass, *, pace_ms: float, num_passes: int) -> list[float]:
    """Return the duration of passes that begin ``pace_ms`` apart, as for the frames of a camera.

    Between two of them the caches of the processor lose what the network needs, and its cores and
    threads fall asleep.  So each pass takes longer than in a row.
    """
    durations = [0.0]
    time_passes(forward, PACED_WARM_UP)
    for _ in range(num_passes):
        time.sleep(max(0.0, pace_ms - durations[-1]) / 1000)
        durations += _time_passes(forward, at_least=1, at_least_ms=0)
    return durations[1:]


def time_rounds(
    networks: Sequence[Prepare],
    passes: PassCount,
    *,
    num_rounds: int,
    pause_s: float = 0.0,
    progress: ProgressCallback = silent,
) -> list[list[list[float]]]:
    """Time several networks as :func:`time_interleaved` does, without the lock.

    Returns:
        For each network and each round, the duration of each pass in milliseconds.
    """
    durations: list[list[list[float]]] = [[] for _ in networks]
    for round_number in range(num_rounds):
        if round_number and pause_s:
            time.sleep(pause_s)
        for index, prepare in enumerate(networks):
            durations[index].append(time_passes(prepare(), passes))
            done = round_number * len(networks) + index + 1
            progress(done, num_rounds * len(networks), "timing")
    return durations


def time_interleaved(
    networks: Sequence[Prepare],
    *,
    num_rounds: int | None = None,
    pause_s: float | None = None,
    passes: PassCount = LONG_ROUND,
    progress: ProgressCallback = silent,
) -> list[Timing]:
    """Return the latency of each of several networks, timed interleaved while nothing else is.

    Args:
        networks: Each prepares a network, anew for each round.
        num_rounds: Number of rounds; 10 by default.
        pause_s: Seconds between two rounds, which spread them in time; 1 by default.
        passes: Passes of each network in each round.
        progress: Receives each network of each round.

    Raises:
        InputError: Another timing is running on this machine, and does not end.
    """
    num_rounds = NUM_ROUNDS if num_rounds is None else num_rounds
    pause_s = PAUSE_S if pause_s is None else pause_s
    with timing_lock():
        rounds = time_rounds(
            networks, passes, num_rounds=num_rounds, pause_s=pause_s, progress=progress
        )
    return [Timing.of(durations) for durations in rounds]


@contextmanager
def timing_lock() -> Iterator[None]:
    """Hold the one lock that every timing of this machine takes, and wait while another holds it.

    The lock is the address of a socket that nobody connects to.  It needs no file and no rights, is
    the same for all users whatever their temporary folder, and ends with the process that holds it.

    Raises:
        InputError: Another measurement has not ended within :data:`LONGEST_WAIT_S`.
    """
    is_linux = sys.platform == "linux"
    begun, has_told = time.monotonic(), False
    with socket.socket(socket.AF_UNIX if is_linux else socket.AF_INET) as lock:
        while True:
            try:
                lock.bind(f"\0{LOCK_NAME}" if is_linux else ("localhost", LOCK_PORT))
                break
            except OSError as error:
                if time.monotonic() - begun >= LONGEST_WAIT_S:
                    raise InputError(
                        "another latency measurement is running on this machine",
                        "repeat the command when it has ended: two at once slow each other",
                    ) from error
            if not has_told:
                has_told = True
                _log.warning(
                    "another latency measurement is running on this machine; waiting until it ends"
                )
            time.sleep(SECONDS_BETWEEN_TRIES)
        yield
