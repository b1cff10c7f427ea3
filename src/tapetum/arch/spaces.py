"""The search spaces of the paper: C-NAS, D-NAS, DC-NAS and DC-NAS_seq.

::

    stage        1     2       3      4       5         6          7           8      then
    channels   3->32  ->16   ->24   ->40    ->80      ->112      ->192       ->320   ->1280
    slots        -     -       2      3       4         4          4           1       -
    stride       2     1       2      2       2         1          2           1
    encoder    |   level 0  | level 1 | level 2 |   level 3       |   classification branch

C-NAS is all of it, as a classifier. D-NAS takes the first six stages as an encoder and adds a
decoder. DC-NAS also keeps the rest as its classification branch, and DC-NAS_seq puts a whole C-NAS
behind the decoder. TF-NAS, whose layout this is, works on 224 px; smaller images drop the first
strides, so that the last maps have as many places.

References:
    Pushing Joint Image Denoising and Classification to the Edge (Markhorst et al., 2024),
    https://arxiv.org/abs/2409.08943, figure 7, table 9 and section 4.2.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Literal, NamedTuple

from tapetum.arch import spec
from tapetum.arch.space import (
    Candidate,
    Piece,
    Pieces,
    Slot,
    Space,
    SpaceClassifier,
    SpaceDecoder,
    SpaceDecoderLevel,
    SpaceLevel,
)
from tapetum.errors import ArchitectureError, nearest
from tapetum.records import faults_are_ours

__all__ = [
    "DECODERS",
    "OPERATORS",
    "UPS",
    "Frame",
    "c_nas",
    "d_nas",
    "dc_nas",
    "dc_nas_seq",
    "find_space",
    "open_space",
]

_PLAIN = tuple(Candidate(kernel_px=k, expansion=e) for k in (3, 5) for e in (3, 6))
_SQUEEZED = tuple(plain.model_copy(update={"squeezes": True}) for plain in _PLAIN)

OPERATORS: Mapping[int, tuple[Candidate, ...]] = {
    4: _PLAIN,
    6: (*_PLAIN, *_SQUEEZED[:2]),
    8: (*_PLAIN, *_SQUEEZED),
}
"""The candidates of a slot, by their number (paper, table 9)."""

# Fewer channels than in the encoder: the maps of a decoder are large.
_LEAN = tuple(Candidate(kernel_px=k, expansion=e) for k in (3, 5) for e in (1, 2))

DECODERS: Mapping[str, str] = {
    "conv": "two convolutions at each size (the paper)",
    "mbconv": "two MBConvs of kernel 3 and expansion 3 at each size",
    "mbconv-1": "one such MBConv at each size",
    "mbconv-3": "two such MBConvs, and none at the deepest size",
    "searched": "two slots at each size: kernel, expansion and width are searched",
}
"""The blocks at each size of a decoder (paper, table 6; the last is ours)."""

UPS: Mapping[str, type[spec.TransposedConv | spec.NearestConv | spec.PixelShuffle]] = {
    "transposed_conv": spec.TransposedConv,
    "nearest_conv": spec.NearestConv,
    "pixel_shuffle": spec.PixelShuffle,
}
"""How a decoder doubles the size; the first is that of the paper."""

STEM_CHANNELS, FIRST_CHANNELS, LAST_CHANNELS = 32, 16, 1280
CHANNEL_STEP = 8  # the width of a processor's vectors
SMALL_PX, TINY_PX = 128, 64  # smaller images drop the first stride, or the first two


class Stage(NamedTuple):
    """Slots of one width."""

    channels: int  # output channels of every slot
    num_slots: int
    stride_px: int  # of the first slot
    activation: spec.Activation


STAGES = {
    3: Stage(24, 2, 2, "relu"),
    4: Stage(40, 3, 2, "silu"),
    5: Stage(80, 4, 2, "silu"),
    6: Stage(112, 4, 1, "silu"),
    7: Stage(192, 4, 2, "silu"),
    8: Stage(320, 1, 1, "silu"),
}
ENCODER_STAGES, BRANCH_STAGES = (3, 4, 5, 6), (7, 8)


class Frame(NamedTuple):
    """The settings that the spaces have in common.

    Attributes:
        operators: Candidates per slot: 4, 6 or 8.
        image_px: Height and width of the images; below 128 the first stride is dropped, below 64
            the second too.
        image_channels: 1 for grey, 3 for RGB.
        num_classes: Number of classes.
        learns_depth: Whether slots that keep size and channels may be left out (TF-NAS), or all
            stay (the paper, table 10).
        decoder: The blocks at each size of the decoder; one of :data:`DECODERS`.
        up: How the decoder doubles the size; one of :data:`UPS`.
        width: Factor of all channels, which are then rounded up to multiples of 8.
    """

    operators: int = 8
    image_px: int = 224
    image_channels: int = 3
    num_classes: int = 100
    learns_depth: bool = False
    decoder: str = "conv"
    up: str = "transposed_conv"
    width: float = 1.0

    def channels(self, usual: int) -> int:
        """Return a number of channels, scaled by the width."""
        return ceil(round(self.width * usual / CHANNEL_STEP, 6)) * CHANNEL_STEP


def c_nas(frame: Frame) -> Space:
    """Return the space of classifiers: every stage, then a mean over all places and a linear layer.

    This and the three others raise an :class:`~tapetum.errors.ArchitectureError` if the frame has
    another number of operators, another decoder or another upsampling.
    """
    blocks = (*chain(*_levels(frame)), *_branch(frame))
    classifier = _classifier(frame, "noisy", blocks)
    return Space(name="c-nas", image_channels=frame.image_channels, classifier=classifier)


def d_nas(frame: Frame) -> Space:
    """Return the space of denoisers: stages 1 to 6 as an encoder, and a UNet decoder."""
    return _denoisers("d-nas", frame)


def dc_nas(frame: Frame) -> Space:
    """Return the space of joint networks: D-NAS with stages 7 and 8 as classification branch."""
    return _denoisers("dc-nas", frame, _classifier(frame, "encoder", _branch(frame)))


def dc_nas_seq(frame: Frame) -> Space:
    """Return the space of joint networks that share nothing: D-NAS, then C-NAS on its image."""
    blocks = (*chain(*_levels(frame)), *_branch(frame))
    return _denoisers("dc-nas-seq", frame, _classifier(frame, "denoised", blocks))


def _denoisers(name: str, frame: Frame, classifier: SpaceClassifier | None = None) -> Space:
    levels = _levels(frame)
    return Space(
        name=name,
        image_channels=frame.image_channels,
        encoder=tuple(SpaceLevel(blocks=level) for level in levels),
        decoder=_decoder(levels, frame),
        classifier=classifier,
    )


_SPACES: Mapping[str, Callable[[Frame], Space]] = {
    "c-nas": c_nas,
    "d-nas": d_nas,
    "dc-nas": dc_nas,
    "dc-nas-seq": dc_nas_seq,
}


def find_space(name: str, frame: Frame | None = None) -> Space:
    """Return a space by name.

    Raises:
        ArchitectureError: There is no such space, or the frame is impossible.
    """
    if name not in _SPACES:
        raise ArchitectureError(f"there is no space {name!r}", nearest(name, _SPACES))
    with faults_are_ours("these numbers make no space", kind=ArchitectureError):
        return _SPACES[name](frame or Frame())


def open_space(name: str, frame: Frame | None = None) -> Space:
    """Return a space by name, or read one from a JSON file, which has its own frame.

    Raises:
        InputError: There is no such space or file, or the file is not a space.
    """
    return Space.read(Path(name)) if name.endswith(".json") else find_space(name, frame)


def _levels(frame: Frame) -> list[Pieces]:
    """Return stages 1 to 6, one level for each size of feature maps."""
    strides = _strides(frame.image_px)
    stem = frame.channels(STEM_CHANNELS)
    head = (
        spec.Conv(in_channels=frame.image_channels, out_channels=stem, stride_px=strides[1]),
        # Stage 2 is fixed: as many hidden as input channels, with a squeeze of a quarter.
        spec.InvertedResidual(
            in_channels=stem,
            hidden_channels=stem,
            out_channels=frame.channels(FIRST_CHANNELS),
            squeeze_channels=stem // 4,
        ),
    )
    levels: list[Pieces] = [head]
    for number in ENCODER_STAGES:
        stage = _stage(number, frame)
        if strides[number] == 1:
            levels[-1] = (*levels[-1], *stage)
        else:
            levels.append(stage)
    return levels


def _branch(frame: Frame) -> Pieces:
    """Return stages 7 and 8, and the 1x1 convolution before the mean."""
    widen = spec.Conv(
        in_channels=frame.channels(STAGES[8].channels),
        out_channels=frame.channels(LAST_CHANNELS),
        kernel_px=1,
        activation="silu",
    )
    return (*chain.from_iterable(_stage(number, frame) for number in BRANCH_STAGES), widen)


def _stage(number: int, frame: Frame) -> Pieces:
    stage = STAGES[number]
    usual = STAGES[number - 1].channels if number - 1 in STAGES else FIRST_CHANNELS
    before, channels = frame.channels(usual), frame.channels(stage.channels)
    return tuple(
        Slot(
            in_channels=channels if index else before,
            out_channels=channels,
            stride_px=1 if index else _strides(frame.image_px)[number],
            activation=stage.activation,
            candidates=_candidates(frame.operators),
            may_be_left_out=frame.learns_depth and index > 0,
        )
        for index in range(stage.num_slots)
    )


def _strides(image_px: int) -> dict[int, int]:
    """Return the stride of each stage; small images drop the first ones."""
    strides = {number: stage.stride_px for number, stage in STAGES.items()}
    strides[1] = 1 if image_px < SMALL_PX else 2
    strides[3] = 1 if image_px < TINY_PX else 2
    return strides


def _candidates(operators: int) -> tuple[Candidate, ...]:
    if operators not in OPERATORS:
        remedy = f"choose {', '.join(map(str, OPERATORS))}"
        raise ArchitectureError(f"there is no space with {operators} operators", remedy)
    return OPERATORS[operators]


def _classifier(
    frame: Frame, source: Literal["noisy", "encoder", "denoised"], blocks: Pieces
) -> SpaceClassifier:
    return SpaceClassifier(
        source=source,
        region=spec.Whole(),
        blocks=blocks,
        pooling="mean",
        features=frame.channels(LAST_CHANNELS),
        num_classes=frame.num_classes,
    )


def _decoder(levels: Sequence[Pieces], frame: Frame) -> SpaceDecoder:
    """Return a decoder as wide as the encoder at each size (figure 7).

    # differs from the paper, which prints no widths: at the full size, where no feature map is
    left to join, there is only the upsampling layer.
    """
    widths = [_channels_after(level) for level in levels]
    deepest, finest = widths[-1], widths[0]
    steps = [
        SpaceDecoderLevel(
            up=_up(frame.up, widths[index + 1], widths[index]),
            skip_level=index,
            blocks=_mixing(frame.decoder, 2 * widths[index], widths[index]),
        )
        for index in reversed(range(len(widths) - 1))
    ]
    if _strides(frame.image_px)[1] == 2:
        steps.append(SpaceDecoderLevel(up=_up(frame.up, finest, finest)))
    first = () if frame.decoder == "mbconv-3" else _mixing(frame.decoder, deepest, deepest)
    output = spec.projection(finest, frame.image_channels)
    return SpaceDecoder(blocks=first, levels=tuple(steps), output=output)


def _up(kind: str, before: int, after: int) -> spec.Up:
    if kind not in UPS:
        raise ArchitectureError(f"there is no upsampling {kind!r}", nearest(kind, UPS))
    return UPS[kind](in_channels=before, out_channels=after)


def _mixing(decoder: str, before: int, after: int) -> Pieces:
    """Return the blocks on the joined maps of one size."""
    widths = (before,) if decoder == "mbconv-1" else (before, after)
    return tuple(_mixing_block(decoder, width, after) for width in widths)


def _mixing_block(decoder: str, before: int, after: int) -> Piece:
    channels = {"in_channels": before, "out_channels": after}
    match decoder:
        case "conv":
            return spec.Conv(**channels)
        case "mbconv" | "mbconv-1" | "mbconv-3":  # MB-k3-e3 (paper, section 4.4)
            return spec.InvertedResidual(**channels, hidden_channels=3 * before)
        case "searched":
            return Slot(**channels, candidates=_LEAN)
    raise ArchitectureError(f"there is no decoder {decoder!r}", nearest(decoder, DECODERS))


def _channels_after(level: Pieces) -> int:
    last = level[-1]
    assert not isinstance(last, spec.MaxPool)  # noqa: S101  (the levels above have none)
    return last.out_channels
