"""Is a table right?  Fresh random networks, timed whole, beside what the table says of them.

Three numbers are put side by side, on the same networks in the same run:

- *the table*: how far its predictions are off;
- *multiply-adds*: how far an affine fit on multiply-adds alone is off, which costs no table;
- *repeating*: how far a second measurement is off the first, which nothing can beat.

Networks that the table was measured on take their turns among them: how much slower they are than
then is the drift of the machine, which is no fault of the table, and is told apart; how far each is
off what it was is what repeating gives where some minutes lie in between.
"""

import statistics
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat

from tapetum.arch import Choices, cost
from tapetum.latency.campaign import Campaign, Prepare, draw
from tapetum.latency.drift import Drift, drift_between
from tapetum.latency.table import LatencyTable
from tapetum.latency.timing import Block, noise_of, take_turns, undisturbed
from tapetum.progress import ProgressCallback
from tapetum.records import Record

__all__ = ["CHECK_SEED", "Check", "CheckedNetwork", "Errors", "check_table", "measure_drift"]

CHECK_SEED = 1_000_003  # far from the seeds of campaigns, so that no network is one of theirs
LEAST_ROUNDS, MOST_ROUNDS = 2, 3  # that a check takes twice, however often the table took them
NUM_LOOKS = 3  # at a table's own networks, one within the other: a burst that meets one is outvoted


class CheckedNetwork(Record):
    """One network of a check.

    Attributes:
        predicted_ms: By the table.
        low_ms: By the table, nine in ten networks take at least this,
        high_ms: and at most this.
        by_multiply_adds_ms: By the affine fit.
        measured_ms: Over all rounds, as tables are measured.
        first_ms: Over every other round, the first among them.
        second_ms: Over the rounds in between.
    """

    predicted_ms: float
    low_ms: float
    high_ms: float
    by_multiply_adds_ms: float
    measured_ms: float
    first_ms: float
    second_ms: float


class Errors(NamedTuple):
    """How far predictions are off.

    Attributes:
        mean: Of the relative errors' sizes.
        worst: The largest of them.
        rank_correlation: Spearman's, 1 where the order is right.
    """

    mean: float
    worst: float
    rank_correlation: float


class Check(Record):
    """What came out of a check.

    Attributes:
        networks: That were timed.
        interval: Half-width of the interval that holds nine in ten where latencies are measured
            with the noise of the check: the table's, for more or less noise than the table had.
        noise: Of a latency over half of the rounds, a standard deviation, relatively.
        drift: How the machine had changed since the table was measured; ``None`` where the table
            has no witnesses.
        later: How far what the table's own networks took then is off what they take now; ``None``
            as above.
    """

    networks: tuple[CheckedNetwork, ...]
    interval: PositiveFloat
    noise: NonNegativeFloat
    drift: Drift | None = None
    later: Errors | None = None

    @property
    def table(self) -> Errors:
        """How far the table is off."""
        return _errors(self._all("predicted_ms"), self._all("measured_ms"))

    @property
    def at_its_speed(self) -> Errors | None:
        """How far the table is off but for the drift; ``None`` where that is not known."""
        if self.drift is None:
            return None
        now = np.array([self._now(one) for one in self.networks])
        return _errors(now, self._all("measured_ms"))

    @property
    def multiply_adds(self) -> Errors:
        """How far the affine fit on multiply-adds is off."""
        return _errors(self._all("by_multiply_adds_ms"), self._all("measured_ms"))

    @property
    def repeating(self) -> Errors:
        """How far a second measurement is off the first."""
        return _errors(self._all("second_ms"), self._all("first_ms"))

    @property
    def coverage(self) -> float:
        """The share of the measurements inside of the interval, which promises 90 %.

        Each half of the rounds is a measurement of every network.  The interval is for the noise
        that they have, and for the speed that the machine had, so the drift is taken out.
        """
        return statistics.fmean(
            abs(self._now(one) / measured_ms - 1) <= self.interval
            for one in self.networks
            for measured_ms in (one.first_ms, one.second_ms)
        )

    @property
    def coverage_as_stated(self) -> float:
        """The share of the networks inside of what the table states, whatever the drift."""
        return statistics.fmean(
            one.low_ms <= one.measured_ms <= one.high_ms for one in self.networks
        )

    @property
    def bias(self) -> float:
        """The median of the signed relative errors: a drift of the whole machine shows here."""
        return statistics.median(one.predicted_ms / one.measured_ms - 1 for one in self.networks)

    def summary(self) -> dict[str, object]:
        """All of it, as plain numbers."""
        return {
            "table": self.table._asdict(),
            "at_its_speed": None if self.at_its_speed is None else self.at_its_speed._asdict(),
            "multiply_adds": self.multiply_adds._asdict(),
            "repeating": self.repeating._asdict(),
            "coverage": self.coverage,
            "coverage_as_stated": self.coverage_as_stated,
            "interval": self.interval,
            "noise": self.noise,
            "bias": self.bias,
            "drift": None if self.drift is None else self.drift.model_dump(),
            "later": None if self.later is None else self.later._asdict(),
        }

    def _now(self, one: CheckedNetwork) -> float:
        """What is predicted for the speed that the machine had."""
        return one.predicted_ms if self.drift is None else self.drift.now(one.predicted_ms)

    def _all(self, name: str) -> NDArray[np.float64]:
        return np.array([getattr(one, name) for one in self.networks], dtype=np.float64)


def check_table(
    table: LatencyTable,
    prepare: Prepare,
    *,
    num_networks: int,
    block: Block,
    progress: ProgressCallback,
) -> Check:
    """Times fresh random networks of the table's space.

    Args:
        table: To check.
        prepare: Makes a network ready under the table's conditions.
        num_networks: That are drawn.
        block: Passes of a turn.
        progress: Is told of each turn.
    """
    campaign = Campaign(conditions=table.conditions, space=table.space, seed=CHECK_SEED)
    drawn = [draw(campaign, index) for index in range(num_networks)]
    timed = [*drawn, *(witness.choices for witness in table.witnesses)]
    num_rounds = 2 * min(max(table.accuracy.num_rounds, LEAST_ROUNDS), MOST_ROUNDS)
    visits = _visit(table, prepare, timed, num_rounds, block, progress)
    networks = tuple(
        _checked(table, choices, found)
        for choices, found in zip(drawn, visits[:num_networks], strict=True)
    )
    noise = noise_of(visits, over=num_rounds // 2) or 0.0
    check = Check(networks=networks, interval=table.accuracy.interval_at(noise), noise=noise)
    if not table.witnesses:
        return check
    then, again = [one.median_ms for one in table.witnesses], visits[num_networks:]
    drift = _drift(then, again, looks=2)  # at the speed that the halves of the fresh ones had
    return check.model_copy(update={"drift": drift, "later": _later(then, again)})


def measure_drift(
    table: LatencyTable, prepare: Prepare, *, block: Block, progress: ProgressCallback
) -> Drift:
    """How the machine has changed since a table was measured.

    The table's own networks are visited as often as they were then, as the faster half of many
    visits is quicker than that of a few; and that :data:`NUM_LOOKS` times.

    Args:
        table: That has witnesses.
        prepare: Makes a network ready under the table's conditions.
        block: Passes of a turn.
        progress: Is told of each turn.
    """
    timed = [witness.choices for witness in table.witnesses]
    num_rounds = NUM_LOOKS * min(table.accuracy.num_rounds, 2 * MOST_ROUNDS)
    visits = _visit(table, prepare, timed, num_rounds, block, progress)
    return _drift([one.median_ms for one in table.witnesses], visits, looks=NUM_LOOKS)


def _visit(
    table: LatencyTable,
    prepare: Prepare,
    timed: Sequence[Choices],
    num_rounds: int,
    block: Block,
    progress: ProgressCallback,
) -> list[list[float]]:
    """The visits of each network, round by round."""
    # Witnesses in a row would tell the mood of the machine in a few seconds of each round.
    order = np.random.default_rng(CHECK_SEED).permutation(len(timed)).tolist()
    rounds = take_turns(
        [partial(prepare, table.space.architecture(timed[index])) for index in order],
        block,
        num_rounds=num_rounds,
        progress=progress,
    )
    by_index = dict(zip(order, rounds, strict=True))
    return [
        [statistics.median(passes) for passes in by_index[index]] for index in range(len(timed))
    ]


def _checked(table: LatencyTable, choices: Choices, visits: Sequence[float]) -> CheckedNetwork:
    """A fresh network beside what is said of it."""
    size = (table.conditions.height_px, table.conditions.width_px)
    predicted = table.predict(choices)
    num_multiply_adds = cost.multiply_adds(table.space.architecture(choices), *size)
    return CheckedNetwork(
        predicted_ms=predicted.median_ms,
        low_ms=predicted.low_ms,
        high_ms=predicted.high_ms,
        by_multiply_adds_ms=table.baseline.predict(num_multiply_adds),
        measured_ms=undisturbed(visits),
        first_ms=undisturbed(visits[::2]),
        second_ms=undisturbed(visits[1::2]),
    )


def _drift(then_ms: Sequence[float], visits: Sequence[Sequence[float]], *, looks: int) -> Drift:
    """Between what networks took and what they take, by each of some looks at all of them."""
    now_ms = [undisturbed(found[first::looks]) for first in range(looks) for found in visits]
    return drift_between([*then_ms] * looks, now_ms)


def _later(then_ms: Sequence[float], visits: Sequence[Sequence[float]]) -> Errors:
    """How far what the table's own networks took then is off what they take now."""
    return _errors(np.array(then_ms), np.array([undisturbed(found) for found in visits]))


def _errors(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> Errors:
    sizes: Sequence[float] = np.abs(predicted / measured - 1).tolist()
    return Errors(statistics.fmean(sizes), max(sizes), _rank_correlation(predicted, measured))


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    from scipy.stats import spearmanr  # type: ignore[import-untyped,unused-ignore]

    return float(spearmanr(a, b).statistic) if len(a) > 1 else 1.0
