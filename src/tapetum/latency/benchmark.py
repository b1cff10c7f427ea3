"""Time one network or package, or several in turn, and say how well they use the machine."""

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import PositiveFloat

from tapetum.arch import Architecture, cost
from tapetum.errors import InputError
from tapetum.latency.budget import Budget
from tapetum.latency.calls import Call, CallTiming, Includes
from tapetum.latency.clock import fastest_core_mhz, throttling
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import CHANNELS, NUM_BOXES, DeployedNetwork, dense_architecture
from tapetum.latency.lock import timing_lock
from tapetum.latency.runtimes import Runtime, find_runtime, watched_threads
from tapetum.latency.timing import (
    ForwardPass,
    PassCount,
    Prepare,
    Timing,
    time_paced,
    time_rounds,
    timings_of,
)
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import within_cores
from tapetum.records import Record
from tapetum.runtime import Precision

__all__ = ["Benchmark", "Paced", "benchmark_network", "benchmark_together", "measure_latency"]

NUM_ROUNDS, FEWEST_ROUNDS = 10, 3
DENSE_PX = 28
NUM_PACED = 30
NETWORK, DENSE = "network", "dense"  # names of what is timed, beside the fields of CallTiming


class Paced(Record):
    """The latency of passes that begin a fixed time apart, as for the frames of a camera.

    Attributes:
        pace_ms: Time between the beginnings of two passes, in milliseconds.
        network: The latency of one pass.
        whole: The latency of the whole call of a package; ``None`` where it was not timed, or
            takes longer than the pace.
    """

    pace_ms: PositiveFloat
    network: Timing
    whole: Timing | None = None


class Benchmark(Record):
    """The latency of one network.

    Attributes:
        conditions: The conditions under which it was timed.
        timing: The latency of one pass.
        calls: The latency of the package for one image; ``None`` where it is no package, or for
            batches.
        paced: The latency at a camera's pace; ``None`` where no pace was given.
        images_per_second: Throughput of whole batches, one after the other.
        multiply_adds: Multiply-adds of one image; ``None`` for a graph of unknown origin.
        giga_multiply_adds_per_second: Rate of multiply-adds; ``None`` as above.
        peak_share: That rate over the rate of dense 3x3 convolutions in the same precision;
            ``None`` as above.
        target_ms: The latency that was requested, in milliseconds.
        includes: What the requested latency includes.
        clock_mhz: Lowest and highest clock of the fastest core, read after each round; ``None``
            where it cannot be read.
    """

    conditions: Conditions
    timing: Timing
    calls: CallTiming | None = None
    paced: Paced | None = None
    images_per_second: float
    multiply_adds: int | None
    giga_multiply_adds_per_second: float | None
    peak_share: float | None
    target_ms: float | None = None
    includes: Includes = "network"
    clock_mhz: tuple[float, float] | None = None

    @property
    def throttling(self) -> str:
        """Whether the clock of the processor fell meanwhile, in words."""
        return throttling(self.clock_mhz)

    @property
    def compared(self) -> Timing:
        """The timing that the target is compared with."""
        if self.includes == "network" or self.calls is None:
            return self.timing
        chosen = self.calls.prepared if self.includes == "preparation" else self.calls.whole
        assert chosen is not None  # noqa: S101  (refused before anything is timed)
        return chosen

    @property
    def ratio(self) -> float | None:
        """The compared median over the target; ``None`` without a target."""
        return None if self.target_ms is None else self.compared.median_ms / self.target_ms

    @property
    def keeps_target(self) -> bool | None:
        """Whether the median is at most 2 % above the target; ``None`` without a target."""
        return None if self.ratio is None else self.ratio <= 1 + Budget.TOLERANCE

    @property
    def medians(self) -> tuple[tuple[str, float], ...]:
        """What was timed, in words with the size of the image, and its median in milliseconds."""
        size = f"{self.conditions.width_px} x {self.conditions.height_px} px"
        rows = [(f"one pass of {size}", self.timing.median_ms)]
        if self.calls is not None:
            image = f"an image of {self.calls.size}"
            rows.append((f"preparation of {image}, and one pass", self.calls.prepared.median_ms))
            if self.calls.whole is not None:
                name = f"whole call on {image}, with its denoised image"
                rows.append((name, self.calls.whole.median_ms))
        return tuple(rows)

    @property
    def exceeding_call(self) -> Timing | None:
        """The whole call where it misses a target that the compared latency keeps."""
        whole = None if self.calls is None else self.calls.whole
        if self.target_ms is None or not self.keeps_target or whole is None:
            return None
        return whole if whole.median_ms > (1 + Budget.TOLERANCE) * self.target_ms else None


def benchmark_network(
    network: DeployedNetwork,
    runtime: Runtime,
    conditions: Conditions,
    *,
    image_px: tuple[int, int] | None = None,
    seconds: float = 6.0,
    target_ms: float | None = None,
    includes: Includes = "network",
    pace_ms: float = 0.0,
    progress: ProgressCallback = silent,
) -> Benchmark:
    """Time one network, interleaved with dense convolutions; see :func:`measure_latency`."""
    _require_sense(seconds, target_ms, pace_ms)
    call = _call(network, runtime, conditions, image_px, includes)
    stages: dict[str, Prepare] = {
        NETWORK: partial(runtime.prepare, network, conditions),
        DENSE: _dense_stage(runtime, conditions, network.precision),
        **({} if call is None else call.stages),
    }
    last = list(stages.values())[-1]  # the whole call, where there is one
    threads = [watched_threads(runtime, conditions)] * len(stages)
    with timing_lock():
        slowest_s = _seconds_of(last())
        found = _time_stages(list(stages.values()), seconds, slowest_s, threads, progress)
        timings = {name: one for name, (one, _) in zip(stages, found, strict=True)}
        paced = _time_paced(stages, timings, pace_ms, progress) if pace_ms else None
    return _benchmark(
        network,
        conditions,
        timings[NETWORK],
        timings[DENSE],
        calls=None if call is None else _call_timing(call, timings),
        paced=paced,
        target_ms=target_ms,
        includes=includes,
        clock_mhz=found[0][1],
    )


def benchmark_together(
    networks: Sequence[tuple[DeployedNetwork, Runtime, Conditions]],
    *,
    reference: Runtime,
    seconds: float = 6.0,
    target_ms: float | None = None,
    pace_ms: float = 0.0,
    progress: ProgressCallback = silent,
) -> list[Benchmark]:
    """Time one pass of each of several networks, which take turns in the same rounds.

    Args:
        networks: Each network with its runtime and its conditions.
        reference: The runtime of the dense convolutions that are the machine's peak.
        seconds: Approximate duration of the measurement for each network.
        target_ms: Latency budget to compare with, in milliseconds.
        pace_ms: Time between two images for the paced latency, in milliseconds; 0 for none.
        progress: Called after each network of a round.

    Raises:
        InputError: A network cannot run under its conditions, or another timing is running.
    """
    _require_sense(seconds, target_ms, pace_ms)
    stages = [partial(runtime.prepare, network, at) for network, runtime, at in networks]
    threads = [watched_threads(runtime, at) for _, runtime, at in networks]
    alike = {(at.threads, at.ships): at for _, _, at in networks}
    dense = [_dense_stage(reference, at, at.ships) for at in alike.values()]
    threads += [watched_threads(reference, at) for at in alike.values()]
    with timing_lock():
        round_s = sum(_seconds_of(stage()) for stage in stages)
        total_s = seconds * len(networks)
        found = _time_stages([*stages, *dense], total_s, round_s, threads, progress)
        paced = [
            _time_paced({NETWORK: stage}, {NETWORK: timing}, pace_ms, progress) if pace_ms else None
            for stage, (timing, _) in zip(stages, found, strict=False)
        ]
    peaks = dict(zip(alike, found[len(stages) :], strict=True))
    return [
        _benchmark(
            network,
            at,
            timing,
            peaks[at.threads, at.ships][0],
            paced=at_pace,
            target_ms=target_ms,
            clock_mhz=clock_mhz,
        )
        for (network, _, at), (timing, clock_mhz), at_pace in zip(
            networks, found, paced, strict=False
        )
    ]


def _require_sense(seconds: float, target_ms: float | None, pace_ms: float) -> None:
    """Refuse a duration, a target or a pace that makes no sense."""
    if not 0 < seconds < math.inf:
        raise InputError(f"no latency can be measured in {seconds:g} seconds", "give more than 0")
    if target_ms is not None:
        Budget.require_positive(target_ms)
    if not 0 <= pace_ms < math.inf:
        raise InputError(f"the pace must be 0 or more (got {pace_ms:g})", "give milliseconds")


def _dense_stage(runtime: Runtime, conditions: Conditions, precision: Precision) -> Prepare:
    """Return the dense convolutions that stand for the machine's peak."""
    image = {"batch": 1, "channels": 3, "height_px": DENSE_PX, "width_px": DENSE_PX}
    dense = DeployedNetwork.of(dense_architecture(), precision=precision)
    return partial(runtime.prepare, dense, conditions.model_copy(update=image))


def _benchmark(
    network: DeployedNetwork, conditions: Conditions, timing: Timing, dense: Timing, **others: Any
) -> Benchmark:
    """Return the result for a network, with its rate and its share of the peak."""
    num_multiply_adds = rate = share = None
    if network.architecture is not None:
        size = (conditions.height_px, conditions.width_px)
        num_multiply_adds = cost.multiply_adds(network.architecture, *size, num_boxes=NUM_BOXES)
        rate = conditions.batch * num_multiply_adds / timing.median_ms / 1e6
        dense_multiply_adds = cost.multiply_adds(dense_architecture(), DENSE_PX, DENSE_PX)
        share = rate / (dense_multiply_adds / dense.median_ms / 1e6)
    return Benchmark(
        conditions=conditions,
        timing=timing,
        images_per_second=1000 * conditions.batch / timing.median_ms,
        multiply_adds=num_multiply_adds,
        giga_multiply_adds_per_second=rate,
        peak_share=share,
        **others,
    )


def _call(
    network: DeployedNetwork,
    runtime: Runtime,
    conditions: Conditions,
    image_px: tuple[int, int] | None,
    includes: Includes,
) -> Call | None:
    """Return the call to time; None where a network is no package, or runs on batches."""
    if image_px is not None and min(image_px) < 1:
        raise InputError(f"an image of {image_px[0]} x {image_px[1]} px is empty", "give 1 or more")
    manifest = network.manifest
    if manifest is not None and conditions.batch == 1:
        image_px = image_px or manifest.typical_px or (manifest.size_px, manifest.size_px)
        call = Call(network, runtime, conditions, image_px)
        if includes == "call":
            call.whole()  # refused before anything is timed
        return call
    what = "a batch" if manifest is not None else "a network without a package"
    if includes != "network":
        raise InputError(
            f"the latency of {what} includes no {includes}", "time a package with batches of one"
        )
    if image_px is not None:
        raise InputError(f"{what} is not called with an image", "give --size, or a package")
    return None


def _time_stages(
    stages: Sequence[Prepare],
    seconds: float,
    round_s: float,
    threads: Sequence[int | None],
    progress: ProgressCallback,
) -> list[tuple[Timing, tuple[float, float] | None]]:
    """Time everything in turn, in fewer rounds where one pass of them takes long (``round_s``)."""
    affordable = int(seconds / (2 * round_s)) if round_s > 0 else NUM_ROUNDS
    num_rounds = min(max(affordable, FEWEST_ROUNDS), NUM_ROUNDS)
    passes = PassCount(min_passes=1, min_ms=1000 * seconds / (len(stages) * num_rounds))
    readings: list[list[float]] = [[] for _ in stages]

    def tick(done: int, total: int, message: str) -> None:
        readings[(done - 1) % len(stages)] += fastest_core_mhz()
        progress(done, total, message)

    rounds = time_rounds(stages, passes, num_rounds=num_rounds, threads=threads, progress=tick)
    ranges = [(min(some), max(some)) if some else None for some in readings]
    return list(zip(timings_of(rounds), ranges, strict=True))


def _seconds_of(forward: ForwardPass) -> float:
    """Return the duration of a first pass."""
    begun = time.perf_counter()
    forward()
    return time.perf_counter() - begun


def _time_paced(
    stages: Mapping[str, Prepare],
    timings: Mapping[str, Timing],
    pace_ms: float,
    progress: ProgressCallback,
) -> Paced | None:
    """Time the network and the whole call at a pace; None where the network is slower than that."""
    names = [name for name in (NETWORK, "whole") if name in stages]
    names = [name for name in names if timings[name].median_ms < pace_ms]
    found = {}
    for done, name in enumerate(names, start=1):
        paced = time_paced(stages[name](), pace_ms=pace_ms, num_passes=NUM_PACED)
        found[name] = Timing.of([paced])
        progress(done, len(names), f"timing one image each {pace_ms:g} ms, in measurements")
    if NETWORK not in found:
        return None
    return Paced(pace_ms=pace_ms, network=found[NETWORK], whole=found.get("whole"))


def _call_timing(call: Call, timings: Mapping[str, Timing]) -> CallTiming:
    height_px, width_px = call.image_px
    return CallTiming(
        height_px=height_px,
        width_px=width_px,
        preparation=timings["preparation"],
        prepared=timings["prepared"],
        whole=timings.get("whole"),
    )


def measure_latency(
    network: str | Path | Architecture | DeployedNetwork,
    *,
    size_px: int | None = None,
    channels: int | None = None,
    image_px: tuple[int, int] | None = None,
    num_classes: int = 100,
    threads: int | None = None,
    batch: int = 1,
    runtime: str | Runtime = "onnxruntime",
    seconds: float = 6.0,
    target_ms: float | None = None,
    includes: Includes = "network",
    pace_ms: float = 0.0,
    progress: ProgressCallback = silent,
) -> Benchmark:
    """Measure the latency of a network on this machine.

    A package is timed as it is used: one pass at its own size, and its call for an image.

    Example:
        >>> import tapetum
        >>> result = tapetum.measure_latency("unet-s", size_px=32, channels=1, seconds=0.1)
        >>> result.timing.median_ms > 0
        True

    Args:
        network: Architecture, its name, or the path of a ``.tapetum``, ``.onnx`` or ``.json`` file.
        size_px: Height and width of one pass; by default that of the network, else 224.
        channels: Channels of the images; by default those of the network, else 3.
        image_px: Height and width of the image that a package is called with; by default the
            typical size of the files that it was trained on, else its own size.
        num_classes: Number of classes of a named architecture.
        threads: Inference threads; by default those of :class:`tapetum.Predictor` for a package,
            else 1.
        batch: Number of images in one pass.
        runtime: ``onnxruntime``, ``openvino``, or another :class:`tapetum.latency.Runtime`.
        seconds: Approximate duration of the measurement.
        target_ms: Latency budget to compare with, in milliseconds.
        includes: What the budget includes: ``network`` (one pass), ``preparation`` (that of the
            image, and one pass) or ``call`` (also the denoised image at full resolution).
        pace_ms: Time between two images of a camera, in milliseconds, for the paced latency; 0
            for none.
        progress: Called after each pass of a network in a round.

    Raises:
        InputError: The network cannot be opened, or another timing is running.
    """
    deployed = network
    if not isinstance(deployed, DeployedNetwork):
        form = {"channels": channels or CHANNELS, "num_classes": num_classes}
        deployed = DeployedNetwork.open(deployed, **form)
    runner = find_runtime(runtime)
    return benchmark_network(
        deployed,
        runner,
        deployed.conditions(
            runner,
            threads=_default_threads(deployed) if threads is None else threads,
            batch=batch,
            channels=channels,
            size_px=size_px,
        ),
        image_px=image_px,
        seconds=seconds,
        target_ms=target_ms,
        includes=includes,
        pace_ms=pace_ms,
        progress=progress,
    )


def _default_threads(network: DeployedNetwork) -> int:
    """Return the threads that :class:`tapetum.Predictor` uses for a package; else 1."""
    if network.manifest is None:
        return 1
    return within_cores(network.manifest.threads)
