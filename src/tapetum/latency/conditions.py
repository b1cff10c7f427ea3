"""What a latency holds for: device, runtime, threads, batch, size and precision.

Latencies under different conditions cannot be compared.  So conditions are stored with every
number, and mixing two of them is an error that names the differences.
"""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt

from tapetum.errors import InputError
from tapetum.provenance import require_cores
from tapetum.records import Record, faults_are_ours
from tapetum.runtime import GraphSession, Precision

if TYPE_CHECKING:
    from tapetum.latency.deployed import DeployedNetwork
    from tapetum.latency.runtimes import Runtime

__all__ = ["Conditions"]


class Conditions(Record):
    """Where and how a network is timed.

    Attributes:
        device: Model of the processor, or of the GPU.
        runtime: ``onnxruntime``, ``openvino`` or ``torch``.
        runtime_version: Version of the runtime.
        precision: Number format of the computation, such as ``fp32``, as the runtime reports it.
        threads: Threads that share the work of one layer.
        batch: Images in one pass.
        channels: Channels of an image.
        height_px: Height of an image, in pixels.
        width_px: Width of an image, in pixels.
    """

    device: str
    runtime: str
    runtime_version: str
    precision: str
    threads: Annotated[int, Field(ge=1, le=GraphSession.MOST_THREADS)]
    batch: PositiveInt
    channels: PositiveInt
    height_px: PositiveInt
    width_px: PositiveInt

    @classmethod
    def here(
        cls, runtime: "Runtime", *, threads: int, batch: int, channels: int, size_px: int
    ) -> "Conditions":
        """Return the conditions of this machine now, for square images of ``size_px``.

        Raises:
            InputError: A number is not possible.
        """
        require_cores(threads)
        with faults_are_ours("no latency can be measured under these conditions"):
            return cls(
                device=runtime.device,
                runtime=runtime.name,
                runtime_version=runtime.version,
                precision=runtime.precision,
                threads=threads,
                batch=batch,
                channels=channels,
                height_px=size_px,
                width_px=size_px,
            )

    def of(self, network: "DeployedNetwork") -> "Conditions":
        """Return these conditions in the precision of a network, where that is not fp32."""
        if network.precision == "fp32":
            return self
        return self.model_copy(update={"precision": network.precision})

    @property
    def ships(self) -> Precision:
        """The precision of the graphs that are timed under these conditions."""
        return "int8" if self.precision == "int8" else "fp32"

    def __str__(self) -> str:
        thread = "thread" if self.threads == 1 else "threads"
        return (
            f"{self.runtime} {self.runtime_version}, {self.precision}, {self.threads} {thread}, "
            f"batch {self.batch}, {self.channels} x {self.height_px} x {self.width_px} px, "
            f"{self.device}"
        )

    def require_same(self, other: "Conditions", *, what: str) -> None:
        """Refuse ``what`` holds for these conditions, such as a table, where others are needed.

        Raises:
            InputError: The conditions differ; the message names every difference.
        """
        theirs = other.model_dump()
        differences = [
            f"{name.replace('_', ' ')} {value}, not {theirs[name]}"
            for name, value in self.model_dump().items()
            if value != theirs[name]
        ]
        if differences:
            raise InputError(
                f"{what} holds for other conditions: {'; '.join(differences)}",
                "measure a table under the conditions that you need: tapetum latency measure",
            )
