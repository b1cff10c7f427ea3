"""Baselines: networks that others designed, for comparison, as names with a few numbers.

An :class:`~tapetum.arch.spec.Architecture` describes every layer, so that it can be priced, written
as a graph and shipped.  A :class:`Baseline` only says which published network is meant, for which
images and how many names: its layers are torch's business (:mod:`tapetum_paper.baselines.networks`), and its
graph is written by torch's own exporter.  Training, scores and reports take either, and ask both
the same few questions: ``name``, ``kind``, ``image_channels``, ``denoises``, ``names``,
``num_classes``, ``classifies_boxes``.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from tapetum.arch.spec import Architecture
from tapetum.errors import ArchitectureError, nearest
from tapetum.records import Record, faults_are_ours

__all__ = [
    "BASELINES",
    "AnyArchitecture",
    "Baseline",
    "KnownBaseline",
    "baseline_names",
    "find_baseline",
    "read_architecture",
]

BASELINE_FORMAT = "tapetum-baseline"


class KnownBaseline(NamedTuple):
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

BASELINES = {
    "mobilenet-v2": KnownBaseline(
        "classifier",
        "inverted residuals with linear bottlenecks, as in torchvision",
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        "Sandler et al.",
        2018,
        "https://arxiv.org/abs/1801.04381",
    ),
    "mobilenet-v3-small": KnownBaseline(
        "classifier", "searched for phones, the small one, as in torchvision", *_MOBILENET_V3
    ),
    "mobilenet-v3-large": KnownBaseline(
        "classifier", "searched for phones, the large one, as in torchvision", *_MOBILENET_V3
    ),
    "resnet-18": KnownBaseline(
        "classifier",
        "18 layers with residual connections, as in torchvision",
        "Deep Residual Learning for Image Recognition",
        "He, Zhang, Ren and Sun",
        2015,
        "https://arxiv.org/abs/1512.03385",
    ),
    "efficientnet-v2-b0": KnownBaseline(
        "classifier", "searched for quick training, base 0, as in timm", *_EFFICIENTNET_V2
    ),
    "efficientnet-v2-b1": KnownBaseline(
        "classifier", "searched for quick training, base 1, as in timm", *_EFFICIENTNET_V2
    ),
    "lpienet-0.25x": KnownBaseline(
        "denoiser", "a small UNet with attention for phones, a quarter of its width", *_LPIENET
    ),
    "lpienet-0.5x": KnownBaseline(
        "denoiser", "a small UNet with attention for phones, half of its width", *_LPIENET
    ),
    "lpienet-1x": KnownBaseline(
        "denoiser", "a small UNet with attention for phones, as published", *_LPIENET
    ),
    "dncnn": KnownBaseline(
        "denoiser",
        "20 convolutions that predict the noise, for any noise level (DnCNN-B)",
        "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising",
        "Zhang, Zuo, Chen, Meng and Zhang",
        2017,
        "https://arxiv.org/abs/1608.03981",
    ),
    "ffdnet": KnownBaseline(
        "denoiser",
        "convolutions at half the size that are told the noise level, here an estimate",
        "FFDNet: Toward a Fast and Flexible Solution for CNN based Image Denoising",
        "Zhang, Zuo and Zhang",
        2018,
        "https://arxiv.org/abs/1710.04026",
    ),
}


class Baseline(Record):
    """A published network, for images and classes of your own; its weights are always fresh.

    Args:
        name: One of :func:`baseline_names`.
        image_channels: 1 for grey, 3 for RGB; any number works.
        num_classes: How many names there are; ``None`` for a denoiser.
    """

    format: Literal["tapetum-baseline"] = "tapetum-baseline"
    schema_version: Literal[1] = 1
    name: str
    image_channels: PositiveInt
    num_classes: Annotated[int, Field(ge=2)] | None = None

    @property
    def kind(self) -> Literal["classifier", "denoiser"]:
        """What the network does."""
        return BASELINES[self.name].kind

    @property
    def denoises(self) -> bool:
        """Whether the network returns an image."""
        return self.kind == "denoiser"

    @property
    def classifies(self) -> bool:
        """Whether the network names what is in an image."""
        return self.kind == "classifier"

    @property
    def classifies_boxes(self) -> bool:
        """Never: a baseline names whole images."""
        return False

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.name not in BASELINES:
            raise ValueError(f"there is no baseline {self.name!r}; {nearest(self.name, BASELINES)}")
        if self.classifies and self.num_classes is None:
            raise ValueError(f"{self.name} names images: give num_classes")
        if self.denoises and self.num_classes is not None:
            raise ValueError(f"{self.name} only denoises: leave num_classes out")
        return self


def _tag(value: Any) -> str:  # what pydantic hands over: a record, or what was read of one
    stated = value.get("format") if isinstance(value, dict) else getattr(value, "format", None)
    return "baseline" if stated == BASELINE_FORMAT else "architecture"


AnyArchitecture = Annotated[
    Annotated[Architecture, Tag("architecture")] | Annotated[Baseline, Tag("baseline")],
    Discriminator(_tag),
]
"""What can be trained; a baseline says so in its field ``format``, which an architecture has not."""


def baseline_names() -> list[str]:
    """The names that :func:`find_baseline` knows."""
    return sorted(BASELINES)


def find_baseline(name: str, *, channels: int = 1, num_classes: int = 10) -> Baseline:
    """The baseline of a name, for images and classes of your own.

    Args:
        name: One of :func:`baseline_names`.
        channels: Of the images: 1 for grey, 3 for RGB.
        num_classes: How many names there are; unused by denoisers.

    Raises:
        ArchitectureError: No baseline has this name, or the numbers make no network.
    """
    if name not in BASELINES:
        raise ArchitectureError(f"there is no baseline {name!r}", nearest(name, BASELINES))
    classes = num_classes if BASELINES[name].kind == "classifier" else None
    with faults_are_ours("these numbers make no network", kind=ArchitectureError):
        return Baseline(name=name, image_channels=channels, num_classes=classes)


def read_architecture(path: Path) -> Architecture | Baseline:
    """Reads the JSON file of an architecture or of a baseline.

    Raises:
        InputError: There is no such file, or it describes neither.
    """
    try:
        is_baseline = _tag(json.loads(path.read_bytes())) == "baseline"
    except (OSError, ValueError):
        is_baseline = False  # what is wrong with the file, the reader below says
    return Baseline.read(path) if is_baseline else Architecture.read(path)
