"""Time one network or package, and say how well it uses the machine."""

import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import PositiveFloat

from tapetum.arch import Architecture, cost
from tapetum.errors import InputError
from tapetum.latency.budget import Budget
from tapetum.latency.calls import Call, CallTiming, Includes
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import NUM_BOXES, DeployedNetwork, dense_architecture
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

__all__ = ["Benchmark", "Paced", "benchmark_network", "measure_latency"]

NUM_ROUNDS, FEWEST_ROUNDS = 10, 3
DENSE_PX = 28
SIZE_PX, CHANNELS = 224, 3  # of a network that does not say
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
    if not 0 < seconds < math.inf:
        raise InputError(f"no latency can be measured in {seconds:g} seconds", "give more than 0")
    if target_ms is not None:
        Budget.require_positive(target_ms)
    if not 0 <= pace_ms < math.inf:
        raise InputError(f"a pace of {pace_ms:g} ms makes no sense", "give 0 or more")
    call = _call(network, runtime, conditions, image_px, includes)
    dense = dense_architecture()
    image = {"batch": 1, "channels": 3, "height_px": DENSE_PX, "width_px": DENSE_PX}
    dense_conditions = conditions.model_copy(update=image)
    stages: dict[str, Prepare] = {
        NETWORK: partial(runtime.prepare, network, conditions),
        DENSE: partial(
            runtime.prepare,
            DeployedNetwork.of(dense, precision=network.precision),
            dense_conditions,
        ),
        **({} if call is None else call.stages),
    }
    with timing_lock():
        timings = _time_stages(stages, seconds, watched_threads(runtime, conditions), progress)
        paced = _time_paced(stages, timings, pace_ms, progress) if pace_ms else None
    timing = timings[NETWORK]
    num_multiply_adds = rate = share = None
    if network.architecture is not None:
        size = (conditions.height_px, conditions.width_px)
        num_multiply_adds = cost.multiply_adds(network.architecture, *size, num_boxes=NUM_BOXES)
        rate = conditions.batch * num_multiply_adds / timing.median_ms / 1e6
        dense_multiply_adds = cost.multiply_adds(dense, DENSE_PX, DENSE_PX)
        share = rate / (dense_multiply_adds / timings[DENSE].median_ms / 1e6)
    return Benchmark(
        conditions=conditions,
        timing=timing,
        calls=None if call is None else _call_timing(call, timings),
        paced=paced,
        images_per_second=1000 * conditions.batch / timing.median_ms,
        multiply_adds=num_multiply_adds,
        giga_multiply_adds_per_second=rate,
        peak_share=share,
        target_ms=target_ms,
        includes=includes,
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
    stages: Mapping[str, Prepare],
    seconds: float,
    threads: int | None,
    progress: ProgressCallback,
) -> dict[str, Timing]:
    """Time everything in turn, in fewer rounds where one call takes long."""
    slowest_s = _seconds_of(list(stages.values())[-1]())  # the whole call, where there is one
    affordable = int(seconds / (2 * slowest_s)) if slowest_s > 0 else NUM_ROUNDS
    num_rounds = min(max(affordable, FEWEST_ROUNDS), NUM_ROUNDS)
    passes = PassCount(min_passes=1, min_ms=1000 * seconds / (len(stages) * num_rounds))
    rounds = time_rounds(
        list(stages.values()), passes, num_rounds=num_rounds, threads=threads, progress=progress
    )
    return dict(zip(stages, timings_of(rounds), strict=True))


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
        progress(done, len(names), f"paced: one image each {pace_ms:g} ms")
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
    runner = find_runtime(runtime) if isinstance(runtime, str) else runtime
    conditions = Conditions.here(
        runner,
        threads=_default_threads(deployed) if threads is None else threads,
        batch=batch,
        channels=(deployed.channels or CHANNELS) if channels is None else channels,
        size_px=(deployed.size_px or SIZE_PX) if size_px is None else size_px,
    ).of(deployed)
    return benchmark_network(
        deployed,
        runner,
        conditions,
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
