"""Fast networks, described by a few numbers instead of layer by layer.

A :class:`Shape` is a UNet whose widths, depths, blocks and joints are free. Every value is chosen
because runtimes execute it quickly: an image enters at half resolution, widths lie on the grid of
the runtime's vectors, skips are added, and identities and normalisations disappear in the graph.
The plain DC-Net of the paper is one of the shapes, so that both can be compared at equal latency.

:meth:`Shape.architecture` returns the network layer by layer. :mod:`tapetum.arch.shapes` draws
shapes and scales them.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tapetum.arch import spec
from tapetum.arch.families import FEATURE_BOX_PX
from tapetum.arch.spec import Architecture, Channels
from tapetum.records import Record

__all__ = ["Branch", "Join", "Operator", "Shape", "Stem"]

Operator = Literal["residual_conv", "conv", "fused", "mbconv"]
Stem = Literal["half", "full"]
Down = Literal["strided_conv", "max_pool"]
Upsampling = Literal["pixel_shuffle", "transposed_conv", "nearest_conv"]
Join = Literal["add", "concatenate"]

UPS: dict[Upsampling, type[spec.PixelShuffle | spec.TransposedConv | spec.NearestConv]] = {
    "pixel_shuffle": spec.PixelShuffle,
    "transposed_conv": spec.TransposedConv,
    "nearest_conv": spec.NearestConv,
}
Depth = Annotated[int, Field(ge=0, le=16)]
BRANCH_EXPANSION, BRANCH_KERNEL_PX = 4, 5  # of an MBConv branch, as in the DC-Net
SQUEEZE = 4  # input channels of a block for one squeezed channel


class Branch(Record):
    """The classification branch, which reads the deepest level.

    Attributes:
        operator: ``conv`` (3 px), or ``mbconv`` (5 px, expansion 4, as in the DC-Net).
        widths: Channels after each block; empty for a linear layer alone.
        stride_px: Factor by which each block shrinks the map.
        pooling: How the map becomes one vector.
    """

    operator: Literal["conv", "mbconv"] = "conv"
    widths: tuple[Channels, ...] = ()
    stride_px: Literal[1, 2] = 2
    pooling: Literal["mean", "max"] = "mean"

    def blocks(self, channels: int) -> Iterator[spec.Block]:
        """Return the blocks, for a map of so many channels."""
        for width in self.widths:
            ends = {"in_channels": channels, "out_channels": width, "stride_px": self.stride_px}
            if self.operator == "conv":
                yield spec.Conv(**ends)
            else:
                hidden = BRANCH_EXPANSION * channels
                yield spec.InvertedResidual(
                    **ends, hidden_channels=hidden, kernel_px=BRANCH_KERNEL_PX
                )
            channels = width


class Shape(Record):
    """The numbers of a fast network.

    Example:
        >>> from tapetum.arch import Shape
        >>> shape = Shape(widths=(16, 48, 96), encoder_depths=(1, 1, 1), decoder_depths=(1, 1))
        >>> shape.architecture("small", image_channels=3, num_classes=10).stride_px
        8

    Attributes:
        widths: Channels of each level, the finest first.
        encoder_depths: Blocks of each level after the change of size, 0 or more.
        decoder_depths: Blocks of each level of the decoder, the finest first; one level less.
        operator: Kind of every block: ``residual_conv``, ``conv``, ``fused`` or ``mbconv``.
        expansion: Hidden over input channels of ``fused`` and ``mbconv``.
        squeezes: Whether these have a squeeze-and-excitation. It sees the whole image, so that
            tiles of a large image are not exact.
        stem: ``half`` begins with a 4 px convolution of stride 2, so that the finest level is at
            half resolution; ``full`` begins with a 3 px convolution at full resolution.
        detail_channels: Channels of a map at full resolution before a ``half`` stem, by a 3 px
            convolution of the image. The finest level is entered from it as any other level, and it
            is added before the output. None: without such a map.
        down: How a level halves the size of the one before: a 2 px convolution of stride 2, or a
            maximum, after which the first block (or a 3 px convolution) changes the channels.
        up: How the decoder doubles the size.
        join: How the decoder joins the map of the encoder.
        gated: Whether the image is the output plus a learned share of the noisy image.
        branch: Classification branch; without effect where labels belong to boxes.
    """

    widths: Annotated[tuple[Channels, ...], Field(min_length=1, max_length=8)]
    encoder_depths: tuple[Depth, ...]
    decoder_depths: tuple[Depth, ...]
    operator: Operator = "residual_conv"
    expansion: Annotated[float, Field(gt=0, le=16)] = 2.0
    squeezes: bool = False
    stem: Stem = "half"
    down: Down = "strided_conv"
    up: Upsampling = "pixel_shuffle"
    join: Join = "add"
    gated: bool = True
    branch: Branch = Branch()
    detail_channels: Channels | None = None

    @model_validator(mode="after")
    def _has_a_depth_for_each_level(self) -> Self:
        expected = (len(self.widths), len(self.widths) - 1)
        if (len(self.encoder_depths), len(self.decoder_depths)) != expected:
            raise ValueError(
                f"{expected[0]} levels need {expected[0]} encoder depths and {expected[1]} decoder "
                f"depths"
            )
        if self.squeezes and self.operator not in ("fused", "mbconv"):
            raise ValueError(f"a {self.operator} block has no squeeze-and-excitation")
        if self.detail_channels is not None and self.stem == "full":
            raise ValueError("detail_channels belong to the half stem: the full one has such a map")
        return self

    def architecture(
        self, name: str, *, image_channels: int, num_classes: int | None, boxes: bool = False
    ) -> Architecture:
        """Return the network of this shape, layer by layer.

        Args:
            name: Name of the architecture.
            image_channels: 1 for grey images, 3 for RGB.
            num_classes: Number of classes; None for a denoiser, which has no branch.
            boxes: Whether it classifies boxes instead of the whole image. Each box is resampled to
                4 x 4 places of the deepest level and read by one linear layer, as in
                :func:`tapetum.arch.families.integrated`.
        """
        classifier = self._classifier_of_boxes if boxes else self._classifier
        return Architecture(
            name=name,
            image_channels=image_channels,
            encoder=tuple(self._encoder(image_channels)),
            decoder=self._decoder(image_channels),
            classifier=None if num_classes is None else classifier(num_classes),
        )

    def _encoder(self, image_channels: int) -> Iterator[spec.Level]:
        before = self.detail_channels
        if before is not None:
            yield spec.Level(blocks=(spec.Conv(in_channels=image_channels, out_channels=before),))
        for width, depth in zip(self.widths, self.encoder_depths, strict=True):
            first = (
                self._stem(image_channels, width) if before is None else self._enter(before, width)
            )
            yield spec.Level(blocks=(*first, *self._blocks(width, depth)))
            before = width

    def _stem(self, image_channels: int, width: int) -> tuple[spec.Block, ...]:
        ends = {"in_channels": image_channels, "out_channels": width}
        if self.stem == "half":
            return (spec.Downsample(**ends, kernel_px=4),)
        return (spec.Conv(**ends),)

    def _enter(self, before: int, width: int) -> tuple[spec.Block, ...]:
        """Return the blocks that halve the size and change the channels."""
        if self.down == "strided_conv":
            return (spec.Downsample(in_channels=before, out_channels=width),)
        return (spec.MaxPool(), self._mix(before, width))

    def _decoder(self, image_channels: int) -> spec.Decoder:
        levels = [self._level(index) for index in reversed(range(len(self.widths) - 1))]
        output_channels, finest = image_channels + self.gated, self.widths[0]
        if self.stem == "full":
            output = spec.projection(finest, output_channels)
        elif self.detail_channels is None:
            output = None
            levels.append(self._last_level(output_channels))
        else:
            output = spec.projection(self.detail_channels, output_channels)
            levels.append(self._last_level(self.detail_channels, skip_level=0, join="add"))
        return spec.Decoder(levels=tuple(levels), output=output, gated=self.gated)

    def _last_level(self, channels: int, **joint: object) -> spec.DecoderLevel:
        """Return the level that goes from half to full resolution."""
        up = UPS[self.up](in_channels=self.widths[0], out_channels=channels)
        return spec.DecoderLevel.model_validate({"up": up, **joint})

    def _level(self, index: int) -> spec.DecoderLevel:
        width, depth = self.widths[index], self.decoder_depths[index]
        blocks = self._blocks(width, depth)
        if self.join == "concatenate":
            # The first block brings the joined channels back to the width of the level.
            blocks = (self._mix(2 * width, width), *blocks[1:])
        up = UPS[self.up](in_channels=self.widths[index + 1], out_channels=width)
        skip = index + (self.detail_channels is not None)
        return spec.DecoderLevel(up=up, skip_level=skip, join=self.join, blocks=blocks)

    def _classifier(self, num_classes: int) -> spec.Classifier:
        deepest = self.widths[-1]
        return spec.Classifier(
            source="encoder",
            region=spec.Whole(),
            blocks=tuple(self.branch.blocks(deepest)),
            pooling=self.branch.pooling,
            features=self.branch.widths[-1] if self.branch.widths else deepest,
            num_classes=num_classes,
        )

    def _classifier_of_boxes(self, num_classes: int) -> spec.Classifier:
        return spec.Classifier(
            source="encoder",
            region=spec.Boxes(size_px=FEATURE_BOX_PX),
            pooling="flatten",
            features=self.widths[-1] * FEATURE_BOX_PX**2,
            num_classes=num_classes,
        )

    def _blocks(self, width: int, depth: int) -> tuple[spec.Block, ...]:
        return tuple(self._block(width, width) for _ in range(depth))

    def _mix(self, before: int, after: int) -> spec.Block:
        """Return a block that changes the channels."""
        if self.operator == "residual_conv":  # keeps its channels
            return spec.Conv(in_channels=before, out_channels=after)
        return self._block(before, after)

    def _block(self, before: int, after: int) -> spec.Block:
        ends = {"in_channels": before, "out_channels": after}
        if self.operator == "residual_conv":
            return spec.ResidualConv(channels=after)
        if self.operator == "conv":
            return spec.Conv(**ends)
        kind = spec.FusedInvertedResidual if self.operator == "fused" else spec.InvertedResidual
        return kind(
            **ends,
            hidden_channels=max(1, round(self.expansion * before)),
            squeeze_channels=max(1, before // SQUEEZE) if self.squeezes else None,
        )
