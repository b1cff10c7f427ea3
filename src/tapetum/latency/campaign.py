"""Time random networks of a space, round after round, in a folder that survives a kill.

Networks of every size are drawn, each from (seed, index), so that a continued campaign draws the
same ones.  Each round times all networks, so that the repeats of one lie far apart.  Rounds end
when the noise is low enough, at the time limit, or after the most rounds.

::

    TABLE.json.campaign/
      request.json     the conditions, the space and the seed
      medians.jsonl    a line for each network of each round; a torn line is measured again

The folder goes when the table is written.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from tapetum.arch import Choice, Space
from tapetum.errors import InputError
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.pricing import Sample
from tapetum.latency.rounds import faster_half_mean, relative_noise
from tapetum.latency.runtimes import Runtime, watched_threads
from tapetum.latency.timing import PassCount, shared_core, time_passes
from tapetum.progress import ProgressCallback
from tapetum.records import Record, named_in_errors

__all__ = ["LOW_NOISE", "Campaign", "Effort", "Measurements", "draw", "run_campaign"]

LOW_NOISE = 0.007  # relative; below it another round would not change a table noticeably
FEWEST_ROUNDS = 3  # fewer cannot tell a disturbed median from the others
FEWEST_NETWORKS = 60  # fewer cannot tell the prices apart
NUM_TIMED_FOR_PACE = 60  # after which the seconds for each network are known
FIT_SHARE = 0.05  # of the time: fitting prices to some hundred networks
MEDIANS = "medians.jsonl"

Medians = dict[tuple[int, int], float]
"""The median latency of a network in a round, in milliseconds, by (round, index)."""


@dataclass(frozen=True)
class Effort:
    """How much is measured for a table.

    Attributes:
        networks: Number of random networks; fewer where there is no time for enough rounds.
        minutes: Time limit.
        max_rounds: The most rounds, however noisy the machine is.
    """

    networks: int = 400
    minutes: float = 6.0
    max_rounds: int = 50

    def __post_init__(self) -> None:
        has_time = math.isfinite(self.minutes) and self.minutes > 0
        if self.networks < FEWEST_NETWORKS or not has_time or self.max_rounds < 1:
            raise InputError(
                f"no table can be measured with {self.networks} networks in {self.minutes:g} "
                f"minutes and at most {self.max_rounds} rounds",
                f"request {FEWEST_NETWORKS} networks or more, some minutes, and 1 round or more",
            )


class Campaign(Record):
    """The request of a campaign: the conditions, the space, and the seed of the draws."""

    format: Literal["tapetum-latency-campaign"] = "tapetum-latency-campaign"
    schema_version: Literal[1] = 1
    conditions: Conditions
    space: Space
    seed: int


class RoundMedian(Record):
    """A line of the log: the median latency of a network in a round, and the share of the core."""

    round_number: int
    index: int
    median_ms: float
    core_share: float | None = None


class Measurements(NamedTuple):
    """Every network with its latency, the rounds that all have, and the relative noise."""

    samples: list[Sample]
    num_rounds: int
    noise: float | None

    @property
    def is_precise(self) -> bool:
        """Whether another round is not needed."""
        is_quiet = self.noise is not None and self.noise <= LOW_NOISE
        return is_quiet and self.num_rounds >= FEWEST_ROUNDS


def draw(campaign: Campaign, index: int) -> dict[str, Choice | None]:
    """Return the choices of the network of an index."""
    return campaign.space.random_of_any_size(np.random.default_rng((campaign.seed, index)))


def run_campaign(
    campaign: Campaign,
    runtime: Runtime,
    folder: Path,
    *,
    effort: Effort,
    passes: PassCount,
    progress: ProgressCallback,
) -> Measurements:
    """Time networks until they are precise, or the effort is spent; go on from a log."""
    log, threads = folder / MEDIANS, watched_threads(runtime, campaign.conditions)
    medians, pace, shares = _read_log(log), _Pace(effort), list[float | None]()
    for number, index in _schedule(campaign, medians, pace):
        network = DeployedNetwork.of(campaign.space.architecture(draw(campaign, index)))
        forward = runtime.prepare(network, campaign.conditions)
        timed = time_passes(forward, passes, threads=threads)
        where = {"round_number": number, "index": index}
        line = RoundMedian(**where, median_ms=timed.median_ms, core_share=timed.core_share)
        with named_in_errors(log), log.open("a") as file:
            file.write(line.model_dump_json() + "\n")
        medians[number, index] = timed.median_ms
        shares.append(timed.core_share)
        pace.count_one()
        if len(shares) in (NUM_TIMED_FOR_PACE, FEWEST_ROUNDS * NUM_TIMED_FOR_PACE):
            _require_quiet(shares)  # not after minutes
        total = max(FEWEST_ROUNDS, number + 1) * pace.num_networks
        progress(
            len(medians),
            total,
            f"timing networks, round {number + 1}, in about measurements",
        )
    _require_quiet(shares)
    return _pool(campaign, medians, pace.num_networks)


def _require_quiet(shares: Sequence[float | None]) -> None:
    """Refuse a table that is measured while other processes take the core."""
    if shared := shared_core(shares):
        raise InputError(
            f"{shared}; a latency table measured so is not kept",
            "end the other processes, or wait until they have ended, and repeat the command",
        )


class _Pace:
    """The time that is left, and the number of networks that it suffices for."""

    def __init__(self, effort: Effort) -> None:
        self.limit_s = (1 - FIT_SHARE) * 60 * effort.minutes
        self.num_networks, self.max_rounds = effort.networks, effort.max_rounds
        self.num_timed, self.begun = 0, time.monotonic()

    def is_over(self) -> bool:
        return time.monotonic() - self.begun > self.limit_s

    def count_one(self) -> None:
        """Count a network, and lower the number of networks where the device is too slow."""
        self.num_timed += 1
        if self.num_timed == NUM_TIMED_FOR_PACE:
            each_s = (time.monotonic() - self.begun) / self.num_timed
            affordable = int(self.limit_s / (FEWEST_ROUNDS * each_s))
            self.num_networks = min(self.num_networks, max(FEWEST_NETWORKS, affordable))


def _schedule(campaign: Campaign, medians: Medians, pace: _Pace) -> Iterator[tuple[int, int]]:
    """Yield the round and the index of each network that is still to be timed."""
    for number in range(pace.max_rounds):
        if (number, 0) not in medians and _pool(campaign, medians, pace.num_networks).is_precise:
            return
        # The number of networks may fall meanwhile.
        for index in takewhile(lambda index: index < pace.num_networks, count()):
            if (number, index) not in medians:
                if pace.is_over():
                    return
                yield number, index


def _pool(
    campaign: Campaign, medians: Mapping[tuple[int, int], float], num_networks: int
) -> Measurements:
    """Return the latency of all networks; rounds and noise are of those that are timed on."""
    by_index: defaultdict[int, list[float]] = defaultdict(list)
    for (_, index), median_ms in medians.items():
        by_index[index].append(median_ms)
    rows = [row for index, row in by_index.items() if index < num_networks]
    samples = [Sample(draw(campaign, i), faster_half_mean(by_index[i])) for i in sorted(by_index)]
    return Measurements(samples, min(map(len, rows), default=0), relative_noise(rows))


def _read_log(log: Path) -> Medians:
    """Return the medians of a log.

    A line that a kill or a full disk has torn does not count, nor does one of a shared core.
    """
    if not log.exists():
        return {}
    text = log.read_text(errors="replace")
    if text and not text.endswith("\n"):
        with log.open("a") as file:
            file.write("\n")  # so that the next line is not appended to a torn one
    medians: Medians = {}
    for line in text.splitlines():
        try:
            read = RoundMedian.from_json(line, source=str(log))
        except InputError:
            continue
        if not shared_core([read.core_share]):
            medians[read.round_number, read.index] = read.median_ms
    return medians
