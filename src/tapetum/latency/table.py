"""A latency table: the price of every choice of a search space on one device, in one runtime.

Prices hold inside a whole network (:mod:`tapetum.latency.pricing`).  A prediction is the fixed part
plus one price for each slot.  Nothing is extrapolated: a choice without a price is an error that
names the command that measures it.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from tapetum.arch import Architecture, Choice, Choices, Space, cost
from tapetum.errors import InputError
from tapetum.latency.campaign import LOW_NOISE, Measurements
from tapetum.latency.conditions import Conditions
from tapetum.latency.pricing import Key, Sample, fit_prices, keys_of
from tapetum.provenance import Provenance
from tapetum.records import Record

__all__ = ["Accuracy", "Baseline", "LatencyRange", "LatencyTable", "Prediction", "make_table"]

NINE_IN_TEN = 1.645  # standard deviations of normal noise


class Prediction(NamedTuple):
    """The predicted median of one pass, and the interval that holds nine in ten networks."""

    median_ms: float
    low_ms: float
    high_ms: float


class LatencyRange(NamedTuple):
    """The lowest and the highest predicted latency in a space, in milliseconds."""

    fastest_ms: float
    slowest_ms: float

    def at(self, share: float) -> float:
        """Return the latency at a share of the range: 0 is the fastest, 1 the slowest."""
        return self.fastest_ms + share * (self.slowest_ms - self.fastest_ms)


class Prices(Record):
    """The prices of an operator in a group of equal slots (see :class:`~.pricing.Key`)."""

    group: str
    operator: str
    prices_ms: dict[int, NonNegativeFloat]  # by hidden width, with which it never falls

    @model_validator(mode="after")
    def _never_falls(self) -> "Prices":
        prices = [self.prices_ms[width] for width in sorted(self.prices_ms)]
        if any(after < before for before, after in pairwise(prices)):
            raise ValueError(f"{self.group} {self.operator}: a wider block costs less")
        return self


class Accuracy(Record):
    """The errors of the prices on networks that they were not fitted to.

    Attributes:
        num_networks: Number of networks, each predicted from the others.
        num_rounds: Number of rounds in which each was timed.
        noise: Relative standard deviation of a measured latency; ``None`` for one round.
        mean_relative_error: Mean error of the predictions.
        worst_relative_error: Largest error of the predictions.
        interval: Relative half-width of the interval that holds nine in ten networks, at the speed
            and the noise that the machine had.
    """

    num_networks: int
    num_rounds: int
    noise: float | None
    mean_relative_error: float
    worst_relative_error: float
    interval: PositiveFloat

    @property
    def is_noisy(self) -> bool:
        """Whether more rounds, or a quieter machine, would have made the prices more accurate."""
        return self.noise is None or self.noise > LOW_NOISE

    def interval_at(self, noise: float) -> float:
        """Return the interval for latencies of another noise (a relative standard deviation)."""
        # Squares of the noise and of the error of the prices add up; the latter is half at least.
        own = self.interval**2 - (NINE_IN_TEN * (self.noise or 0.0)) ** 2
        return math.sqrt(max(own, self.interval**2 / 4) + (NINE_IN_TEN * noise) ** 2)


class Baseline(Record):
    """Latency as an affine function of multiply-adds, with its mean error; a table must beat it."""

    fixed_ms: float
    ms_per_million: float
    mean_relative_error: float

    def predict(self, multiply_adds: int) -> float:
        """Return the milliseconds of a network of so many multiply-adds."""
        return self.fixed_ms + self.ms_per_million * multiply_adds / 1e6


class LatencyTable(Record):
    """Prices of the blocks of a space under some conditions.

    Attributes:
        conditions: The conditions that the prices hold for.
        space: The space whose blocks are priced.
        fixed_ms: The latency that every network of the space has in common, in milliseconds.
        entries: The prices, each group and operator once.
        accuracy: Errors on networks that were held out.
        baseline: The prediction from multiply-adds alone.
        provenance: When and where the table was measured.
    """

    format: Literal["tapetum-latency-table"] = "tapetum-latency-table"
    schema_version: Literal[2] = 2  # 1 also held some of its networks, to be adjusted by
    conditions: Conditions
    space: Space
    fixed_ms: NonNegativeFloat
    entries: Annotated[tuple[Prices, ...], Field(min_length=1)]
    accuracy: Accuracy
    baseline: Baseline
    provenance: Provenance

    @model_validator(mode="after")
    def _holds_every_choice(self) -> "LatencyTable":
        priced = self._by_key()
        missing = [
            f"{path} {candidate.name}"
            for path, slot in self.space.slots.items()
            for candidate in slot.candidates
            if not set(slot.widths(candidate))
            <= set(priced.get(self._keys[path][candidate.name], ()))
        ]
        if missing:
            raise ValueError(f"there is no price for {', '.join(missing)}")
        return self

    def _by_key(self) -> dict[Key, dict[int, float]]:
        return {Key(entry.group, entry.operator): entry.prices_ms for entry in self.entries}

    @cached_property
    def _keys(self) -> dict[str, dict[str, Key]]:
        return keys_of(self.space, self.conditions.height_px, self.conditions.width_px)

    @cached_property
    def prices(self) -> dict[str, dict[Choice | None, float]]:
        """The price of each choice of each slot, in milliseconds; leaving a slot out is free."""
        priced, prices = self._by_key(), dict[str, dict[Choice | None, float]]()
        for path, slot in self.space.slots.items():
            prices[path] = {None: 0.0} if slot.may_be_left_out else {}
            for choice in slot.choices():
                key = self._keys[path][choice.candidate]
                prices[path][choice] = priced[key][choice.hidden_channels]
        return prices

    @property
    def range(self) -> LatencyRange:
        """The exact range of the predictions over the whole space."""
        slots, fixed_ms = [slot.values() for slot in self.prices.values()], self.fixed_ms
        return LatencyRange(fixed_ms + sum(map(min, slots)), fixed_ms + sum(map(max, slots)))

    def predict(self, choices: Choices) -> Prediction:
        """Return the predicted latency of a network of the space.

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
        off = self.accuracy.interval
        # The error is of the prediction over the measurement, which so lies between these.
        return Prediction(total, total / (1 + off), total / max(1e-9, 1 - off))

    def predict_architecture(self, architecture: Architecture) -> Prediction:
        """Return the predicted latency of an architecture, which must be of the table's space."""
        return self.predict(self.space.choices(architecture))


def make_table(
    space: Space, conditions: Conditions, measured: Measurements, provenance: Provenance
) -> LatencyTable:
    """Return the table that explains the latencies of random networks."""
    fit = fit_prices(space, conditions.height_px, conditions.width_px, measured.samples)
    sizes = [abs(float(error)) for error in fit.errors]
    accuracy = Accuracy(
        num_networks=len(sizes),
        num_rounds=measured.num_rounds,
        noise=measured.noise,
        mean_relative_error=sum(sizes) / len(sizes),
        worst_relative_error=max(sizes),
        interval=fit.interval,
    )
    return LatencyTable(
        conditions=conditions,
        space=space,
        fixed_ms=fit.fixed_ms,
        entries=tuple(Prices(**key._asdict(), prices_ms=ms) for key, ms in fit.prices_ms.items()),
        accuracy=accuracy,
        baseline=_fit_baseline(space, conditions, measured.samples),
        provenance=provenance,
    )


def _fit_baseline(space: Space, conditions: Conditions, samples: Sequence[Sample]) -> Baseline:
    """Return the affine function of multiply-adds with the least squared relative errors."""
    size = (conditions.height_px, conditions.width_px)
    millions = [cost.multiply_adds(space.architecture(net.choices), *size) / 1e6 for net in samples]
    latencies = np.array([net.median_ms for net in samples])
    matrix = np.stack([np.ones(len(samples)), np.array(millions)], axis=1) / latencies[:, None]
    solution, *_ = np.linalg.lstsq(matrix, np.ones(len(samples)), rcond=None)
    return Baseline(
        fixed_ms=float(solution[0]),
        ms_per_million=float(solution[1]),
        mean_relative_error=float(np.abs(matrix @ solution - 1).mean()),
    )
