"""Time what surrounds one pass of a network: a package is called with an image of any size.

A call prepares the image, labels it at the size of the network, and denoises it at full resolution.
Where the image is larger than the network's size, the last step takes most of the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.runtimes import Runtime, watched_threads
from tapetum.latency.timing import ForwardPass, PassCount, Prepare, Timing, time_interleaved
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record
from tapetum.runtime import Preparation

__all__ = ["Call", "CallTiming", "Includes"]

Includes = Literal["network", "preparation", "call"]
"""What a latency includes: one pass, the preparation before it as well, or the whole call."""

WHITE = np.float32(255)
ROUND = PassCount(min_passes=1, min_ms=100)


class CallTiming(Record):
    """The latency of a package for one image in memory, which no pass alone shows.

    Attributes:
        height_px: Height of the image, in pixels.
        width_px: Width of the image, in pixels.
        preparation: The preparation of the image alone.
        prepared: The preparation and one pass at the size of the network.
        whole: The preparation, the label, and the denoised image at full resolution; None where
            the runtime runs no packages.
    """

    height_px: PositiveInt
    width_px: PositiveInt
    preparation: Timing
    prepared: Timing
    whole: Timing | None

    @property
    def size(self) -> str:
        """The size of the image in words."""
        return f"{self.width_px} x {self.height_px} px"


@dataclass(frozen=True)
class Call:
    """The call of a package in a runtime, for one random image in memory.

    Attributes:
        network: The network, with the manifest of its package.
        runtime: The runtime that computes.
        conditions: The conditions of a pass.
        image_px: Height and width of the image, in pixels.
    """

    network: DeployedNetwork
    runtime: Runtime
    conditions: Conditions
    image_px: tuple[int, int]

    @property
    def stages(self) -> Mapping[str, Prepare]:
        """What :class:`CallTiming` times beside the network, by field."""
        stages: dict[str, Prepare] = {"preparation": self.preparation, "prepared": self.prepared}
        return stages | ({"whole": self.whole} if self.runtime.runs_packages else {})

    def time(self, includes: Includes, progress: ProgressCallback = silent) -> Timing:
        """Time what a latency includes, in rounds that are spread over some seconds.

        Raises:
            InputError: Another timing is running, or the runtime runs no packages.
        """
        stage = partial(self.stage, includes)
        threads = watched_threads(self.runtime, self.conditions)
        (timing,) = time_interleaved([stage], passes=ROUND, threads=threads, progress=progress)
        return timing

    def stage(self, includes: Includes) -> ForwardPass:
        """Load what a latency includes, and return it as one pass."""
        if includes == "network":
            return self.runtime.prepare(self.network, self.conditions)
        return self.prepared() if includes == "preparation" else self.whole()

    def preparation(self) -> ForwardPass:
        """Return the preparation of the image."""
        assert self.network.manifest is not None  # noqa: S101  (only packages are called)
        preparation, frame = self.network.manifest.preparation, self._frame()
        return lambda: _prepared(frame, preparation)

    def prepared(self) -> ForwardPass:
        """Return the preparation of the image, then one pass at the size of the network."""
        preparation = self.preparation()
        forward = self.runtime.prepare(self.network, self.conditions)

        def run() -> None:
            preparation()
            forward()

        return run

    def whole(self) -> ForwardPass:
        """Return the whole call.

        Raises:
            InputError: The runtime runs no packages.
        """
        return self.runtime.prepare_call(self.network, self.conditions, self._frame())

    def _frame(self) -> NDArray[np.uint8]:
        """Return a random image as a camera delivers it, (h, w, c)."""
        shape = (*self.image_px, self.conditions.channels)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _prepared(frame: NDArray[np.uint8], preparation: Preparation) -> NDArray[np.float32]:
    """Convert a frame to the scale [0, 1] with channels first, and resize it."""
    planes = np.ascontiguousarray(np.moveaxis(frame, 2, 0))
    return preparation.resized(planes.astype(np.float32) / WHITE)
