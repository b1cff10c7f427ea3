"""Compare a table with fresh random networks that are timed whole.

The same rounds give two errors to compare the table's with: that of an affine function of
multiply-adds, and the difference of two measurements, which no prediction can beat.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat

from tapetum.arch import Choices, cost
from tapetum.errors import InputError
from tapetum.latency.campaign import Campaign, draw
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.lock import timing_lock
from tapetum.latency.rounds import faster_half_mean, relative_noise
from tapetum.latency.runtimes import Runtime, watched_threads
from tapetum.latency.table import LatencyTable
from tapetum.latency.timing import (
    SHORT_ROUND,
    ForwardPass,
    PassCount,
    time_rounds,
    timings_of,
)
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record

__all__ = ["Check", "CheckedNetwork", "Errors", "check_table"]

CHECK_SEED = 1_000_003  # far from the seeds of campaigns, so that no network was seen before
FEWEST_ROUNDS, MOST_ROUNDS = 2, 3  # in each of the two measurements of a check


class CheckedNetwork(Record):
    """One network of a check: two predictions, and measurements over all and half of the rounds."""

    predicted_ms: float
    by_multiply_adds_ms: float
    measured_ms: float
    first_ms: float  # over every other round
    second_ms: float  # over the rounds in between


class Errors(NamedTuple):
    """Mean and largest relative error, and Spearman's rank correlation (1 for the right order)."""

    mean: float
    worst: float
    rank_correlation: float


class Check(Record):
    """The result of a check.

    Attributes:
        networks: The networks that were timed.
        interval: Relative half-width of the interval that should hold nine in ten measurements: the
            table's, for the noise of the check.
        noise: Relative standard deviation of a latency over half of the rounds.
    """

    networks: tuple[CheckedNetwork, ...]
    interval: PositiveFloat
    noise: NonNegativeFloat

    @property
    def table(self) -> Errors:
        """Errors of the table."""
        return _errors(self._all("predicted_ms"), self._all("measured_ms"))

    @property
    def same_speed(self) -> Errors:
        """Errors of the table, with the median error taken out."""
        return _errors(self._all("predicted_ms") / (1 + self.bias), self._all("measured_ms"))

    @property
    def multiply_adds(self) -> Errors:
        """Errors of the affine function of multiply-adds."""
        return _errors(self._all("by_multiply_adds_ms"), self._all("measured_ms"))

    @property
    def repeating(self) -> Errors:
        """Differences of the second measurement from the first."""
        return _errors(self._all("second_ms"), self._all("first_ms"))

    @property
    def bias(self) -> float:
        """Median of the signed errors: how the speed of the machine has changed since the table."""
        return float(np.median(self._all("predicted_ms") / self._all("measured_ms") - 1))

    @property
    def coverage(self) -> float:
        """Share of measurements (two of each network) inside the interval, without the bias."""
        measured = np.stack([self._all("first_ms"), self._all("second_ms")])
        ratios = self._all("predicted_ms") / measured
        return float((np.abs(ratios / np.median(ratios) - 1) <= self.interval).mean())

    def summary(self) -> dict[str, object]:
        """Return all numbers as plain values."""
        errors = ("table", "same_speed", "multiply_adds", "repeating")
        numbers = ("coverage", "interval", "noise", "bias")
        summary = {name: getattr(self, name)._asdict() for name in errors}
        return summary | {name: getattr(self, name) for name in numbers}

    def _all(self, name: str) -> NDArray[np.float64]:
        return np.array([getattr(net, name) for net in self.networks], dtype=np.float64)


def check_table(
    table: LatencyTable,
    runtime: Runtime,
    *,
    num_networks: int,
    what: str = "the table",
    passes: PassCount = SHORT_ROUND,
    progress: ProgressCallback = silent,
) -> Check:
    """Compare a table with new random networks, on the machine that it was measured on.

    Args:
        table: The table.
        runtime: The runtime that computes.
        num_networks: Number of networks.
        what: Name of the table in an error.
        passes: Passes of each network in each round.
        progress: Receives each network of each round.

    Raises:
        InputError: The table holds for other conditions, no network was requested, or another
            timing is running.
    """
    if num_networks < 1:
        raise InputError(
            f"a check on {num_networks} networks was requested", "request 1 network or more"
        )
    conditions = table.conditions
    shape = conditions.model_dump(include={"threads", "batch", "channels"})
    here = Conditions.here(runtime, **shape, size_px=conditions.width_px)
    conditions.require_same(here, what=what)
    campaign = Campaign(conditions=conditions, space=table.space, seed=CHECK_SEED)
    drawn = [draw(campaign, index) for index in range(num_networks)]
    num_rounds = 2 * min(max(table.accuracy.num_rounds, FEWEST_ROUNDS), MOST_ROUNDS)
    networks = [partial(_prepare, table, runtime, choices) for choices in drawn]
    with timing_lock():
        rounds = time_rounds(
            networks,
            passes,
            num_rounds=num_rounds,
            threads=watched_threads(runtime, conditions),
            progress=progress,
        )
    timings_of(rounds)  # warns of a shared core
    medians = [[one.median_ms for one in network] for network in rounds]
    noise = relative_noise(medians, num_rounds=num_rounds // 2) or 0.0
    checked = tuple(map(partial(_checked, table), drawn, medians))
    return Check(networks=checked, interval=table.accuracy.interval_at(noise), noise=noise)


def _prepare(table: LatencyTable, runtime: Runtime, choices: Choices) -> ForwardPass:
    network = DeployedNetwork.of(table.space.architecture(choices))
    return runtime.prepare(network, table.conditions)


def _checked(table: LatencyTable, choices: Choices, medians: Sequence[float]) -> CheckedNetwork:
    """Return a fresh network beside its predictions."""
    size = (table.conditions.height_px, table.conditions.width_px)
    num_multiply_adds = cost.multiply_adds(table.space.architecture(choices), *size)
    return CheckedNetwork(
        predicted_ms=table.predict(choices).median_ms,
        by_multiply_adds_ms=table.baseline.predict(num_multiply_adds),
        measured_ms=faster_half_mean(medians),
        first_ms=faster_half_mean(medians[::2]),
        second_ms=faster_half_mean(medians[1::2]),
    )


def _errors(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> Errors:
    sizes = np.abs(predicted / measured - 1)
    ranks = np.corrcoef(_ranks(predicted), _ranks(measured)) if len(sizes) > 1 else np.ones((2, 2))
    return Errors(float(sizes.mean()), float(sizes.max()), float(ranks[0, 1]))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
