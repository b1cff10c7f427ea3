"""Times what runs, again and again, and says how sure it is.

A shared machine is noisy in two ways.  Single passes are disturbed, always upwards: so a *block*
of passes counts by its median.  And the whole machine drifts by several per cent within seconds,
and is slower by half for some: so what is compared takes turns, block by block (A B C A B C), in
rounds that are spread in time, and the medians of the rounds are pooled
(:func:`summarize_rounds` for what a user meets, :func:`undisturbed` for what a block costs).
Minima over passes and a reference network beside were tried and did not help (docs/latency.md).

Each is made ready anew for its turn, so that one at a time lives in memory: the idle threads of
another one spin beside the one that is timed, and with two threads on two cores that doubles its
latency.

Two timings at once would time each other: :func:`one_at_a_time` sees to it that there is one.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveInt

from tapetum.errors import InputError
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record

__all__ = [
    "Block",
    "MakeReady",
    "Run",
    "Timing",
    "faster_half",
    "noise_left",
    "noise_of",
    "one_at_a_time",
    "shared_rounds",
    "summarize_rounds",
    "take_turns",
    "time_block",
    "undisturbed",
]

Run = Callable[[], object]
"""One pass of whatever is timed; on a GPU it returns only when the GPU is done."""

MakeReady = Callable[[], Run]
"""Makes something ready to be timed; what it took goes when the run does."""


LOW_QUANTILE, ITS_NORMAL = 0.3, 0.3853  # of a difference's size, for a normal deviate of sigma 1
NUM_SIMULATED = 20_000
NUM_HALVINGS = 32  # of the rounds, drawn
LOCK_FOLDER = Path(tempfile.gettempdir())  # one for everything on this machine


class Block(Record):
    """How long the passes of one turn took; none of them is thrown away.

    Args:
        warmups: Passes, at least, that go before and do not count.
        warmup_ms: And so many milliseconds together, at least.
        min_passes: At least so many count.
        min_ms: And at least so many milliseconds together.
    """

    warmups: PositiveInt = 1
    warmup_ms: NonNegativeFloat = 15.0
    min_passes: PositiveInt = 3
    min_ms: NonNegativeFloat = 40.0


class Timing(Record):
    """A latency, from rounds of blocks of passes.

    Attributes:
        median_ms: Of the medians of the rounds.
        mean_ms: Of all passes, as papers report.
        p95_ms: Of all passes.
        spread: Between the quartiles of the rounds' medians, over the median; 0 for one round.
        num_rounds: Spread in time.
        num_passes: In all rounds together.
    """

    median_ms: float
    mean_ms: float
    p95_ms: float
    spread: float
    num_rounds: int
    num_passes: int


def time_block(run: Run, block: Block) -> list[float]:
    """The passes of one turn, in milliseconds each."""
    _passes(run, at_least=block.warmups, at_least_ms=block.warmup_ms)
    return _passes(run, at_least=block.min_passes, at_least_ms=block.min_ms)


def _passes(run: Run, *, at_least: int, at_least_ms: float) -> list[float]:
    passes: list[float] = []
    while len(passes) < at_least or sum(passes) < at_least_ms:
        start = time.perf_counter_ns()
        run()
        passes.append((time.perf_counter_ns() - start) / 1e6)
    return passes


def take_turns(
    things: Sequence[MakeReady],
    block: Block,
    *,
    num_rounds: int,
    pause_s: float = 0.0,
    progress: ProgressCallback = silent,
) -> list[list[list[float]]]:
    """Times several things in turn, so that a drift of the machine meets them all.

    Args:
        things: What is timed; made ready anew for each turn.
        block: How long a turn is.
        num_rounds: How often everything has its turn.
        pause_s: Between rounds, to spread them in time.
        progress: Is told of each turn.

    Returns:
        For each of ``things``, for each round, the passes in milliseconds.
    """
    found: list[list[list[float]]] = [[] for _ in things]
    for round_number in range(num_rounds):
        if round_number and pause_s:
            time.sleep(pause_s)
        for index, make_ready in enumerate(things):
            found[index].append(time_block(make_ready(), block))
            done = round_number * len(things) + index + 1
            progress(done, num_rounds * len(things), "timing")
    return found


def undisturbed(visits: Sequence[float]) -> float:
    """What the visits of one thing come to: the mean of the faster half of them.

    Neighbours on a shared machine slow some visits by half, for seconds at a time, and nothing ever
    makes one faster: of three visits, two are disturbed far too often for a median (docs/log.md).

    Args:
        visits: Medians of their passes, at least one.
    """
    return statistics.fmean(sorted(visits)[: _num_counting(len(visits))])


def _num_counting(num_visits: int) -> int:
    """The faster half of the visits, and the one in the middle."""
    return (num_visits + 1) // 2


def shared_rounds(visits: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """The logarithms of the rounds that all things have, (things, rounds).

    Args:
        visits: Of each of many things, round by round.
    """
    num_rounds = min(map(len, visits), default=0)
    logs: NDArray[np.float64] = np.log([found[:num_rounds] for found in visits])
    return logs.reshape(len(visits), num_rounds)


def noise_of(visits: Sequence[Sequence[float]], *, over: int | None = None) -> float | None:
    """How far off what :func:`undisturbed` says is, because the machine is noisy.

    Two halves of the rounds are two measurements of everything, and how far they are apart is the
    noise of one of them: where bursts slow a third of the visits, the faster half of those is surer
    than the spread of single visits would let one believe.

    Args:
        visits: Of each of many things, round by round; as many rounds count as all have.
        over: So many visits that it says something about; by default as many as there are rounds.

    Returns:
        A standard deviation, relatively, of the noise that meets every visit: by a quantile so low
        that bursts do not count.  ``None`` for less than two rounds.
    """
    logs = shared_rounds(visits)
    num_rounds = logs.shape[1]
    if num_rounds < 2:
        return None
    logs -= np.median(logs, axis=0)  # a round in which all are slower is no noise
    half, generator = num_rounds // 2, np.random.default_rng(0)
    apart = []
    for _ in range(NUM_HALVINGS):
        rounds = generator.permutation(num_rounds)
        first, second = rounds[:half], rounds[half : 2 * half]
        apart.append(faster_half(logs[:, first]) - faster_half(logs[:, second]))
    typical = float(np.quantile(np.abs(apart), LOW_QUANTILE)) / ITS_NORMAL
    return typical / 2**0.5 * noise_left(over or num_rounds) / noise_left(half)


def faster_half(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the visits (things, rounds) of each thing come to, as :func:`undisturbed`.

    Args:
        logs: Logarithms, of which the mean is taken.
    """
    counting = np.sort(logs, axis=1)[:, : _num_counting(logs.shape[1])]
    found: NDArray[np.float64] = counting.mean(axis=1)
    return found


@lru_cache
def noise_left(num_visits: int) -> float:
    """What the faster half of so many visits leaves of the noise of one, were it normal.

    Args:
        num_visits: At least one.

    Returns:
        A share, by simulation.
    """
    drawn = np.random.default_rng(0).standard_normal((NUM_SIMULATED, num_visits))
    return float(faster_half(drawn).std())


def summarize_rounds(rounds: Sequence[Sequence[float]]) -> Timing:
    """What the rounds of one thing come to."""
    medians = [statistics.median(passes) for passes in rounds]
    passes = sorted(value for one in rounds for value in one)
    median = statistics.median(medians)
    spread = 0.0
    if len(medians) > 1:
        low, _, high = statistics.quantiles(medians, n=4, method="inclusive")
        spread = (high - low) / median
    return Timing(
        median_ms=median,
        mean_ms=statistics.fmean(passes),
        p95_ms=passes[min(len(passes) - 1, int(0.95 * len(passes)))],
        spread=spread,
        num_rounds=len(rounds),
        num_passes=len(passes),
    )


@contextmanager
def one_at_a_time(folder: Path | None = None) -> Iterator[None]:
    """Holds the lock that every timing of this machine takes.

    Args:
        folder: Where the lock lies; by default where this machine keeps temporary files.

    Raises:
        InputError: Another timing is going on.
    """
    from filelock import FileLock, Timeout

    path = (folder or LOCK_FOLDER) / "tapetum-timing.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"another timing is going on here and holds {path}",
            "wait for it: two at once would time each other",
        ) from error
    try:
        yield
    finally:
        lock.release()
