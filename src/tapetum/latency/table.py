"""A latency table: what every choice of a search space costs on one device, in one runtime.

Entries are prices in a whole network (:mod:`tapetum.latency.pricing`), so a prediction is what is
fixed plus one entry for each slot, and changing one choice changes it by the difference of two
entries.  Nothing is extrapolated: what the table does not hold is an error that names the command
that measures it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, FiniteFloat, NonNegativeFloat, PositiveFloat, model_validator

from tapetum.arch import Architecture, Choice, Choices, Slot, Space, cost
from tapetum.errors import InputError
from tapetum.latency.campaign import SURE_ENOUGH, Measurements
from tapetum.latency.conditions import Conditions
from tapetum.latency.drift import TYPICAL_WANDER, Drift
from tapetum.latency.pricing import Key, Sample, fit_prices, keys_of
from tapetum.provenance import Provenance
from tapetum.records import Record

__all__ = [
    "Accuracy",
    "Baseline",
    "Entry",
    "LatencyTable",
    "Prediction",
    "Witness",
    "fit_baseline",
    "make_table",
]

NUM_WITNESSES = 30  # they tell the machine's speed to about a third of a per cent
NINE_IN_TEN = 1.645  # standard deviations of normal noise


class Prediction(NamedTuple):
    """What a network is predicted to take.

    Attributes:
        median_ms: For one pass under the table's conditions.
        low_ms: Nine in ten networks take at least this, measured minutes later,
        high_ms: and at most this.
    """

    median_ms: float
    low_ms: float
    high_ms: float


class Entry(Record):
    """The prices of an operator in a group of equal slots.

    Args:
        group: The path of the first of these slots.
        operator: Kernel and squeeze, such as ``k3-se``.
        prices_ms: By hidden width; a wider block never costs less.
    """

    group: str
    operator: str
    prices_ms: dict[int, NonNegativeFloat]

    @model_validator(mode="after")
    def _never_falls(self) -> "Entry":
        prices = [self.prices_ms[width] for width in sorted(self.prices_ms)]
        if any(after < before for before, after in pairwise(prices)):
            raise ValueError(f"{self.group} {self.operator}: a wider block costs less")
        return self


class Accuracy(Record):
    """How good the prices are on networks that they were not fitted to.

    Args:
        num_networks: That were timed, each predicted by the others.
        num_rounds: In which each of them was visited.
        noise: Of the latency of one of them, a standard deviation, relatively; ``None`` for one
            round.
        mean_relative_error: Of the predictions.
        worst_relative_error: Of the predictions.
        interval: Half-width of the interval around a prediction that holds nine in ten, relatively,
            at the speed and the noise that the machine had.
        wander: How far the machine's speed goes within minutes, a standard deviation, relatively;
            what is typical where the table does not know.
    """

    num_networks: int
    num_rounds: int
    noise: float | None
    mean_relative_error: float
    worst_relative_error: float
    interval: PositiveFloat
    wander: NonNegativeFloat = TYPICAL_WANDER

    @property
    def interval_later(self) -> float:
        """Half-width that holds nine in ten when they are measured minutes later, relatively.

        In one measurement most of them lie inside and in another few do, as all move together with
        the machine: nine in ten is over many measurements.
        """
        return math.hypot(self.interval, NINE_IN_TEN * self.wander)

    @property
    def is_noisy(self) -> bool:
        """Whether more rounds, or a quieter machine, would have made the prices surer."""
        return self.noise is None or self.noise > SURE_ENOUGH

    def interval_at(self, noise: float) -> float:
        """What the interval is where latencies are measured with another noise.

        The squares of what holds nine in ten add up: of the prices' own errors, which are at least
        half of the interval (what is left of two numbers nearly equal would not be sure), and of
        the noise.

        Args:
            noise: A standard deviation, relatively.
        """
        own = self.interval**2 - (NINE_IN_TEN * (self.noise or 0.0)) ** 2
        return math.sqrt(max(own, self.interval**2 / 4) + (NINE_IN_TEN * noise) ** 2)


class Baseline(Record):
    """What a prediction by multiply-adds alone would be: what a table must beat.

    Args:
        fixed_ms: Whatever the network.
        ms_per_million: For a million multiply-adds.
        mean_relative_error: On the networks that it was fitted to.
    """

    fixed_ms: float
    ms_per_million: float
    mean_relative_error: float

    def predict(self, multiply_adds: int) -> float:
        """Milliseconds for a network of so many multiply-adds."""
        return self.fixed_ms + self.ms_per_million * multiply_adds / 1e6


class Witness(Record):
    """A network that the table was measured on: timed again, it tells how the machine has changed.

    Args:
        choices: What it is, for each slot.
        median_ms: What it took then.
    """

    choices: dict[str, Choice | None]
    median_ms: PositiveFloat


class LatencyTable(Record):
    """Prices of the blocks of a space under some conditions.

    Args:
        conditions: What the prices hold for.
        space: Whose blocks are priced.
        fixed_ms: What every network of the space costs; it may fall below zero in a table that was
            adjusted to a machine on which large networks have slowed down by more than small ones.
        entries: The prices, each key once.
        accuracy: On networks that were held out.
        baseline: How far one comes without a table.
        provenance: When and where it was measured.
        witnesses: Of the machine's speed then.
        note: For people, such as that it is of another machine.
    """

    format: Literal["tapetum-latency-table"] = "tapetum-latency-table"
    schema_version: Literal[1] = 1
    conditions: Conditions
    space: Space
    fixed_ms: FiniteFloat
    entries: Annotated[tuple[Entry, ...], Field(min_length=1)]
    accuracy: Accuracy
    baseline: Baseline
    provenance: Provenance
    witnesses: tuple[Witness, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _holds_every_choice(self) -> "LatencyTable":
        priced = self._by_key()
        keys = keys_of(self.space, self.conditions.height_px, self.conditions.width_px)
        missing = [
            f"{path} {candidate.name}"
            for path, slot in self.space.slots.items()
            for candidate in slot.candidates
            if not set(slot.widths(candidate)) <= set(priced.get(keys[path][candidate.name], ()))
        ]
        if missing:
            raise ValueError(f"there is no price for {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _takes_time(self) -> "LatencyTable":
        fastest_ms = self.bound_ms(min)
        if fastest_ms <= 0:
            raise ValueError(f"the fastest network would take {fastest_ms:g} ms")
        return self

    def _by_key(self) -> dict[Key, dict[int, float]]:
        return {Key(entry.group, entry.operator): entry.prices_ms for entry in self.entries}

    @cached_property
    def prices(self) -> dict[str, dict[Choice | None, float]]:
        """What each choice of each slot costs, in milliseconds; leaving it out costs nothing."""
        priced = self._by_key()
        keys = keys_of(self.space, self.conditions.height_px, self.conditions.width_px)
        return {
            path: dict(_priced(slot, keys[path], priced)) for path, slot in self.space.slots.items()
        }

    def bound_ms(self, of: Callable[[Iterable[float]], float]) -> float:
        """The least that any network of the space takes, or the most.

        Args:
            of: ``min`` or ``max``, of the prices of each slot.
        """
        return self.fixed_ms + sum(of(slot.values()) for slot in self.prices.values())

    def require_same(self, conditions: Conditions, space: Space, *, what: str) -> None:
        """Refuses to price another space, or anything under other conditions.

        Args:
            conditions: That are asked for.
            space: Whose blocks are asked for.
            what: Names the table in the error.

        Raises:
            InputError: One of both differs.
        """
        self.conditions.require_same(conditions, what=what)
        if self.space != space:
            raise InputError(
                f"{what} is of another space",
                "give a table of the space that is searched, or none, and it is measured",
            )

    def predict(self, choices: Choices) -> Prediction:
        """What a network of the space takes.

        Raises:
            InputError: The table has no price for one of the choices.
        """
        prices, total = self.prices, self.fixed_ms
        for path, choice in choices.items():
            if choice not in prices.get(path, {}):
                raise InputError(
                    f"the table has no price for {choice} at {path}",
                    "measure a table of a space that has it: tapetum latency measure --space",
                )
            total += prices[path][choice]
        off = self.accuracy.interval_later
        # The error is of the prediction over the truth, so the truth lies between these.
        return Prediction(total, total / (1 + off), total / max(1e-9, 1 - off))

    def after(self, drift: Drift, *, note: str) -> "LatencyTable":
        """The table of a machine that has changed.

        Args:
            drift: By how much.
            note: For people.
        """
        entries = [
            entry.model_copy(update={"prices_ms": _times(entry.prices_ms, drift.factor)})
            for entry in self.entries
        ]
        witnesses = [
            witness.model_copy(update={"median_ms": drift.now(witness.median_ms)})
            for witness in self.witnesses
        ]
        baseline = self.baseline.model_copy(
            update={
                "fixed_ms": drift.now(self.baseline.fixed_ms),
                "ms_per_million": drift.factor * self.baseline.ms_per_million,
            }
        )
        changed = {"entries": entries, "witnesses": witnesses, "baseline": baseline, "note": note}
        # model_copy would keep the prices that this table may have worked out by now.
        known = {name: getattr(self, name) for name in LatencyTable.model_fields}
        return LatencyTable(**{**known, "fixed_ms": drift.now(self.fixed_ms), **changed})

    def predict_architecture(self, architecture: Architecture) -> Prediction:
        """What an architecture takes, if it is one of the table's space.

        Raises:
            InputError: It is not.
        """
        return self.predict(self.space.choices(architecture))


def make_table(
    space: Space,
    conditions: Conditions,
    found: Measurements,
    provenance: Provenance,
    *,
    note: str = "",
) -> LatencyTable:
    """The table that explains the latencies of random networks.

    Args:
        space: Of the networks.
        conditions: Under which they were timed.
        found: The networks.
        provenance: When and where.
        note: For people.
    """
    fit = fit_prices(space, conditions.height_px, conditions.width_px, found.samples)
    sizes = [abs(float(error)) for error in fit.errors]
    return LatencyTable(
        conditions=conditions,
        space=space,
        fixed_ms=fit.fixed_ms,
        entries=tuple(
            Entry(group=key.group, operator=key.operator, prices_ms=prices)
            for key, prices in fit.prices_ms.items()
        ),
        accuracy=Accuracy(
            num_networks=len(sizes),
            num_rounds=found.num_rounds,
            noise=found.noise,
            mean_relative_error=sum(sizes) / len(sizes),
            worst_relative_error=max(sizes),
            interval=fit.interval,
            wander=found.wander,
        ),
        baseline=fit_baseline(space, conditions, found.samples),
        provenance=provenance,
        witnesses=_witnesses(found.samples),
        note=note,
    )


def _witnesses(samples: Sequence[Sample]) -> tuple[Witness, ...]:
    """Some of the networks, from the quickest to the slowest."""
    ordered = sorted(samples, key=lambda sample: sample.median_ms)
    places = np.linspace(0, len(ordered) - 1, min(NUM_WITNESSES, len(ordered))).round().astype(int)
    return tuple(
        Witness(choices=dict(ordered[place].choices), median_ms=ordered[place].median_ms)
        for place in places
    )


def fit_baseline(space: Space, conditions: Conditions, samples: Sequence[Sample]) -> Baseline:
    """The affine function of multiply-adds with the least relative errors (squared)."""
    size = (conditions.height_px, conditions.width_px)
    millions = [cost.multiply_adds(space.architecture(one.choices), *size) / 1e6 for one in samples]
    latencies = np.array([one.median_ms for one in samples])
    matrix = np.stack([np.ones(len(samples)), np.array(millions)], axis=1) / latencies[:, None]
    found, *_ = np.linalg.lstsq(matrix, np.ones(len(samples)), rcond=None)
    return Baseline(
        fixed_ms=float(found[0]),
        ms_per_million=float(found[1]),
        mean_relative_error=float(np.abs(matrix @ found - 1).mean()),
    )


def _times(prices_ms: Mapping[int, float], factor: float) -> dict[int, float]:
    return {width: factor * price for width, price in prices_ms.items()}


def _priced(
    slot: Slot, keys: Mapping[str, Key], priced: Mapping[Key, Mapping[int, float]]
) -> Iterable[tuple[Choice | None, float]]:
    if slot.may_be_left_out:
        yield None, 0.0
    for choice in slot.choices():
        yield choice, priced[keys[choice.candidate]][choice.hidden_channels]
