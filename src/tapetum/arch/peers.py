"""Peers: networks that others designed, for comparison, as names with a few numbers.

An :class:`~tapetum.arch.spec.Architecture` describes every layer, so that it can be priced, written
as a graph and shipped.  A :class:`Peer` only says which published network is meant, for which
pictures and how many names: its layers are torch's business (:mod:`tapetum.nn.peers`), and its
graph is written by torch's own exporter.  Training, scores and reports take either, and ask both
the same few questions: ``name``, ``kind``, ``picture_channels``, ``cleans``, ``names``,
``num_classes``, ``names_boxes``.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from tapetum.arch.spec import Architecture
from tapetum.errors import ArchitectureError, nearest
from tapetum.records import Record, faults_are_ours

__all__ = [
    "PEERS",
    "AnyArchitecture",
    "KnownPeer",
    "Peer",
    "find_peer",
    "peer_names",
    "read_architecture",
]

PEER_FORMAT = "tapetum-peer"


class KnownPeer(NamedTuple):
    """A published network.

    Attributes:
        kind: What it does.
        what: The same in a line, for people.
        title: Of the paper that describes it.
        authors: Of that paper.
        year: Of that paper.
        url: Of that paper.
    """

    kind: Literal["classifier", "denoiser"]
    what: str
    title: str
    authors: str
    year: int
    url: str

    @property
    def reference(self) -> str:
        """The paper in one line."""
        return f"{self.title} ({self.authors}, {self.year}), {self.url}"


_MOBILENET_V3 = (
    "Searching for MobileNetV3",
    "Howard et al.",
    2019,
    "https://arxiv.org/abs/1905.02244",
)
_EFFICIENTNET_V2 = (
    "EfficientNetV2: Smaller Models and Faster Training",
    "Tan and Le",
    2021,
    "https://arxiv.org/abs/2104.00298",
)
_LPIENET = (
    "Perceptual Image Enhancement for Smartphone Real-Time Applications",
    "Conde, Vasluianu, Vazquez-Corral and Timofte",
    2023,
    "https://arxiv.org/abs/2210.13552",
)

PEERS = {
    "mobilenet-v2": KnownPeer(
        "classifier",
        "inverted residuals with linear bottlenecks, as in torchvision",
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        "Sandler et al.",
        2018,
        "https://arxiv.org/abs/1801.04381",
    ),
    "mobilenet-v3-small": KnownPeer(
        "classifier", "searched for phones, the small one, as in torchvision", *_MOBILENET_V3
    ),
    "mobilenet-v3-large": KnownPeer(
        "classifier", "searched for phones, the large one, as in torchvision", *_MOBILENET_V3
    ),
    "resnet-18": KnownPeer(
        "classifier",
        "18 layers with residual connections, as in torchvision",
        "Deep Residual Learning for Image Recognition",
        "He, Zhang, Ren and Sun",
        2015,
        "https://arxiv.org/abs/1512.03385",
    ),
    "efficientnet-v2-b0": KnownPeer(
        "classifier", "searched for quick training, base 0, as in timm", *_EFFICIENTNET_V2
    ),
    "efficientnet-v2-b1": KnownPeer(
        "classifier", "searched for quick training, base 1, as in timm", *_EFFICIENTNET_V2
    ),
    "lpienet-0.25x": KnownPeer(
        "denoiser", "a small UNet with attention for phones, a quarter of its width", *_LPIENET
    ),
    "lpienet-0.5x": KnownPeer(
        "denoiser", "a small UNet with attention for phones, half of its width", *_LPIENET
    ),
    "lpienet-1x": KnownPeer(
        "denoiser", "a small UNet with attention for phones, as published", *_LPIENET
    ),
    "dncnn": KnownPeer(
        "denoiser",
        "20 convolutions that predict the noise, for any noise level (DnCNN-B)",
        "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising",
        "Zhang, Zuo, Chen, Meng and Zhang",
        2017,
        "https://arxiv.org/abs/1608.03981",
    ),
    "ffdnet": KnownPeer(
        "denoiser",
        "convolutions at half the size that are told the noise level, here an estimate",
        "FFDNet: Toward a Fast and Flexible Solution for CNN based Image Denoising",
        "Zhang, Zuo and Zhang",
        2018,
        "https://arxiv.org/abs/1710.04026",
    ),
}


class Peer(Record):
    """A published network, for pictures and classes of your own; its weights are always fresh.

    Args:
        name: One of :func:`peer_names`.
        picture_channels: 1 for grey, 3 for RGB; any number works.
        num_classes: How many names there are; ``None`` for a denoiser.
    """

    format: Literal["tapetum-peer"] = "tapetum-peer"
    schema_version: Literal[1] = 1
    name: str
    picture_channels: PositiveInt
    num_classes: Annotated[int, Field(ge=2)] | None = None

    @property
    def kind(self) -> Literal["classifier", "denoiser"]:
        """What the network does."""
        return PEERS[self.name].kind

    @property
    def cleans(self) -> bool:
        """Whether the network returns a picture."""
        return self.kind == "denoiser"

    @property
    def names(self) -> bool:
        """Whether the network names what is in a picture."""
        return self.kind == "classifier"

    @property
    def names_boxes(self) -> bool:
        """Never: a peer names whole pictures."""
        return False

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.name not in PEERS:
            raise ValueError(f"there is no peer {self.name!r}; {nearest(self.name, PEERS)}")
        if self.names and self.num_classes is None:
            raise ValueError(f"{self.name} names pictures: give num_classes")
        if self.cleans and self.num_classes is not None:
            raise ValueError(f"{self.name} only cleans: leave num_classes out")
        return self


def _tag(value: Any) -> str:  # what pydantic hands over: a record, or what was read of one
    stated = value.get("format") if isinstance(value, dict) else getattr(value, "format", None)
    return "peer" if stated == PEER_FORMAT else "architecture"


AnyArchitecture = Annotated[
    Annotated[Architecture, Tag("architecture")] | Annotated[Peer, Tag("peer")],
    Discriminator(_tag),
]
"""What can be trained; a peer says so in its field ``format``, which an architecture has not."""


def peer_names() -> list[str]:
    """The names that :func:`find_peer` knows."""
    return sorted(PEERS)


def find_peer(name: str, *, channels: int = 1, num_classes: int = 10) -> Peer:
    """The peer of a name, for pictures and classes of your own.

    Args:
        name: One of :func:`peer_names`.
        channels: Of the pictures: 1 for grey, 3 for RGB.
        num_classes: How many names there are; unused by denoisers.

    Raises:
        ArchitectureError: No peer has this name, or the numbers make no network.
    """
    if name not in PEERS:
        raise ArchitectureError(f"there is no peer {name!r}", nearest(name, PEERS))
    classes = num_classes if PEERS[name].kind == "classifier" else None
    with faults_are_ours("these numbers make no network", kind=ArchitectureError):
        return Peer(name=name, picture_channels=channels, num_classes=classes)


def read_architecture(path: Path) -> Architecture | Peer:
    """Reads the JSON file of an architecture or of a peer.

    Raises:
        InputError: There is no such file, or it describes neither.
    """
    try:
        is_peer = _tag(json.loads(path.read_bytes())) == "peer"
    except (OSError, ValueError):
        is_peer = False  # what is wrong with the file, the reader below says
    return Peer.read(path) if is_peer else Architecture.read(path)
