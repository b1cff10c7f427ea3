"""Facts about a network that comes as a module, without a description of its layers.

An :class:`~tapetum.arch.spec.Architecture` describes every layer, so it can be priced, written as a
graph and shipped. A network that is written in PyTorch alone can still be trained, scored and
reported; :class:`NetworkFacts` holds what this needs. Both have ``name``, ``kind``,
``image_channels``, ``num_classes``, ``denoises``, ``classifies`` and ``classifies_boxes``.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag

from tapetum.arch.spec import Architecture, Kind
from tapetum.records import Record

__all__ = ["Described", "NetworkFacts"]


class NetworkFacts(Record):
    """Facts about a network whose layers are not described.

    Args:
        name: Name of the network, for people.
        kind: What the network does.
        image_channels: Channels of its images: 1 for grey, 3 for RGB.
        num_classes: Number of classes; ``None`` for a denoiser.
    """

    format: Literal["tapetum-network"] = "tapetum-network"
    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    kind: Kind
    image_channels: PositiveInt
    num_classes: Annotated[int, Field(ge=2)] | None = None

    @property
    def denoises(self) -> bool:
        """Whether the network returns an image."""
        return self.kind != "classifier"

    @property
    def classifies(self) -> bool:
        """Whether the network returns class scores."""
        return self.kind != "denoiser"

    @property
    def classifies_boxes(self) -> bool:
        """Always false: such a network classifies whole images."""
        return False


def _tag(value: Any) -> str:  # pydantic hands over a record, or the JSON of one
    stated = value.get("format") if isinstance(value, dict) else getattr(value, "format", None)
    return "architecture" if stated is None else "facts"


Described = Annotated[
    Annotated[Architecture, Tag("architecture")] | Annotated[NetworkFacts, Tag("facts")],
    Discriminator(_tag),
]
"""The description of a trained network: its architecture, or facts about a module."""
