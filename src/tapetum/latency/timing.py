r"""Time forward passes on a machine that other processes share.

Single passes are disturbed, always upwards, so the passes of one round count by their median.  The
speed of the whole machine drifts by several per cent within seconds.  So networks that are compared
are timed interleaved (A B C A B C), in rounds that are spread in time.

A network is prepared anew for each round: the idle threads of a second session in memory spin and
can double the latency of the first.

Where another process takes the core in the middle of a pass, the pass is *preempted*: its duration
on the wall is longer than the time that the processor worked for it.  Such passes do not count, and
others are run instead, up to a limit.  The share of the core that all passes got, counted or not,
stays with the result (:attr:`Timing.core_share`), and a shared core is reported.

The processor's time of a pass with ``threads`` inference threads is

.. math::
    c = \max(c_\text{caller}, \; c_\text{process} / n_\text{threads}) .

The calling thread works on every layer, and runtimes let it spin while it waits for the others: if
nobody interrupts it, its time is that of the wall, whatever the number of threads.  Where a runtime
computes in threads of its own, the mean over the threads of the process tells the same.
Networks on a GPU have no such measure.
"""

import logging
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from tapetum.latency.agent import Round, core_share, time_pass, time_round
from tapetum.latency.lock import timing_lock
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record

__all__ = [
    "ForwardPass",
    "PassCount",
    "Prepare",
    "Round",
    "Timing",
    "shared_core",
    "time_interleaved",
    "time_paced",
    "time_passes",
    "time_rounds",
    "timings_of",
]

ForwardPass = Callable[[], object]
"""Run one forward pass; on a GPU, return when the GPU is done."""

Prepare = Callable[[], ForwardPass]
"""Load a network; what it holds is freed with the forward pass that it returns."""

NUM_ROUNDS, PAUSE_S = 10, 1.0
QUIET_SHARE = 0.9  # of the core; where all passes together got less, the machine is busy

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
        num_preempted: Number of passes that were thrown away, because another process took the
            core.
        core_share: Share of the core that the passes got, thrown away or not; None where it is not
            measured.
    """

    median_ms: float
    mean_ms: float
    p95_ms: float
    spread: float
    num_rounds: int
    num_passes: int
    num_preempted: NonNegativeInt = 0
    core_share: float | None = None

    @classmethod
    def of(cls, rounds: Sequence[Round]) -> Self:
        """Return the timing of some rounds of one network."""
        medians = [one.median_ms for one in rounds]
        passes = sorted(pass_ms for one in rounds for pass_ms in one.passes_ms)
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
            num_preempted=sum(one.num_preempted for one in rounds),
            core_share=core_share(rounds),
        )

    @classmethod
    def of_passes(cls, passes_ms: Sequence[float]) -> Self:
        """Return the timing of passes in a row, in milliseconds, of which all count."""
        return cls.of([Round(passes_ms)])

    @property
    def shared(self) -> str:
        """A sentence that the core was shared; empty where it was ours."""
        return shared_core([self.core_share])


def shared_core(shares: Iterable[float | None]) -> str:
    """Say that the core was shared, and our share of it; return nothing where it was ours.

    Args:
        shares: The share of the core in each of several timings; their mean counts.
    """
    known = [share for share in shares if share is not None]
    if not known or statistics.fmean(known) >= QUIET_SHARE:
        return ""
    share = 100 * statistics.fmean(known)
    return f"another process uses this core: our passes got {share:.0f} % of it"


def time_passes(forward: ForwardPass, passes: PassCount, *, threads: int | None = 1) -> Round:
    """Time one round, without the warm-up and without preempted passes.

    Args:
        forward: Runs one pass.
        passes: The passes of the round; see :func:`tapetum.latency.agent.time_round`.
        threads: Inference threads; None where the processor does not compute, as with a GPU.
    """
    return time_round(forward, **passes.model_dump(), threads=threads)


def time_paced(forward: ForwardPass, *, pace_ms: float, num_passes: int) -> Round:
    """Time passes that begin ``pace_ms`` apart, as for the frames of a camera.

    Between two of them other programs run, and caches of the processor lose what the network
    needs.  So each pass can take longer than in a row.  All of them count, preempted or not.
    """
    durations = [0.0]
    time_passes(forward, PACED_WARM_UP)
    for _ in range(num_passes):
        time.sleep(max(0.0, pace_ms - durations[-1]) / 1000)
        durations.append(time_pass(forward, None).wall_ms)
    return Round(durations[1:])


def time_rounds(
    networks: Sequence[Prepare],
    passes: PassCount,
    *,
    num_rounds: int,
    pause_s: float = 0.0,
    threads: int | Sequence[int | None] | None = 1,
    progress: ProgressCallback = silent,
) -> list[list[Round]]:
    """Time several networks as :func:`time_interleaved` does, without the lock.

    The threads may be one number for each network.

    Returns:
        The rounds of each network.
    """
    rounds: list[list[Round]] = [[] for _ in networks]
    each = threads if isinstance(threads, Sequence) else [threads] * len(networks)
    for round_number in range(num_rounds):
        if round_number and pause_s:
            time.sleep(pause_s)
        for index, prepare in enumerate(networks):
            rounds[index].append(time_passes(prepare(), passes, threads=each[index]))
            done = round_number * len(networks) + index + 1
            progress(done, num_rounds * len(networks), "timing in rounds, in measurements")
    return rounds


def time_interleaved(
    networks: Sequence[Prepare],
    *,
    num_rounds: int | None = None,
    pause_s: float | None = None,
    passes: PassCount = LONG_ROUND,
    threads: int | None = 1,
    progress: ProgressCallback = silent,
) -> list[Timing]:
    """Return the latency of each of several networks, timed interleaved while nothing else is.

    Args:
        networks: Each prepares a network, anew for each round.
        num_rounds: Number of rounds; 10 by default.
        pause_s: Seconds between two rounds, which spread them in time; 1 by default.
        passes: Passes of each network in each round.
        threads: Inference threads; None where the processor does not compute, as with a GPU.
        progress: Receives each network of each round.

    Raises:
        InputError: Another timing is running on this machine, and does not end.
    """
    num_rounds = NUM_ROUNDS if num_rounds is None else num_rounds
    pause_s = PAUSE_S if pause_s is None else pause_s
    with timing_lock():
        rounds = time_rounds(
            networks,
            passes,
            num_rounds=num_rounds,
            pause_s=pause_s,
            threads=threads,
            progress=progress,
        )
    return timings_of(rounds)


def timings_of(rounds: Iterable[Sequence[Round]]) -> list[Timing]:
    """Return the timing of each network, and warn where the core was shared."""
    timings = [Timing.of(one) for one in rounds]
    if shared := shared_core(timing.core_share for timing in timings):
        _log.warning("%s; passes that were interrupted do not count", shared)
    return timings
