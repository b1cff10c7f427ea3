"""Time many networks whole, quickly: a tenth of a second each, in the runtime that ships.

A graph is written with random weights, opened and timed: latency does not depend on the weights.
The speed of a machine drifts slowly, so a small network, the *anchor*, is timed before and after
each of them, and what the machine was slower than on average is taken out. Several rounds need no
anchor: there the networks take turns.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, Protocol, Self

import numpy as np

from tapetum.arch import Architecture, Shape, ShapeSpace
from tapetum.errors import InputError
from tapetum.latency.calls import Includes
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.lock import timing_lock
from tapetum.latency.model import Array, features_of, fit_rates
from tapetum.latency.runtimes import Runtime, watched_threads
from tapetum.latency.timing import (
    PassCount,
    Prepare,
    Round,
    Timing,
    shared_core,
    time_passes,
    time_rounds,
)
from tapetum.records import Record

__all__ = ["NetworkTimer", "TimeNetworks", "TimedShape", "TimedShapes"]

QUICK = PassCount(warmup_ms=10, min_ms=80)
ANCHOR = PassCount(warmup_ms=5, min_ms=20)
FEWEST_QUIET = 10  # shapes, of which the others do not count
NUM_NEAR = 3  # anchors on each side, whose median tells the speed


class TimeNetworks(Protocol):
    """A function that times networks as they would ship."""

    def __call__(self, networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        """Return the latency of each network: of one quick round, or of several in turns."""


@dataclass(frozen=True)
class NetworkTimer(TimeNetworks):
    """Times networks on this machine.

    Attributes:
        open: Writes the graph of a network, and returns what loads it.
        anchor: A small network that is timed in between, to tell how the machine drifts.
        threads: Inference threads; None where a GPU computes.
    """

    open: Callable[[Architecture], Prepare]
    anchor: Architecture
    threads: int | None = 1

    @classmethod
    def of(cls, runtime: Runtime, conditions: Conditions, anchor: Architecture) -> Self:
        """Return a timer of one pass of a network; see :class:`Call` for what surrounds a pass."""

        def open_alone(network: Architecture) -> Prepare:
            deployed = DeployedNetwork.of(network, precision=conditions.ships)
            return partial(runtime.prepare, deployed, conditions)

        return cls(open_alone, anchor, watched_threads(runtime, conditions))

    def __call__(self, networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        """Return the latency of each network; see :class:`TimeNetworks`."""
        with timing_lock():
            if num_rounds == 1:
                return [Timing.of([one]) for one in self._time_quickly(networks)]
            prepared = [self.open(network) for network in networks]
            rounds = time_rounds(prepared, QUICK, num_rounds=num_rounds, threads=self.threads)
        return [Timing.of(one) for one in rounds]

    def _time_quickly(self, networks: Sequence[Architecture]) -> list[Round]:
        """Return one round of each network, at the mean speed of the machine."""
        anchor, rounds = self.open(self.anchor), list[Round]()
        speeds = [self._anchor_ms(anchor)]
        for network in networks:
            rounds.append(time_passes(self.open(network)(), QUICK, threads=self.threads))
            speeds.append(self._anchor_ms(anchor))
        return [_at(one, slower) for one, slower in zip(rounds, _slowness(speeds), strict=True)]

    def _anchor_ms(self, anchor: Prepare) -> float:
        return time_passes(anchor(), ANCHOR, threads=self.threads).median_ms


def _slowness(anchors_ms: Sequence[float]) -> list[float]:
    """Return how much slower than on average the machine was between two anchors each."""
    usual = statistics.median(anchors_ms)
    near = [anchors_ms[max(0, i - NUM_NEAR) : i + NUM_NEAR] for i in range(1, len(anchors_ms))]
    return [statistics.median(some) / usual for some in near]


def _at(timed: Round, slower: float) -> Round:
    """Return a round as it would be at the mean speed."""
    return timed._replace(passes_ms=[pass_ms / slower for pass_ms in timed.passes_ms])


class TimedShape(Record):
    """A shape and its latency.

    Attributes:
        shape: The shape.
        timing: Its latency.
        family: Name of the family it was scaled from, where it was timed elsewhere; else empty.
    """

    shape: Shape
    timing: Timing
    family: str = ""


class TimedShapes(Record):
    """Shapes that were timed on a device, which several targets share.

    Attributes:
        conditions: The conditions that the latencies hold for.
        includes: What the latencies include: one pass, the preparation as well, or the whole call.
        space: The space of the shapes.
        shapes: The shapes with their latencies, each once.
    """

    format: Literal["tapetum-timed-shapes"] = "tapetum-timed-shapes"
    schema_version: Literal[1] = 1
    conditions: Conditions
    includes: Includes = "network"
    space: ShapeSpace
    shapes: tuple[TimedShape, ...] = ()

    @property
    def shared(self) -> str:
        """A sentence that the core was shared, over all of them; empty where it was ours."""
        return shared_core(one.timing.core_share for one in self.shapes)

    def find(self, shape: Shape) -> Timing | None:
        """Return the latency of a shape; None where it was not timed."""
        return next((one.timing for one in self.shapes if one.shape == shape), None)

    def timed(
        self, shapes: Sequence[Shape], time: TimeNetworks, *, num_rounds: int = 1
    ) -> "TimedShapes":
        """Return a copy that has a latency of each of some shapes.

        Args:
            shapes: The shapes. Those that are known from as many rounds are not timed again, unless
                the core was shared then.
            time: Times their networks.
            num_rounds: The number of rounds.
        """
        known = {one.shape: one.timing for one in self.shapes}
        new = [
            shape
            for shape in dict.fromkeys(shapes)
            if (old := known.get(shape)) is None or old.num_rounds < num_rounds or old.shared
        ]
        if not new:
            return self
        found = time([self.space.architecture(shape) for shape in new], num_rounds=num_rounds)
        known |= dict(zip(new, found, strict=True))
        pairs = tuple(TimedShape(shape=shape, timing=timing) for shape, timing in known.items())
        return self.model_copy(update={"shapes": pairs})

    def predictor(self, also_ms: Mapping[Shape, float] = {}) -> Callable[[Shape], float]:
        """Return a function that predicts the latency of a shape, fitted to those that are known.

        Where ten shapes had the core for themselves when they were timed, no others count.

        Args:
            also_ms: Latencies of other shapes, which count as well.

        Raises:
            InputError: No shape was timed.
        """
        quiet = [one for one in self.shapes if not one.timing.shared]
        known = quiet if len(quiet) >= FEWEST_QUIET else self.shapes
        latencies = {one.shape: one.timing.median_ms for one in known} | dict(also_ms)
        if not latencies:
            raise InputError("no shape was timed", "time some shapes first")
        rows = np.stack([self._features(shape) for shape in latencies])
        rates = fit_rates(rows, np.array(list(latencies.values())))
        return lambda shape: float(self._features(shape) @ rates)

    def _features(self, shape: Shape) -> Array:
        return _features(self.space, shape, self.conditions.height_px, self.conditions.width_px)


@lru_cache(maxsize=10_000)
def _features(space: ShapeSpace, shape: Shape, height: int, width: int) -> Array:
    """Return the features of a shape; a proposal asks for those of the same shapes repeatedly."""
    return features_of(space.architecture(shape), height, width, space.width_step)
