"""Runtime and conditions of the networks of an experiment."""

from typing import NamedTuple

from tapetum.latency import Conditions, Runtime, find_runtime
from tapetum_paper.eager import EagerTorch

__all__ = ["Deployment"]


class Deployment(NamedTuple):
    """A runtime and the conditions of its measurements.

    Attributes:
        runtime_name: Name of a runtime, or ``torch`` for eager PyTorch, as in the paper.
        threads: That share the work of one layer.
        batch: Images in one pass.
        size_px: Side of the images.
        channels: 1 for grey, 3 for RGB.
        table_networks: Random networks that are timed for a latency table.
        table_minutes: That measuring it may take.
    """

    runtime_name: str
    threads: int
    batch: int
    size_px: int
    channels: int
    table_networks: int = 300
    table_minutes: float = 6.0

    @property
    def runtime(self) -> Runtime:
        """What computes."""
        return EagerTorch() if self.runtime_name == "torch" else find_runtime(self.runtime_name)

    @property
    def conditions(self) -> Conditions:
        """What a latency that is measured on this machine now would hold for."""
        return Conditions.here(
            self.runtime,
            threads=self.threads,
            batch=self.batch,
            channels=self.channels,
            size_px=self.size_px,
        )
