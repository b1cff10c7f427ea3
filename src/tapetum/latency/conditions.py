"""What a latency holds for: device, runtime, threads, batch, size, precision.

Two latencies under different conditions cannot be compared, averaged or taken for one another:
users ask for 25 ms and get 62 because someone did.  So conditions go with every number, and
whoever mixes them is told what differs.
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, PositiveInt

from tapetum.errors import InputError
from tapetum.provenance import MOST_THREADS
from tapetum.records import Record

__all__ = ["Conditions"]


class Conditions(Record):
    """Where and how a network is timed.

    Args:
        device: The model of the processor, or of the GPU.
        runtime: What computes: ``onnxruntime``, ``openvino`` or ``torch``.
        runtime_version: Its version.
        precision: What it computes in, such as ``fp32``, as the runtime itself says.
        threads: That share the work of one layer.
        batch: Images in one pass.
        channels: Of an image.
        height_px: Of an image.
        width_px: Of an image.
    """

    device: str
    runtime: str
    runtime_version: str
    precision: str
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)]
    batch: PositiveInt
    channels: PositiveInt
    height_px: PositiveInt
    width_px: PositiveInt

    def __str__(self) -> str:
        thread = "thread" if self.threads == 1 else "threads"
        return (
            f"{self.runtime} {self.runtime_version}, {self.precision}, {self.threads} {thread}, "
            f"batch {self.batch}, {self.channels} x {self.height_px} x {self.width_px} px, "
            f"{self.device}"
        )

    def differences(self, other: "Conditions") -> list[str]:
        """What differs, each as ``threads 1, not 2``: ours first."""
        ours, theirs = self.model_dump(), other.model_dump()
        return [
            f"{name.replace('_', ' ')} {value}, not {theirs[name]}"
            for name, value in ours.items()
            if value != theirs[name]
        ]

    def require_same(self, other: "Conditions", *, what: str) -> None:
        """Refuses latencies that hold for something else.

        Args:
            other: What is needed.
            what: That holds for these conditions, such as the name of a table's file.

        Raises:
            InputError: Something differs; all of it is named.
        """
        differences = self.differences(other)
        if differences:
            raise InputError(
                f"{what} holds for other conditions: {_listed(differences)}",
                "measure a table under the conditions that you need: tapetum latency measure",
            )


def _listed(parts: Iterable[str]) -> str:
    return "; ".join(parts)
