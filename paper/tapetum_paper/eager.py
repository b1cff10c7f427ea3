"""Eager PyTorch as a runtime for measuring, which is how the paper measured.

Ranks and ratios differ from those of the runtimes that ship (docs/log.md), so eager PyTorch is no
substitute for a device.  On a GPU a pass ends when the GPU has finished.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from tapetum.errors import InputError
from tapetum.latency import Conditions, DeployedNetwork, Runtime, Timing
from tapetum.nn import TrainableNetwork, build
from tapetum.provenance import cpu_model

__all__ = ["EagerTorch", "time_as_the_paper"]

ForwardPass = Callable[[], object]
BOXES, BOX_PX = 2, 28


class EagerTorch(Runtime):
    """Networks in evaluation mode, fp32, on a GPU if there is one, else on the processor."""

    name = "torch"
    precision = "fp32"

    @property
    def version(self) -> str:
        """Version of PyTorch."""
        return str(torch.__version__)

    @property
    def device(self) -> str:
        """Model of the GPU, or of the processor."""
        return torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_model()

    @property
    def uses_cores(self) -> bool:
        """Whether the processor computes."""
        return not torch.cuda.is_available()

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """Return a function that runs the network once.

        Raises:
            InputError: The architecture of the graph is unknown.
        """
        if network.architecture is None:
            raise InputError(
                "PyTorch runs architectures, not ONNX graphs of unknown origin",
                "give an architecture or a package, or use another runtime",
            )
        return self.prepare_network(build(network.architecture, seed=0), conditions)

    def prepare_network(self, network: TrainableNetwork, conditions: Conditions) -> ForwardPass:
        """Return a function that runs a module once; set the threads of the whole process.

        Args:
            network: The module; it is put into evaluation mode.
            conditions: Conditions of the measurement.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(conditions.threads)
        network.eval().to(device)
        noisy, boxes = (None if x is None else x.to(device) for x in _inputs(network, conditions))

        def run() -> None:
            with torch.inference_mode():
                network(noisy, boxes)
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run


def time_as_the_paper(forward: ForwardPass, *, warmups: int = 100, passes: int = 1000) -> Timing:
    """Return the latency of passes in a row after warm-up passes.

    Args:
        forward: Runs one pass.
        warmups: Number of passes that do not count.
        passes: Number of passes that count.
    """
    durations = []
    for _ in range(warmups + passes):
        begun = time.perf_counter()
        forward()
        durations.append(1000 * (time.perf_counter() - begun))
    return Timing.of_passes(durations[warmups:])


def _inputs(
    network: TrainableNetwork, conditions: Conditions
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Random images, and boxes where the network classifies boxes."""
    generator = np.random.default_rng(0)
    batch, height, width = conditions.batch, conditions.height_px, conditions.width_px
    shape = (batch, conditions.channels, height, width)
    noisy = torch.from_numpy(generator.random(shape, dtype=np.float32))
    if not network.architecture.classifies_boxes:
        return noisy, None
    corners = generator.uniform(0, 1, (batch, BOXES, 2)) * (width - BOX_PX, height - BOX_PX)
    corners = corners.astype(np.float32)
    return noisy, torch.from_numpy(np.concatenate([corners, corners + BOX_PX], axis=-1))
