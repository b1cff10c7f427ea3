"""The families of architectures that the paper studies, and one of common classifiers.

* :func:`unet`: denoisers of base width ``b``, depth ``d``, channel multiplier ``m`` and
  ``c`` convolutions per level (paper, appendix A.2 and figure 2).
* :func:`small_classifier`: two convolution blocks, a global max-pool, a linear layer (A.1).
* :func:`integrated`, :func:`sequential`: the two ways of joining them (section 3.1).

:func:`mobile_classifier` is a family of others: inverted residuals between two convolutions.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from tapetum.arch import spec
from tapetum.arch.spec import Architecture
from tapetum.errors import ArchitectureError
from tapetum.records import faults_are_ours

__all__ = [
    *("Bottleneck", "integrated", "mobile_classifier", "sequential", "small_classifier", "unet"),
]

DIGIT_PX = 28  # the side of an MNIST digit: the box of the controlled study
FEATURE_BOX_PX = 4  # a 28 px box spans 3.5 places of a map at 1/8

_numbers_checked = partial(faults_are_ours, "these numbers make no network", kind=ArchitectureError)


@_numbers_checked()
def unet(
    name: str,
    *,
    base_width: int,
    depth: int,
    multiplier: float,
    convs: int,
    expansion: float | None = None,
    channels: int = 1,
) -> Architecture:
    """Return a UNet denoiser.

    Args:
        name: Name of the architecture.
        base_width: Channels of the finest level, the paper's ``b``.
        depth: Number of levels, the paper's ``d``; each but the first halves the size.
        multiplier: Ratio of the channels of neighbouring levels, the paper's ``m``.
        convs: Convolutions per level, the paper's ``c``.
        expansion: Expansion of the MBConv that replaces each convolution but the very first; plain
            convolutions if ``None``.
        channels: Channels of the image.

    Raises:
        ArchitectureError: A number is out of range.
    """
    if min(base_width, depth, convs) < 1 or multiplier <= 0:
        raise ArchitectureError(
            f"a UNet of width {base_width}, depth {depth}, multiplier {multiplier} and "
            f"{convs} convolutions per level is not possible",
            "give whole numbers of at least 1 and a positive multiplier",
        )
    widths = [round(base_width * multiplier**level) for level in range(depth)]
    encoder = [spec.Level(blocks=_mix(channels, widths[0], convs, expansion, plain_first=True))]
    for before, after in pairwise(widths):
        blocks = (spec.MaxPool(), *_mix(before, after, convs, expansion))
        encoder.append(spec.Level(blocks=blocks))
    levels = [
        spec.DecoderLevel(
            up=spec.TransposedConv(in_channels=widths[level + 1], out_channels=widths[level]),
            skip_level=level,
            blocks=_mix(2 * widths[level], widths[level], convs, expansion),
        )
        for level in reversed(range(depth - 1))
    ]
    return Architecture(
        name=name,
        image_channels=channels,
        encoder=tuple(encoder),
        decoder=spec.Decoder(levels=tuple(levels), output=spec.projection(widths[0], channels)),
    )


@_numbers_checked()
def small_classifier(
    name: str,
    *,
    widths: tuple[int, int],
    expansion: float | None = None,
    channels: int = 1,
    num_classes: int = 10,
    boxes: bool = True,
) -> Architecture:
    """Return a classifier of two blocks (paper, appendix A.1).

    Args:
        name: Name of the architecture.
        widths: Channels after the first and the second block.
        expansion: Expansion of the MBConv that is the second block; a plain convolution if
            ``None``.
        channels: Channels of the image.
        num_classes: Number of classes.
        boxes: Whether it classifies boxes of 28 px (the controlled study) or the whole image.
    """
    first, second = widths
    # differs from the paper: activates before the max-pool, which gives the same numbers.
    return Architecture(
        name=name,
        image_channels=channels,
        classifier=spec.Classifier(
            source="noisy",
            region=_region(boxes, DIGIT_PX),
            blocks=(
                spec.Conv(in_channels=channels, out_channels=first, norm="group"),
                spec.MaxPool(),
                *_mix(first, second, 1, expansion, norm="group"),
                spec.MaxPool(),
            ),
            pooling="max",
            features=second,
            num_classes=num_classes,
        ),
    )


class Bottleneck(NamedTuple):
    """One inverted residual of :func:`mobile_classifier`, without the channels of its input."""

    hidden_channels: int
    out_channels: int
    kernel_px: int
    stride_px: int
    squeeze_channels: int | None
    activation: spec.Activation


@_numbers_checked()
def mobile_classifier(
    name: str,
    *,
    bottlenecks: Sequence[Bottleneck],
    features: int,
    hidden_features: int,
    channels: int = 1,
    num_classes: int = 10,
    boxes: bool = True,
) -> Architecture:
    """Return a classifier like MobileNetV3 (Howard et al., 2019, https://arxiv.org/abs/1905.02244).

    Args:
        name: Name of the architecture.
        bottlenecks: The inverted residuals, after a convolution of stride 2 to 16 channels.
        features: Channels of the last convolution, whose mean is the pooled vector.
        hidden_features: Length of the hidden vector before the classes.
        channels: Channels of the image.
        num_classes: Number of classes.
        boxes: Whether it classifies boxes of 28 px or the whole image.
    """
    conv = partial(spec.Conv, activation="hard_swish")
    blocks: list[spec.Block] = [conv(in_channels=channels, out_channels=16, stride_px=2)]
    before = 16
    for numbers in bottlenecks:
        blocks.append(spec.InvertedResidual(in_channels=before, **numbers._asdict()))
        before = numbers.out_channels
    blocks.append(conv(in_channels=before, out_channels=features, kernel_px=1))
    return Architecture(
        name=name,
        image_channels=channels,
        classifier=spec.Classifier(
            source="noisy",
            region=_region(boxes, DIGIT_PX),
            blocks=tuple(blocks),
            pooling="mean",
            features=features,
            hidden_features=hidden_features,
            num_classes=num_classes,
        ),
    )


@_numbers_checked()
def integrated(
    denoiser: Architecture, name: str, *, num_classes: int = 10, boxes: bool = True
) -> Architecture:
    """Join a denoiser and a classifier that shares its encoder (paper, figure 2 ii).

    Each box is resampled to 4 x 4 places of the deepest level and read by one linear layer. For
    whole images, which the paper's controlled study does not have, two strided MBConv blocks come
    first.
    """
    _check_denoises(denoiser)
    deepest = spec.level_channels(denoiser)[-1]
    classifier = spec.Classifier(
        source="encoder",
        region=_region(boxes, FEATURE_BOX_PX),
        # differs from the paper, which prints no head for whole images.
        blocks=() if boxes else _context(deepest),
        pooling="flatten" if boxes else "mean",
        features=deepest * (FEATURE_BOX_PX**2 if boxes else 4),
        num_classes=num_classes,
    )
    return _rebuild(denoiser, name, classifier)


@_numbers_checked()
def sequential(denoiser: Architecture, classifier: Architecture, name: str) -> Architecture:
    """Join a denoiser and a classifier that reads the denoised image (paper, figure 2 i)."""
    _check_denoises(denoiser)
    if classifier.kind != "classifier" or classifier.classifier is None:
        raise ArchitectureError(
            f"{classifier.name} is a {classifier.kind}", "give a classifier of noisy images"
        )
    head = classifier.classifier.model_dump() | {"source": "denoised"}
    return _rebuild(denoiser, name, spec.Classifier.model_validate(head))


def _rebuild(denoiser: Architecture, name: str, classifier: spec.Classifier) -> Architecture:
    """Return ``denoiser`` with a classifier, validated as a whole."""
    parts = {"name": name, "classifier": classifier}
    return Architecture.model_validate(dict(denoiser) | parts)


def _check_denoises(denoiser: Architecture) -> None:
    if denoiser.kind != "denoiser":
        raise ArchitectureError(f"{denoiser.name} is a {denoiser.kind}", "give a denoiser")


def _region(boxes: bool, size_px: int) -> spec.Region:
    return spec.Boxes(size_px=size_px) if boxes else spec.Whole()


def _context(channels: int) -> tuple[spec.Block, ...]:
    """Return two strided MBConv blocks, each doubling the channels."""
    return tuple(
        spec.InvertedResidual(
            in_channels=width,
            hidden_channels=4 * width,
            out_channels=2 * width,
            kernel_px=5,
            stride_px=2,
        )
        for width in (channels, 2 * channels)
    )


def _mix(
    in_channels: int,
    out_channels: int,
    convs: int,
    expansion: float | None,
    *,
    norm: spec.Norm = "batch",
    plain_first: bool = False,
) -> tuple[spec.Block, ...]:
    """Return ``convs`` convolutions, or MBConvs of that ``expansion``."""
    blocks: list[spec.Block] = []
    for before in (in_channels, *[out_channels] * (convs - 1)):
        if expansion is None or (plain_first and not blocks):
            blocks.append(spec.Conv(in_channels=before, out_channels=out_channels, norm=norm))
        else:
            residual = spec.InvertedResidual(
                in_channels=before,
                hidden_channels=round(expansion * before),
                out_channels=out_channels,
                norm=norm,
            )
            blocks.append(residual)
    return tuple(blocks)
