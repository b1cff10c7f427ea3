"""Architectures as frozen data: no torch, no weights, JSON both ways.

An :class:`Architecture` has up to three parts. The *encoder* halves the size level by level, the
*decoder* doubles it again and returns a denoised image, the *classifier* returns a label. The input
of the classifier decides the kind of the network:

========== ========= ================== =============================
encoder    decoder   classifier reads   kind
========== ========= ================== =============================
yes        yes       (none)             ``denoiser``
no         no        the noisy image    ``classifier``
yes        yes       the encoder        ``integrated`` (DC-Net)
yes        yes       the denoised image ``sequential`` (DC-Net)
========== ========= ================== =============================

Validation refuses contradictions (channels that do not chain, a skip of another size) and lists
every fault.

References:
    Pushing Joint Image Denoising and Classification to the Edge
    (Markhorst, van Gemert, Kayhan, 2024), https://arxiv.org/abs/2409.08943, figure 2.
"""

import math
import operator
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from tapetum.records import Record

__all__ = [
    "Activation",
    "Architecture",
    "Block",
    "Boxes",
    "Classifier",
    "Conv",
    "Decoder",
    "DecoderLevel",
    "Downsample",
    "Expanding",
    "FusedInvertedResidual",
    "InvertedResidual",
    "Level",
    "MaxPool",
    "NearestConv",
    "Norm",
    "PixelShuffle",
    "Region",
    "ResidualConv",
    "TransposedConv",
    "Up",
    "Whole",
]


def _with_a_centre(kernel_px: int) -> int:
    if kernel_px % 2 == 0:
        raise ValueError(f"a kernel of {kernel_px} px has no centre: use an odd one")
    return kernel_px


# Far beyond what any network has; a file that says more is damaged, or made to harm.
Channels = Annotated[int, Field(ge=1, le=2**16)]
StridePx = Annotated[int, Field(ge=1, le=64)]
MOST_STRIDE_PX, MOST_LEVELS, MOST_BLOCKS = 1024, 16, 256

KernelPx = Annotated[int, Field(ge=1, le=101), AfterValidator(_with_a_centre)]
Activation = Literal["relu", "silu", "hard_swish", "none"]
Norm = Literal["batch", "group", "none"]
Kind = Literal["denoiser", "classifier", "integrated", "sequential"]
KINDS: dict[str, Kind] = {"noisy": "classifier", "encoder": "integrated", "denoised": "sequential"}


class Conv(Record):
    """A convolution, a normalisation and an activation; it has a bias only without normalisation.

    ``group`` normalises over all channels and places of one image (one group).
    """

    kind: Literal["conv"] = "conv"
    in_channels: Channels
    out_channels: Channels
    kernel_px: KernelPx = 3
    stride_px: StridePx = 1
    norm: Norm = "batch"
    activation: Activation = "relu"


class Expanding(Record):
    """What :class:`InvertedResidual` and :class:`FusedInvertedResidual` have in common.

    The input is added where stride and channels allow it. With ``squeeze_channels`` the hidden
    channels are scaled by a squeeze-and-excitation (Hu et al., https://arxiv.org/abs/1709.01507).
    """

    kind: str
    in_channels: Channels
    hidden_channels: Channels
    out_channels: Channels
    squeeze_channels: Channels | None = None
    kernel_px: KernelPx = 3
    stride_px: StridePx = 1
    norm: Norm = "batch"
    activation: Activation = "relu"

    @property
    def is_residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride_px == 1 and self.in_channels == self.out_channels


class InvertedResidual(Expanding):
    """MBConv: a 1x1 expansion, a depth-wise filter, a linear 1x1 projection."""

    kind: Literal["inverted_residual"] = "inverted_residual"


class FusedInvertedResidual(Expanding):
    """Fused MBConv: a full convolution that expands, and a linear 1x1 projection.

    Tan & Le, EfficientNetV2, 2021, https://arxiv.org/abs/2104.00298.
    """

    kind: Literal["fused_inverted_residual"] = "fused_inverted_residual"


class ResidualConv(Record):
    r"""A convolution to whose result the input is added before the activation.

    .. math:: y = \phi(x + \nu(W * x))

    The graph holds one convolution: the identity is folded into its kernel, like the normalisation
    (Ding et al., RepVGG, 2021, https://arxiv.org/abs/2101.03697).
    """

    kind: Literal["residual_conv"] = "residual_conv"
    channels: Channels
    kernel_px: KernelPx = 3
    norm: Literal["batch", "none"] = "batch"
    activation: Activation = "relu"

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.channels

    @property
    def out_channels(self) -> int:
        """Channels of the output, the same."""
        return self.channels

    @property
    def stride_px(self) -> int:
        """Always 1: the size stays."""
        return 1


class Downsample(Record):
    """A convolution that halves height and width (stride 2) with an even kernel.

    A kernel of 2 px reads each place once; one of 4 px, with a margin of 1, suits the first layer.
    An odd last row or column is dropped, as in :class:`MaxPool`.
    """

    kind: Literal["downsample"] = "downsample"
    in_channels: Channels
    out_channels: Channels
    kernel_px: Literal[2, 4] = 2
    norm: Norm = "batch"
    activation: Activation = "relu"

    @property
    def stride_px(self) -> int:
        """Always 2."""
        return 2


class MaxPool(Record):
    """The maximum of each window of ``size_px``; a last partial window is dropped."""

    kind: Literal["max_pool"] = "max_pool"
    size_px: StridePx = 2


class TransposedConv(Record):
    """A transposed convolution that doubles height and width (kernel 2, stride 2, with a bias)."""

    kind: Literal["transposed_conv"] = "transposed_conv"
    in_channels: Channels
    out_channels: Channels


class NearestConv(Record):
    """An upsampling that repeats each place as 2 x 2, then filters (kernel 3, with a bias)."""

    kind: Literal["nearest_conv"] = "nearest_conv"
    in_channels: Channels
    out_channels: Channels


class PixelShuffle(Record):
    """An upsampling that arranges four times the channels as 2 x 2 places (kernel 1, a bias)."""

    kind: Literal["pixel_shuffle"] = "pixel_shuffle"
    in_channels: Channels
    out_channels: Channels


Up = Annotated[TransposedConv | NearestConv | PixelShuffle, Field(discriminator="kind")]
Block = Annotated[
    Conv | ResidualConv | InvertedResidual | FusedInvertedResidual | Downsample | MaxPool,
    Field(discriminator="kind"),
]


class Level(Record):
    """A chain of blocks; the output of the last one is the level's feature map."""

    blocks: Annotated[tuple[Block, ...], Field(min_length=1, max_length=MOST_BLOCKS)]

    @property
    def stride_px(self) -> int:
        """The factor by which the level shrinks its input."""
        return stride_of(self.blocks)


class DecoderLevel(Record):
    """Double the size, join the encoder's feature map of that size, and mix the two.

    Args:
        up: The upsampling.
        skip_level: The encoder level whose output is joined with that of ``up``; None for none.
        join: Whether the two are concatenated, or added, which needs as many channels in both.
        blocks: Blocks on the joined maps; none of them changes the size.
    """

    up: Up
    skip_level: Annotated[int, Field(ge=0)] | None = None
    join: Literal["concatenate", "add"] = "concatenate"
    blocks: Annotated[tuple[Block, ...], Field(max_length=MOST_BLOCKS)] = ()


class Decoder(Record):
    r"""The decoder: from feature maps to an image.

    Args:
        blocks: Blocks on the deepest map; none of them changes the size.
        levels: Levels, the deepest first.
        output: Projection to the channels of an image, and of the gate; None where the last level
            has just these.
        gated: Whether the last channel is a gate :math:`g`, by which the noisy image :math:`x` is
            added to the others, :math:`r`: the image is :math:`r + \sigma(g) x`.
    """

    blocks: Annotated[tuple[Block, ...], Field(max_length=MOST_BLOCKS)] = ()
    levels: Annotated[tuple[DecoderLevel, ...], Field(max_length=MOST_LEVELS)]
    output: Conv | None
    gated: bool = False


class Whole(Record):
    """The classifier reads the whole image."""

    kind: Literal["whole"] = "whole"


class Boxes(Record):
    """The classifier reads each box of an image, resampled to ``size_px`` x ``size_px``.

    On an image a box of just that size is cut out exactly; on encoder features it is resampled
    (region of interest alignment; He et al., Mask R-CNN, 2017, https://arxiv.org/abs/1703.06870).
    """

    kind: Literal["boxes"] = "boxes"
    size_px: Annotated[int, Field(ge=1, le=1024)]


Region = Annotated[Whole | Boxes, Field(discriminator="kind")]


class Classifier(Record):
    """A classifier: blocks, one vector per region, one or two linear layers.

    Args:
        source: Its input: the noisy image, the deepest encoder level, or the denoised image.
        region: What is classified: the whole image, or each of the given boxes.
        blocks: Blocks on the region.
        pooling: How the region becomes one vector; ``flatten`` keeps every place, for boxes only.
        features: Length of that vector.
        hidden_features: Length of a hidden vector after it, activated by a hard swish, as in
            MobileNetV3; None for a linear layer alone.
        num_classes: Number of classes.
    """

    source: Literal["noisy", "encoder", "denoised"]
    region: Region
    blocks: Annotated[tuple[Block, ...], Field(max_length=MOST_BLOCKS)] = ()
    pooling: Literal["max", "mean", "flatten"]
    features: PositiveInt
    hidden_features: Channels | None = None
    num_classes: Annotated[int, Field(ge=2, le=10**6)]


class Architecture(Record):
    """A whole network.

    Example:
        >>> import tapetum
        >>> architecture = tapetum.find_architecture("unet-s")
        >>> tapetum.Architecture.from_json(architecture.to_json(), source="memory") == architecture
        True

    Args:
        name: Name for people; also that of :func:`~tapetum.arch.find_architecture`.
        image_channels: 1 for grey, 3 for RGB; other numbers are possible.
        encoder: Levels from the finest to the deepest.
        decoder: The decoder; None for a classifier.
        classifier: The classifier; None for a denoiser.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    image_channels: Channels
    encoder: Annotated[tuple[Level, ...], Field(max_length=MOST_LEVELS)] = ()
    decoder: Decoder | None = None
    classifier: Classifier | None = None

    @property
    def kind(self) -> Kind:
        """What the network does and how its parts are joined."""
        return "denoiser" if self.classifier is None else KINDS[self.classifier.source]

    @property
    def denoises(self) -> bool:
        """Whether the network returns an image."""
        return self.decoder is not None

    @property
    def classifies(self) -> bool:
        """Whether the network returns labels."""
        return self.classifier is not None

    @property
    def num_classes(self) -> int | None:
        """The number of classes; ``None`` for a denoiser."""
        return None if self.classifier is None else self.classifier.num_classes

    @property
    def stride_px(self) -> int:
        """Height and width are padded to a multiple of this, and cropped back."""
        return math.prod(level.stride_px for level in self.encoder)

    @property
    def classifies_boxes(self) -> bool:
        """Whether labels belong to boxes, which are an input of the network."""
        return self.classifier is not None and isinstance(self.classifier.region, Boxes)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        faults = [*_encoder_faults(self), *_decoder_faults(self), *_classifier_faults(self)]
        if faults:
            raise ValueError("; ".join(faults))
        return self


def stride_of(blocks: Iterable[Block]) -> int:
    """Return the factor by which a chain of blocks shrinks its input."""
    return math.prod(b.size_px if isinstance(b, MaxPool) else b.stride_px for b in blocks)


def projection(in_channels: int, out_channels: int) -> Conv:
    """Return the 1x1 convolution with which a decoder ends."""
    channels = {"in_channels": in_channels, "out_channels": out_channels}
    return Conv(**channels, kernel_px=1, norm="none", activation="none")


def chain(blocks: Sequence[Block], channels: int, where: str, faults: list[str]) -> int:
    """Return the channels after ``blocks``; mismatches are appended to ``faults``."""
    for index, block in enumerate(blocks):
        if isinstance(block, MaxPool):
            continue
        if block.in_channels != channels:
            faults.append(
                f"{where}.blocks.{index} takes {block.in_channels} channels but gets {channels}"
            )
        channels = block.out_channels
    return channels


def level_channels(architecture: Architecture) -> list[int]:
    """Return the output channels of each encoder level, the finest first."""
    widths, channels = [], architecture.image_channels
    for level in architecture.encoder:
        channels = chain(level.blocks, channels, "", [])
        widths.append(channels)
    return widths


def _encoder_faults(architecture: Architecture) -> list[str]:
    faults: list[str] = []
    if bool(architecture.encoder) != (architecture.decoder is not None):
        faults.append("an encoder and a decoder come together: give both or neither")
    if architecture.stride_px > MOST_STRIDE_PX:
        faults.append(f"the encoder shrinks an image by more than {MOST_STRIDE_PX}")
    channels = architecture.image_channels
    for index, level in enumerate(architecture.encoder):
        channels = chain(level.blocks, channels, f"encoder.{index}", faults)
    return faults


def _decoder_faults(architecture: Architecture) -> list[str]:
    decoder = architecture.decoder
    if decoder is None or not architecture.encoder:
        return []
    faults: list[str] = []
    widths = level_channels(architecture)
    strides = list(accumulate((level.stride_px for level in architecture.encoder), operator.mul))
    channels, stride_px = chain(decoder.blocks, widths[-1], "decoder", faults), strides[-1]
    if stride_of(decoder.blocks) != 1:
        faults.append("decoder.blocks change the size")
    for index, level in enumerate(decoder.levels):
        where = f"decoder.levels.{index}"
        if level.up.in_channels != channels:
            faults.append(f"{where}.up takes {level.up.in_channels} channels but gets {channels}")
        if stride_px % 2:
            faults.append(f"{where}.up doubles a map at 1/{stride_px}, which is not an even part")
        channels, stride_px = level.up.out_channels, stride_px // 2
        skip = level.skip_level
        if skip is not None and skip >= len(strides):
            faults.append(f"{where}.skip_level is {skip} but the encoder has {len(strides)} levels")
        elif skip is not None:
            if strides[skip] != stride_px:
                faults.append(
                    f"{where} is at 1/{stride_px} but its skip_level {skip} at 1/{strides[skip]}"
                )
            if level.join == "concatenate":
                channels += widths[skip]
            elif widths[skip] != channels:
                faults.append(f"{where} adds {widths[skip]} channels to {channels}")
        channels = chain(level.blocks, channels, where, faults)
        if stride_of(level.blocks) != 1:
            faults.append(f"{where}.blocks change the size")
    if stride_px != 1:
        faults.append(f"the decoder ends at 1/{stride_px} of the image: add levels")
    return faults + _output_faults(decoder, channels, architecture.image_channels + decoder.gated)


def _output_faults(decoder: Decoder, before: int, after: int) -> list[str]:
    output = decoder.output
    if output is None:
        same = before == after
        return [] if same else [f"the decoder ends with {before} channels instead of {after}"]
    if (output.in_channels, output.out_channels, output.stride_px) != (before, after, 1):
        return [f"decoder.output must map {before} to {after} channels and keep the size"]
    return []


def _classifier_faults(architecture: Architecture) -> list[str]:
    classifier = architecture.classifier
    if classifier is None:
        return [] if architecture.decoder else ["give a decoder, a classifier, or both"]
    faults: list[str] = []
    if (classifier.source == "noisy") == bool(architecture.encoder):
        encoder = "an encoder" if architecture.encoder else "a missing encoder"
        return [
            f"a classifier that reads the {classifier.source} image or map does not fit {encoder}"
        ]
    reads_encoder = classifier.source == "encoder"
    channels = level_channels(architecture)[-1] if reads_encoder else architecture.image_channels
    channels = chain(classifier.blocks, channels, "classifier", faults)
    if classifier.pooling == "flatten":
        if not isinstance(classifier.region, Boxes):
            return [*faults, "classifier.pooling 'flatten' needs boxes: use 'max' or 'mean'"]
        channels *= size_after(classifier.blocks, classifier.region.size_px) ** 2
    if classifier.features != channels:
        faults.append(f"classifier.features is {classifier.features} but must be {channels}")
    return faults


def size_after(blocks: Iterable[Block], size_px: int) -> int:
    """Return height or width after ``blocks``, from ``size_px`` before them."""
    for block in blocks:
        if isinstance(block, MaxPool | Downsample):
            size_px //= stride_of([block])
        else:
            size_px = -(-size_px // block.stride_px)  # odd kernel, padded by its half: rounds up
    return size_px
