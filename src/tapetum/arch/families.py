"""The families of architectures that the paper studies.

* :func:`unet`: denoisers of base width ``b``, depth ``d``, channel multiplier ``m`` and
  ``c`` convolutions per level (paper, appendix A.2 and figure 2).
* :func:`small_classifier`: two convolution blocks, a global max-pool, a linear layer (A.1).
* :func:`integrated`, :func:`sequential`: the two ways of joining them (section 3.1).
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from tapetum.arch.spec import (
    Activation,
    Architecture,
    Block,
    Boxes,
    Classifier,
    Conv,
    Decoder,
    DecoderLevel,
    InvertedResidual,
    Level,
    MaxPool,
    Norm,
    Region,
    TransposedConv,
    Whole,
    level_channels,
)
from tapetum.errors import ArchitectureError
from tapetum.records import faults_are_ours

__all__ = ["integrated", "sequential", "small_classifier", "unet"]

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
    levels, in_channels = [], channels
    for index, width in enumerate(widths):
        pool: list[Block] = [MaxPool()] if index else []
        plain_first = index == 0
        blocks = _mix(in_channels, width, convs, expansion, plain_first=plain_first)
        levels.append(Level(blocks=(*pool, *blocks)))
        in_channels = width
    return Architecture(
        name=name,
        image_channels=channels,
        encoder=tuple(levels),
        decoder=Decoder(
            levels=tuple(
                DecoderLevel(
                    up=TransposedConv(in_channels=widths[level + 1], out_channels=widths[level]),
                    skip_level=level,
                    blocks=_mix(2 * widths[level], widths[level], convs, expansion),
                )
                for level in reversed(range(depth - 1))
            ),
            output=Conv(
                in_channels=widths[0],
                out_channels=channels,
                kernel_px=1,
                norm="none",
                activation="none",
            ),
        ),
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
        classifier=Classifier(
            source="noisy",
            region=_region(boxes, DIGIT_PX),
            blocks=(
                Conv(in_channels=channels, out_channels=first, norm="group"),
                MaxPool(),
                *_mix(first, second, 1, expansion, norm="group"),
                MaxPool(),
            ),
            pooling="max",
            features=second,
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
    deepest = level_channels(denoiser)[-1]
    blocks: tuple[Block, ...] = ()
    features = deepest * FEATURE_BOX_PX**2
    if not boxes:
        # differs from the paper, which prints no head for whole images.
        blocks = _context(deepest)
        features = 4 * deepest
    classifier = Classifier(
        source="encoder",
        region=_region(boxes, FEATURE_BOX_PX),
        blocks=blocks,
        pooling="flatten" if boxes else "mean",
        features=features,
        num_classes=num_classes,
    )
    return _rebuild(denoiser, name, classifier)


@_numbers_checked()
def sequential(denoiser: Architecture, classifier: Architecture, name: str) -> Architecture:
    """Join a denoiser and a classifier that reads the denoised image (paper, figure 2 i)."""
    if classifier.kind != "classifier" or classifier.classifier is None:
        raise ArchitectureError(
            f"{classifier.name} is a {classifier.kind}", "give a classifier of noisy images"
        )
    head = classifier.classifier.model_dump() | {"source": "denoised"}
    return _rebuild(denoiser, name, Classifier.model_validate(head))


def _rebuild(denoiser: Architecture, name: str, classifier: Classifier) -> Architecture:
    """Return ``denoiser`` with a classifier, validated as a whole."""
    _check_denoises(denoiser)
    return Architecture(
        name=name,
        image_channels=denoiser.image_channels,
        encoder=denoiser.encoder,
        decoder=denoiser.decoder,
        classifier=classifier,
    )


def _check_denoises(denoiser: Architecture) -> None:
    if denoiser.kind != "denoiser":
        raise ArchitectureError(f"{denoiser.name} is a {denoiser.kind}", "give a denoiser")


def _region(boxes: bool, size_px: int) -> Region:
    return Boxes(size_px=size_px) if boxes else Whole()


def _context(channels: int) -> tuple[Block, ...]:
    """Return two strided MBConv blocks, each doubling the channels."""
    return tuple(
        InvertedResidual(
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
    norm: Norm = "batch",
    activation: Activation = "relu",
    plain_first: bool = False,
) -> tuple[Block, ...]:
    """Return ``convs`` convolutions, or MBConvs of that ``expansion``."""
    widths: Sequence[int] = (in_channels, *[out_channels] * convs)
    blocks: list[Block] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        if expansion is None or (plain_first and index == 0):
            block: Block = Conv(
                in_channels=before, out_channels=after, norm=norm, activation=activation
            )
        else:
            block = InvertedResidual(
                in_channels=before,
                hidden_channels=round(expansion * before),
                out_channels=after,
                norm=norm,
                activation=activation,
            )
        blocks.append(block)
    return tuple(blocks)
