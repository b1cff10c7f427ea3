"""Eager torch as a runtime that can be timed: the paper's own way of measuring.

It is no proxy for a device: ranks and ratios differ from those of the runtimes that ship
(docs/latency.md).  On a GPU a pass counts when the GPU is done, not when it has been asked.
"""

import torch

from tapetum.errors import InputError
from tapetum.latency import Conditions, Subject
from tapetum.latency.deployed import Feeds, feeds_of
from tapetum.latency.timing import Run
from tapetum.nn import AnyNetwork, BaselineNetwork, build
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
            InputError: The network is not known by its architecture, or takes other images.
        """
        if subject.architecture is None:
            raise InputError(
                "torch runs networks, not graphs of unknown origin",
                "give an architecture or a package, or use another --runtime",
            )
        network = build(subject.architecture, seed=0).eval()
        return _ready(network, feeds_of(subject, conditions), conditions)

    def prepare_baseline(self, baseline: BaselineNetwork, conditions: Conditions) -> Run:
        """Makes a baseline ready, of which there is no graph of ours; sets the threads as above.

        Args:
            baseline: In evaluation mode.
            conditions: Under which it is timed.
        """
        images = Subject(b"", None, {"noisy": (None, conditions.channels, None, None)})
        return _ready(baseline, feeds_of(images, conditions), conditions)


def _ready(network: AnyNetwork, feeds: Feeds, conditions: Conditions) -> Run:
    device = training_device()
    torch.set_num_threads(conditions.threads)
    network.to(device)
    moved = {name: torch.from_numpy(values).to(device) for name, values in feeds.items()}

    def run() -> None:
        with torch.inference_mode():
            network(moved["noisy"], moved.get("boxes"))
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run
