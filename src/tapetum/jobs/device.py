"""This machine as the device of a fit: what a budget includes there, and how it is timed.

A latency that includes more than one pass is taken to be ``fixed_ms + passes * (one pass)``.  Both
numbers are measured before the search, with one network of middle latency, so that the search
knows what is left for one pass.  Every network that counts is timed whole afterwards.
"""

from dataclasses import dataclass, replace
from functools import partial

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from tapetum.arch import Architecture, Choice, ShapeSpace, Slot, Space
from tapetum.data import DatasetInfo
from tapetum.errors import InputError, nearest
from tapetum.latency import (
    Benchmark,
    Budget,
    Call,
    Conditions,
    DeployedNetwork,
    Includes,
    LatencyTable,
    NetworkTimer,
    Runtime,
    Timing,
    best_network,
    measure_latency,
    time_interleaved,
)
from tapetum.progress import ProgressCallback, named, rounded, silent
from tapetum.records import Record
from tapetum.runtime import Manifest, Precision

__all__ = ["SCOPES", "Device", "Overhead", "require_scope"]

SCOPES: dict[Includes, str] = {
    "network": "one pass of the network",
    "preparation": "the preparation of an image and one pass",
    "call": "the whole call, with the denoised image at full resolution",
}
FAR = 1.25  # times the target: no other network is so much faster than the smallest
SECONDS = 10.0  # for timing a package or a network with everything that surrounds it


def require_scope(includes: Includes, runtime: Runtime | None, batch: int) -> None:
    """Refuse a budget that includes what cannot be timed; ``runtime`` is None on another device."""
    if includes not in SCOPES:
        raise InputError(f"a budget includes no {includes!r}", nearest(str(includes), SCOPES))
    if includes == "network":
        return
    remedy = "give --budget-includes network"
    if runtime is None:
        raise InputError(
            f"{SCOPES[includes]} can only be timed on the device itself, and --latency was not "
            "measured on this machine",
            f"{remedy}, less what 'tapetum benchmark PACKAGE' shows there for the preparation",
        )
    if batch > 1:
        raise InputError(f"{SCOPES[includes]} is timed for one image, not for a batch", remedy)
    if includes == "call" and not runtime.runs_packages:
        raise InputError(f"the whole call cannot be timed in {runtime.name}", remedy)


class Overhead(Record):
    """What a budget includes beside one pass of the network.

    Attributes:
        includes: What the budget includes.
        height_px: Height of the image that it holds for, in pixels.
        width_px: Width of that image.
        fixed_ms: Time that does not depend on the network, in milliseconds.
        passes: Cost of what depends on it, as a multiple of one pass.
    """

    includes: Includes = "network"
    height_px: PositiveInt = 1
    width_px: PositiveInt = 1
    fixed_ms: NonNegativeFloat = 0.0
    passes: PositiveFloat = 1.0

    def latency_ms(self, pass_ms: float) -> float:
        """Return the latency that the budget is compared with, of a network of that pass."""
        return self.fixed_ms + self.passes * pass_ms

    def pass_ms(self, latency_ms: float) -> float:
        """Return what such a latency leaves for one pass; 0 or less where nothing is left."""
        return (latency_ms - self.fixed_ms) / self.passes

    def budget(self, table: LatencyTable, target_ms: float) -> Budget:
        """Return the budget of one pass that keeps the target; an error says what would be kept."""
        if self.includes == "network":
            return Budget.of(table, target_ms)
        fastest_ms = table.range.fastest_ms
        if self.pass_ms(target_ms) >= fastest_ms:
            return Budget.of(table, self.pass_ms(target_ms))
        image = f"an image of {self.width_px} x {self.height_px} px"
        raise InputError(
            f"no network of {table.space.name} keeps {target_ms:g} ms for "
            f"{SCOPES[self.includes]}: on {image} the preparation takes {self.fixed_ms:.3g} ms, "
            f"and the fastest network about {self.passes * fastest_ms:.3g} ms",
            f"ask for {1.01 * self.latency_ms(fastest_ms):.3g} ms or more, use smaller image "
            f"files, or give --budget-includes network (there, {1.01 * fastest_ms:.3g} ms or more)",
        )


@dataclass(frozen=True)
class Device:
    """This machine, as the device that a budget holds for.

    Attributes:
        runtime: The runtime that computes.
        conditions: The conditions of one pass.
        data: The facts of the dataset: how its images are prepared, and how large they are.
        includes: What the budget includes.
        progress: Receives each round of a timing.
    """

    runtime: Runtime
    conditions: Conditions
    data: DatasetInfo
    includes: Includes = "network"
    progress: ProgressCallback = silent

    def in_precision(self, precision: str) -> "Device":
        """Return the device for networks of a number format; ``auto`` is that of the runtime."""
        chosen = "int8" if precision == "int8" else self.runtime.precision
        return replace(self, conditions=self.conditions.model_copy(update={"precision": chosen}))

    def call(self, architecture: Architecture) -> Call:
        """Return the call of a network with random weights."""
        classifier = architecture.classifier
        names = map(str, range(0 if classifier is None else classifier.num_classes))
        manifest = Manifest.of(
            architecture,
            size_px=self.data.size_px,
            preparation=self.data.preparation,
            typical_px=self.data.typical_px,
            class_names=names,
        )
        precision: Precision = "int8" if self.conditions.precision == "int8" else "fp32"
        deployed = DeployedNetwork.of(architecture, precision=precision)
        network = replace(deployed, manifest=manifest)
        return Call(network, self.runtime, self.conditions, self.data.image_px)

    def timer(self, space: ShapeSpace) -> NetworkTimer:
        """Return what times many networks, each with what the budget includes."""
        anchor = space.architecture(space.smallest())  # tells how the machine drifts
        timer = NetworkTimer.of(self.runtime, self.conditions, anchor)
        return replace(timer, open=lambda one: partial(self.call(one).stage, self.includes))

    def time(self, architecture: Architecture) -> Timing:
        """Time what the budget includes, of a network with random weights."""
        return self.call(architecture).time(self.includes, self.progress)

    def benchmark(
        self, network: DeployedNetwork, *, target_ms: float, what: str = "the chosen network"
    ) -> Benchmark:
        """Time a network as ``tapetum benchmark`` does; ``what`` it is, is said meanwhile."""
        return measure_latency(
            network,
            runtime=self.runtime,
            size_px=self.conditions.height_px,
            channels=self.conditions.channels,
            threads=self.conditions.threads,
            batch=self.conditions.batch,
            seconds=SECONDS,
            target_ms=target_ms,
            includes=self.includes,
            progress=named(self.progress, f"timing {what} against the budget, in measurements"),
        )

    def require_quiet(self) -> None:
        """Refuse a device on which another timing is running, before there is a folder."""
        time_interleaved([], num_rounds=1)  # takes the lock

    def require_room(self, space: Space, target_ms: float) -> None:
        """Tell the range of a space in seconds, and refuse a target that is far below it."""
        calls = [self.call(space.architecture(choices)) for choices in _ends(space)]
        stages = [partial(call.stage, self.includes) for call in calls]
        timings = time_interleaved(stages, num_rounds=3, pause_s=0.0)
        smallest_ms, largest_ms = (timing.median_ms for timing in timings)
        scope = SCOPES[self.includes]
        if self.includes != "network":
            height_px, width_px = self.data.image_px
            scope += f", for an image of {width_px} x {height_px} px"
        told = f"smallest and largest network: {smallest_ms:.3g} and {largest_ms:.3g} ms"
        self.progress(1, 1, f"{told} for {scope}")
        if smallest_ms > FAR * target_ms:
            remedy = (
                f"ask for about {rounded(smallest_ms)} ms or more, or for smaller images (--size)"
            )
            if self.includes != "network":
                remedy += ", use smaller image files, or give --budget-includes network"
            raise InputError(
                f"no network of {space.name} keeps {target_ms:g} ms for {scope}: its smallest one "
                f"takes {smallest_ms:.3g} ms",
                remedy,
            )

    def overhead(self, table: LatencyTable) -> Overhead:
        """Measure what the budget includes beside one pass."""
        if self.includes == "network":
            return Overhead()
        height_px, width_px = self.data.image_px
        middle = best_network(Budget.of(table, table.range.at(0.5)), table.prices)
        call = self.call(table.space.architecture(middle.choices))
        stages = [call.preparation]
        if self.includes == "call":
            stages += [call.whole, lambda: call.stage("network")]
        fixed_ms, *rest = (
            timing.median_ms for timing in time_interleaved(stages, progress=self.progress)
        )
        passes = 1.0
        if rest:
            whole_ms, pass_ms = rest
            passes = max(whole_ms - fixed_ms, pass_ms / 2) / pass_ms
        return Overhead(
            includes=self.includes,
            height_px=height_px,
            width_px=width_px,
            fixed_ms=fixed_ms,
            passes=passes,
        )


def _ends(space: Space) -> tuple[dict[str, Choice | None], dict[str, Choice | None]]:
    """Return the choices of the smallest network of a space, and of the largest."""

    def size(slot: Slot, choice: Choice) -> int:
        block = slot.block(choice)
        sides = block.in_channels + block.out_channels + block.kernel_px**2
        return block.hidden_channels * sides

    smallest: dict[str, Choice | None] = {}
    largest: dict[str, Choice | None] = {}
    for path, slot in space.slots.items():
        choices = sorted(slot.choices(), key=partial(size, slot))
        smallest[path] = None if slot.may_be_left_out else choices[0]
        largest[path] = choices[-1]
    return smallest, largest
