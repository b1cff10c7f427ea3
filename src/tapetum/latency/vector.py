"""Measure the grid of widths on which a runtime is fast: 4, 8 or 16 channels.

Runtimes compute channels in blocks as wide as a vector of the processor: 16 floats with AVX-512, 8
with AVX2 and NEON. A width off the grid is padded, or takes a slower path. The grid depends on
runtime and precision, too, so it is measured: chains of 3x3 convolutions are timed, with widths
that are multiples of 16, of 8 only, and of 4 only.

The rule: the grid is the finest one whose widths reach 85 % of the rate, in multiply-adds a second,
of the next coarser grid. Widths of 20 and 28 on a grid of 8, or of 24 and 40 on one of 16, lose a
quarter to a half.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Literal

from tapetum.arch import Architecture, cost, spec
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.lock import timing_lock
from tapetum.latency.runtimes import Runtime, watched_threads
from tapetum.latency.timing import PassCount, time_rounds
from tapetum.records import Record

__all__ = ["SIZE_PX", "WIDTHS", "WidthProbe", "chain_of", "probe_of", "probe_widths"]

WidthStep = Literal[4, 8, 16]
WIDTHS: Mapping[WidthStep, tuple[int, int]] = {16: (32, 48), 8: (24, 40), 4: (20, 28)}
SIZE_PX, DEPTH = 24, 4  # a chain takes 0.2 to 2 ms
ENOUGH = 0.85  # of the rate of the next coarser grid
NUM_ROUNDS = 6
PASSES = PassCount(warmup_ms=3, min_ms=15)


class WidthProbe(Record):
    """The grid of widths of a runtime on a device.

    Attributes:
        width_step: The grid: 4, 8 or 16 channels.
        rates: Billions of multiply-adds a second of widths on each grid, and off the coarser ones.
    """

    width_step: WidthStep
    rates: dict[WidthStep, float]

    def __str__(self) -> str:
        rates = ", ".join(f"{rate:.0f} at {step}" for step, rate in self.rates.items())
        return (
            f"channel counts are multiples of {self.width_step}, the finest grid that is fast "
            f"(billion multiply-adds a second: {rates})"
        )


def probe_widths(runtime: Runtime, conditions: Conditions) -> WidthProbe:
    """Measure the grid of widths, in about a second.

    Args:
        runtime: The runtime that ships.
        conditions: The threads and the precision that ship; the size of the images does not matter.

    Raises:
        InputError: Another timing is running on this machine, and does not end.
    """
    size = {"batch": 1, "height_px": SIZE_PX, "width_px": SIZE_PX}
    chains = {width: chain_of(width) for widths in WIDTHS.values() for width in widths}
    prepared = []
    for width, chain in chains.items():
        at = conditions.model_copy(update={**size, "channels": width})
        prepared.append(partial(runtime.prepare, DeployedNetwork.of(chain, precision=at.ships), at))
    with timing_lock():
        threads = watched_threads(runtime, conditions)
        rounds = time_rounds(prepared, PASSES, num_rounds=NUM_ROUNDS, threads=threads)
    # Noise only slows, and lasts longer than a round.
    fastest = [min(one.median_ms for one in its) for its in rounds]
    return probe_of(dict(zip(chains, fastest, strict=True)))


def probe_of(fastest_ms: Mapping[int, float]) -> WidthProbe:
    """Return the grid that follows from latencies.

    Args:
        fastest_ms: Latency of the chain of each width in its fastest round, in milliseconds.
    """
    by_width = {
        width: cost.multiply_adds(chain_of(width), SIZE_PX, SIZE_PX) / ms / 1e6
        for width, ms in fastest_ms.items()
    }
    rates = {
        step: math.prod(by_width[width] for width in widths) ** (1 / len(widths))
        for step, widths in WIDTHS.items()
    }
    return WidthProbe(width_step=_finest(rates), rates=rates)


def _finest(rates: Mapping[WidthStep, float]) -> WidthStep:
    """Return the finest grid that is fast enough; see the module's rule."""
    if rates[8] < ENOUGH * rates[16]:
        return 16
    return 8 if rates[4] < ENOUGH * rates[8] else 4


def chain_of(width: int) -> Architecture:
    """Return convolutions of one width, on images of as many channels."""
    ends = {"in_channels": width, "out_channels": width}
    classifier = spec.Classifier(
        source="noisy",
        region=spec.Whole(),
        blocks=tuple(spec.Conv(**ends) for _ in range(DEPTH)),
        pooling="mean",
        features=width,
        num_classes=2,
    )
    return Architecture(name=f"width-{width}", image_channels=width, classifier=classifier)
