"""Times whole random networks of a space, round after round, in a log that survives a kill.

Networks of every size are drawn, since a budget may be asked for anywhere in the range of a space.
Each is drawn from (seed, index), so that a campaign that was killed goes on with the next one, and
two campaigns of different seeds share no network.  Every round visits all of them, so that
the visits of one lie far apart and meet the machine in different moods; the faster half of them
counts.  There is no new round when the latencies are sure enough, or when the time is over.

The log is JSON lines: what is measured in the first, one visit in each of the others; a line that a
kill has torn is measured again.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from tapetum.arch import Architecture, Choice, Space
from tapetum.errors import InputError
from tapetum.latency.conditions import Conditions
from tapetum.latency.drift import TYPICAL_WANDER, wander_of
from tapetum.latency.pricing import Sample
from tapetum.latency.timing import Block, Run, noise_of, time_block, undisturbed
from tapetum.progress import ProgressCallback
from tapetum.records import Record, write_atomically

__all__ = [
    "FEWEST_NETWORKS",
    "SURE_ENOUGH",
    "Campaign",
    "Measurements",
    "Prepare",
    "draw",
    "measure",
]

SURE_ENOUGH = 0.007  # noise below which another round would add nothing that a user could tell
FEWEST_ROUNDS = 3  # fewer cannot tell a disturbed visit from the others
FEWEST_NETWORKS = 60  # fewer cannot tell the machine's rates apart
VISITS_OF_A_PACE = 60  # after which one knows how long a visit takes

Prepare = Callable[[Architecture], Run]
"""Makes a network ready to be timed under the conditions at hand."""


class Campaign(Record):
    """What a log of measurements is of.

    Args:
        conditions: Under which networks are timed.
        space: That they are drawn from.
        seed: Of the draws.
    """

    format: Literal["tapetum-latency-log"] = "tapetum-latency-log"
    schema_version: Literal[2] = 2  # 1 drew networks of middling size alone
    conditions: Conditions
    space: Space
    seed: int


class Visit(Record):
    """A line of the log.

    Args:
        round_number: From 0.
        index: Of the network; with the seed it says which one it is.
        median_ms: Of its passes.
    """

    round_number: int
    index: int
    median_ms: float


class Measurements(NamedTuple):
    """What a campaign has come to.

    Attributes:
        samples: Every network, in the order of the draws, with what its visits come to.
        num_rounds: In which all of them were visited.
        noise: How far off the latency of a network is because the machine is noisy, relatively
            (:func:`~tapetum.latency.timing.noise_of`); ``None`` before the second round.
        wander: How far the machine's speed goes from one measurement as long as this to the next,
            relatively (:func:`~tapetum.latency.drift.wander_of`).
    """

    samples: list[Sample]
    num_rounds: int
    noise: float | None
    wander: float = TYPICAL_WANDER

    @property
    def is_sure(self) -> bool:
        """Whether another round would add nothing."""
        if self.noise is None or self.num_rounds < FEWEST_ROUNDS:
            return False
        return self.noise <= SURE_ENOUGH


def draw(campaign: Campaign, index: int) -> dict[str, Choice | None]:
    """The network of an index."""
    return campaign.space.random_of_any_size(np.random.default_rng((campaign.seed, index)))


def measure(
    campaign: Campaign,
    prepare: Prepare,
    log: Path,
    *,
    count: int,
    limit_s: float,
    block: Block,
    progress: ProgressCallback,
) -> Measurements:
    """Times networks until their latencies are sure, or the time is over.

    Args:
        campaign: What to measure.
        prepare: Makes a network ready.
        log: Where measurements are kept; what it holds already is not measured again.
        count: How many networks, where there is time to visit each of them often enough; fewer
            networks are visited so often where there is not.
        limit_s: Seconds that this may take; no visit is begun after it.
        block: Passes of each visit.
        progress: Is told of each visit.

    Raises:
        InputError: The log is of something else, or cannot be read.
    """
    visits = {(line.round_number, line.index): line.median_ms for line in _open_log(campaign, log)}
    begun, number, index, num_new = time.monotonic(), 0, 0, 0
    with log.open("a") as file:
        while True:
            if (number, index) not in visits:
                elapsed_s = time.monotonic() - begun
                if elapsed_s > limit_s or (index == 0 and _pool(campaign, visits).is_sure):
                    break
                run = prepare(campaign.space.architecture(draw(campaign, index)))
                median_ms = statistics.median(time_block(run, block))
                visits[number, index] = median_ms
                line = Visit(round_number=number, index=index, median_ms=median_ms)
                file.write(line.model_dump_json() + "\n")
                file.flush()
                num_new += 1
                if num_new == VISITS_OF_A_PACE:
                    pace_s = (time.monotonic() - begun) / num_new
                    count = _affordable(count, limit_s=limit_s, pace_s=pace_s)
                total = max(FEWEST_ROUNDS, number + 1) * count
                progress(len(visits), total, f"timing random networks, round {number + 1}")
            number, index = (number, index + 1) if index + 1 < count else (number + 1, 0)
    return _pool(campaign, visits)


def _affordable(count: int, *, limit_s: float, pace_s: float) -> int:
    """How many networks can be visited often enough in the time."""
    return min(count, max(FEWEST_NETWORKS, int(limit_s / (FEWEST_ROUNDS * pace_s))))


def _pool(campaign: Campaign, visits: Mapping[tuple[int, int], float]) -> Measurements:
    by_index: defaultdict[int, list[float]] = defaultdict(list)
    for (_, index), median_ms in visits.items():
        by_index[index].append(median_ms)
    found = list(by_index.values())
    return Measurements(
        [Sample(draw(campaign, i), undisturbed(by_index[i])) for i in sorted(by_index)],
        min(map(len, found), default=0),
        noise_of(found),
        wander_of(found),
    )


def _open_log(campaign: Campaign, log: Path) -> Iterator[Visit]:
    """The measurements of a log of this campaign; begins it where there is none."""
    if not log.exists():
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(campaign.model_dump_json() + "\n")
        return
    text = log.read_text()
    first, *lines = text.splitlines() or [""]
    if Campaign.from_json(first, source=str(log)) != campaign:
        raise InputError(
            f"{log} holds measurements of other conditions, another space or another seed",
            "remove it, or give another --out",
        )
    if not text.endswith("\n"):  # a kill has torn the last line
        write_atomically(log, "".join(f"{line}\n" for line in (first, *lines[:-1])).encode())
        del lines[-1:]
    for number, line in enumerate(lines, start=2):
        yield Visit.from_json(line, source=f"line {number} of {log}")
