"""Eager PyTorch as a runtime for measuring, which is how the paper measured.

Ranks and ratios differ from those of the runtimes that ship (docs/log.md), so eager PyTorch is no
substitute for a device.  On a GPU a pass ends when the GPU has finished.
"""

import numpy as np
import torch

from tapetum.errors import InputError
from tapetum.latency import Conditions, Run, Subject
from tapetum.nn import TrainableNetwork, build
from tapetum.provenance import cpu_model

__all__ = ["EagerTorch"]

BOXES, BOX_PX = 2, 28


class EagerTorch:
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

    def prepare(self, subject: Subject, conditions: Conditions) -> Run:
        """Return a function that runs the network once.

        Raises:
            InputError: The architecture of the graph is unknown.
        """
        if subject.architecture is None:
            raise InputError(
                "PyTorch runs architectures, not ONNX graphs of unknown origin",
                "give an architecture or a package, or use another runtime",
            )
        return self.prepare_network(build(subject.architecture, seed=0), conditions)

    def prepare_network(self, network: TrainableNetwork, conditions: Conditions) -> Run:
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
