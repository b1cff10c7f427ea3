"""Time one network, and say how well it uses the machine."""

import math
from functools import partial
from pathlib import Path

from tapetum.arch import Architecture, cost
from tapetum.errors import InputError
from tapetum.latency.budget import Budget
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import NUM_BOXES, DeployedNetwork, dense_architecture
from tapetum.latency.runtimes import Runtime, find_runtime
from tapetum.latency.timing import PassCount, Timing, time_interleaved
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record

__all__ = ["Benchmark", "benchmark", "measure_latency"]

NUM_ROUNDS = 6
DENSE_PX = 28
SIZE_PX, CHANNELS = 224, 3  # of a network that does not say


class Benchmark(Record):
    """The latency of one network.

    Attributes:
        conditions: The conditions under which it was timed.
        timing: The latency of one pass.
        images_per_second: Throughput of whole batches, one after the other.
        multiply_adds: Multiply-adds of one image; ``None`` for a graph of unknown origin.
        giga_multiply_adds_per_second: Rate of multiply-adds; ``None`` as above.
        peak_share: That rate over the rate of dense 3x3 convolutions; ``None`` as above.
        target_ms: The latency that was requested, in milliseconds.
    """

    conditions: Conditions
    timing: Timing
    images_per_second: float
    multiply_adds: int | None
    giga_multiply_adds_per_second: float | None
    peak_share: float | None
    target_ms: float | None = None

    @property
    def ratio(self) -> float | None:
        """The measured median over the target; ``None`` without a target."""
        return None if self.target_ms is None else self.timing.median_ms / self.target_ms

    @property
    def keeps_target(self) -> bool | None:
        """Whether the median is at most 2 % above the target; ``None`` without a target."""
        return None if self.ratio is None else self.ratio <= 1 + Budget.TOLERANCE


def benchmark(
    network: DeployedNetwork,
    runtime: Runtime,
    conditions: Conditions,
    *,
    seconds: float = 6.0,
    target_ms: float | None = None,
    progress: ProgressCallback = silent,
) -> Benchmark:
    """Time one network, interleaved with dense convolutions; see :func:`measure_latency`."""
    if not 0 < seconds < math.inf:
        raise InputError(f"no latency can be measured in {seconds:g} seconds", "give more than 0")
    if target_ms is not None:
        Budget.require_positive(target_ms)
    dense = dense_architecture()
    image = {"batch": 1, "channels": 3, "height_px": DENSE_PX, "width_px": DENSE_PX}
    dense_conditions = conditions.model_copy(update=image)
    networks = [(network, conditions), (DeployedNetwork.of(dense), dense_conditions)]
    timing, peak = time_interleaved(
        [partial(runtime.prepare, *pair) for pair in networks],
        num_rounds=NUM_ROUNDS,
        pause_s=0.0,
        passes=PassCount(min_passes=5, min_ms=1000 * seconds / (2 * NUM_ROUNDS)),
        progress=progress,
    )
    num_multiply_adds = rate = share = None
    if network.architecture is not None:
        size = (conditions.height_px, conditions.width_px)
        num_multiply_adds = cost.multiply_adds(network.architecture, *size, num_boxes=NUM_BOXES)
        rate = conditions.batch * num_multiply_adds / timing.median_ms / 1e6
        dense_multiply_adds = cost.multiply_adds(dense, DENSE_PX, DENSE_PX)
        share = rate / (dense_multiply_adds / peak.median_ms / 1e6)
    return Benchmark(
        conditions=conditions,
        timing=timing,
        images_per_second=1000 * conditions.batch / timing.median_ms,
        multiply_adds=num_multiply_adds,
        giga_multiply_adds_per_second=rate,
        peak_share=share,
        target_ms=target_ms,
    )


def measure_latency(
    network: str | Path | Architecture,
    *,
    size_px: int | None = None,
    channels: int | None = None,
    num_classes: int = 100,
    threads: int = 1,
    batch: int = 1,
    runtime: str = "onnxruntime",
    seconds: float = 6.0,
    target_ms: float | None = None,
    progress: ProgressCallback = silent,
) -> Benchmark:
    """Measure the latency of a network on this machine.

    Example:
        >>> import tapetum
        >>> result = tapetum.measure_latency("unet-s", size_px=32, channels=1, seconds=0.1)
        >>> result.timing.median_ms > 0
        True

    Args:
        network: Architecture, its name, or the path of a ``.tapetum``, ``.onnx`` or ``.json`` file.
        size_px: Height and width of the images; by default that of the network, else 224.
        channels: Channels of the images; by default those of the network, else 3.
        num_classes: Number of classes of a named architecture.
        threads: Inference threads.
        batch: Number of images in one pass.
        runtime: ``onnxruntime`` or ``openvino``.
        seconds: Approximate duration of the measurement.
        target_ms: Latency budget to compare with, in milliseconds.
        progress: Called after each pass of a network in a round.

    Raises:
        InputError: The network cannot be opened, or another timing is running.
    """
    deployed = DeployedNetwork.open(network, channels=channels or CHANNELS, num_classes=num_classes)
    runner = find_runtime(runtime)
    conditions = Conditions.here(
        runner,
        threads=threads,
        batch=batch,
        channels=(deployed.channels or CHANNELS) if channels is None else channels,
        size_px=(deployed.size_px or SIZE_PX) if size_px is None else size_px,
    )
    return benchmark(
        deployed, runner, conditions, seconds=seconds, target_ms=target_ms, progress=progress
    )
