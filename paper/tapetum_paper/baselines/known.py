"""Baselines: published networks by others, for comparison.

A baseline has a name here and its layers in :mod:`tapetum_paper.baselines.networks`.  Training,
evaluation and reports receive a module and its :class:`~tapetum.arch.NetworkFacts`.
"""

from typing import Literal, NamedTuple

from tapetum.arch import NetworkFacts
from tapetum.errors import ArchitectureError, nearest
from tapetum.records import faults_are_ours

__all__ = ["BASELINES", "KnownBaseline", "baseline_names", "find_baseline", "require_baseline"]


class KnownBaseline(NamedTuple):
    """A published network.

    Attributes:
        kind: What the network does.
        what: A description of one line.
        title: Title of the publication.
        authors: Authors of the publication.
        year: Year of the publication.
        url: Address of the publication.
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
        "convolutions at half the size; the noise level is an input, here an estimate",
        "FFDNet: Toward a Fast and Flexible Solution for CNN based Image Denoising",
        "Zhang, Zuo and Zhang",
        2018,
        "https://arxiv.org/abs/1710.04026",
    ),
}


def baseline_names() -> list[str]:
    """Return the names that :func:`find_baseline` accepts."""
    return sorted(BASELINES)


def find_baseline(name: str, *, channels: int = 1, num_classes: int = 10) -> NetworkFacts:
    """Return the facts about a baseline.

    Args:
        name: One of :func:`baseline_names`.
        channels: Channels of the images: 1 for grey, 3 for RGB.
        num_classes: Number of classes; a denoiser ignores it.

    Raises:
        ArchitectureError: No baseline has this name, or the numbers are out of range.
    """
    kind = _known(name).kind
    with faults_are_ours("these numbers make no network", kind=ArchitectureError):
        return NetworkFacts(
            name=name,
            kind=kind,
            image_channels=channels,
            num_classes=num_classes if kind == "classifier" else None,
        )


def require_baseline(facts: NetworkFacts) -> None:
    """Check that the facts describe one of the baselines.

    Raises:
        ArchitectureError: The name is unknown, or the facts contradict the baseline of that name.
    """
    kind = _known(facts.name).kind
    if facts.kind != kind:
        raise ArchitectureError(
            f"{facts.name} is a {kind}, and the facts say {facts.kind}", "correct the kind"
        )
    if facts.classifies and facts.num_classes is None:
        raise ArchitectureError(f"{facts.name} classifies images", "give num_classes")
    if facts.denoises and facts.num_classes is not None:
        raise ArchitectureError(f"{facts.name} only denoises", "leave num_classes out")


def _known(name: str) -> KnownBaseline:
    if name not in BASELINES:
        raise ArchitectureError(f"there is no baseline {name!r}", nearest(name, BASELINES))
    return BASELINES[name]
