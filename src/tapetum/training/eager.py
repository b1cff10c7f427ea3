"""Eager torch as a runtime that can be timed: the paper's own way of measuring.

It is no proxy for a device: ranks and ratios differ from those of the runtimes that ship
(docs/latency.md).  On a GPU a pass counts when the GPU is done, not when it has been asked.
"""

import torch

from tapetum.errors import InputError
from tapetum.latency import Conditions, Subject
from tapetum.latency.stopwatch import Run
from tapetum.latency.subject import feeds_of
from tapetum.nn import build
from tapetum.provenance import cpu_model
from tapetum.training.process import training_device

__all__ = ["EagerTorch"]


class EagerTorch:
    """Networks in evaluation mode, fp32, on the device where networks are trained."""

    name = "torch"
    precision = "fp32"

    @property
    def version(self) -> str:
        """Of the library."""
        return str(torch.__version__)

    @property
    def device(self) -> str:
        """The GPU where there is one, else the processor."""
        if training_device().type == "cuda":
            return torch.cuda.get_device_name()
        return cpu_model()

    def prepare(self, subject: Subject, conditions: Conditions) -> Run:
        """Makes a network with fresh weights ready; sets the threads of the whole process.

        Raises:
            InputError: The network is not known by its architecture, or takes other pictures.
        """
        if subject.architecture is None:
            raise InputError(
                "torch runs networks, not graphs of unknown origin",
                "give an architecture or a package, or use another --runtime",
            )
        device = training_device()
        torch.set_num_threads(conditions.threads)
        network = build(subject.architecture, seed=0).eval().to(device)
        feeds = {
            name: torch.from_numpy(values).to(device)
            for name, values in feeds_of(subject, conditions).items()
        }

        def run() -> None:
            with torch.inference_mode():
                network(feeds["noisy"], feeds.get("boxes"))
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run
