r"""The space of fast shapes: draw them and scale them.

A :class:`ShapeSpace` holds what a runtime and a dataset decide: the grid of widths, the size and
the channels of an image, and the number of classes. Everything else is free. Shapes of the space
differ in the number of levels, in widths, depths, blocks, changes of size, joints and branch.

Widths are the knob that moves a shape to a latency (:meth:`ShapeSpace.scaled`); single steps of
widths, depths and other numbers correct the rest (:mod:`tapetum.arch.steps`).
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from tapetum.arch.shape import Branch, Depth, Shape, Stem
from tapetum.arch.spec import Architecture, Channels
from tapetum.records import Record

__all__ = ["ShapeSpace"]

# Widths of five levels at some multiply-adds for each pixel of an image; between two rows, their
# logarithms are interpolated. The third and the fourth row were trained on Imagenette at 64 px with
# five levels and strided convolutions (37 and 207 million multiply-adds); the others continue their
# line.
RULE: tuple[tuple[float, tuple[int, int, int, int, int]], ...] = (
    (9.1e2, (8, 8, 16, 32, 48)),
    (3.4e3, (16, 16, 32, 64, 96)),
    (9.0e3, (16, 32, 64, 128, 192)),
    (5.0e4, (48, 96, 128, 192, 256)),
    (5.4e5, (160, 320, 448, 512, 512)),
)
RULE_ENCODER_DEPTHS, RULE_DECODER_DEPTHS = (1, 2, 2, 2, 1), (1, 2, 2, 1)
# Deeper levels make a training of minutes slower, not better (paper/docs/log.md).
RULE_DEEPEST_PX, RULE_LEVELS = 7, 3  # the least side of its deepest map, but as many levels
LEAST_DEEPEST_PX, MOST_DEEPEST_PX = 2, 16  # side of the deepest map of a drawn shape
BOXES_STRIDE_PX = 8  # at most, as in the DC-Net: a box of 28 px has 3.5 places of the deepest map
PLAIN_WIDTHS = (16, 16, 32, 64, 64)  # of the plain networks, before they are scaled
PLAIN_EXPANSION = 3
MOBILE_WIDTHS, MOBILE_EXPANSION = (16, 16, 32, 64, 96), 3  # of the network like Lite0
MOBILE_ENCODER_DEPTHS, MOBILE_DECODER_DEPTHS = (0, 0, 1, 1, 1), (0, 0, 1, 1)
LEAST_EXPANSION = 2  # of shapes that are made flatter
FEW_LEVELS = 3  # a shape keeps as many before it is changed in kind
QUICK = {"down": "strided_conv", "up": "transposed_conv", "join": "add"}
SCALINGS = 6
DETAIL_CHANNELS = 12  # rounded to the grid: 16 on one of 16, which take as long


class ShapeSpace(Record):
    """The shapes that a runtime executes quickly, for one dataset.

    Example:
        >>> import numpy as np
        >>> from tapetum.arch import ShapeSpace
        >>> space = ShapeSpace(width_step=16, size_px=64, image_channels=3, num_classes=10)
        >>> shape = space.draw(np.random.default_rng(0))
        >>> all(width % 16 == 0 for width in shape.widths)
        True

    Attributes:
        width_step: Every width is a multiple of this: channels in one vector of the runtime.
        size_px: Side of the images, in pixels.
        image_channels: 1 for grey images, 3 for RGB.
        num_classes: Number of classes; None for denoisers, whose branch has no effect.
        boxes: Whether labels belong to boxes. A pixel of the deepest map is then at most 8 px wide,
            so that a box of 28 px keeps 3.5 of them, and branches have no effect.
        most_levels: The most levels.
        most_width: The most channels of a level.
        most_depth: The most blocks of a level, in encoder and decoder each.
        squeezes: Whether some shapes have squeeze-and-excitations.
    """

    width_step: Literal[4, 8, 16]
    size_px: PositiveInt
    image_channels: Channels
    num_classes: Annotated[int, Field(ge=2)] | None
    boxes: bool = False
    most_levels: Annotated[int, Field(ge=1, le=8)] = 5
    most_width: Annotated[int, Field(ge=16)] = 512
    most_depth: Depth = 4
    squeezes: bool = True

    def architecture(self, shape: Shape, name: str = "shape") -> Architecture:
        """Return the network of a shape, layer by layer."""
        return shape.architecture(
            name,
            image_channels=self.image_channels,
            num_classes=self.num_classes,
            boxes=self.boxes,
        )

    @property
    def detail_channels(self) -> int:
        """Channels of a map at full resolution before a half stem; see :class:`Shape`."""
        return self._on_grid(DETAIL_CHANNELS)

    def levels(self, stem: Stem) -> int:
        """Return the most levels: the deepest map keeps 2 px, but one level is always possible.

        Where labels belong to boxes, its stride is at most 8 px.
        """
        halvings = int(math.log2(max(1, self.size_px // LEAST_DEEPEST_PX)))
        if self.boxes:
            halvings = min(halvings, int(math.log2(BOXES_STRIDE_PX)))
        return max(1, min(self.most_levels, halvings + (stem == "full")))

    def draw(self, generator: np.random.Generator) -> Shape:
        """Return a random shape, whose deepest map is 4 to 16 px wide where the image allows it.

        Deep ones are drawn more often than flat ones.
        """
        chance = generator.random

        def pick(*values: str) -> str:
            return values[int(generator.integers(len(values)))]

        stem: Stem = "half" if chance() < 0.5 else "full"
        most = self.levels(stem)
        least = math.ceil(math.log2(max(1.0, self.size_px / MOST_DEEPEST_PX))) + (stem == "full")
        least = max(1, min(least, most))
        levels = max(least, 1 + int(generator.choice(most, p=_rising(most))))
        operator = pick("residual_conv", "conv", "fused", "mbconv")
        expands = operator in ("fused", "mbconv")
        return self._made(
            widths=self._draw_widths(levels, generator),
            encoder_depths=generator.integers(0, 4, levels).tolist(),
            decoder_depths=generator.integers(0, 3, levels - 1).tolist(),
            operator=operator,
            expansion=int(generator.integers(2, 5)) if expands else 2,
            squeezes=bool(expands and self.squeezes and chance() < 0.3),
            stem=stem,
            down=pick("strided_conv", "max_pool"),
            up=pick("pixel_shuffle", "transposed_conv", "nearest_conv"),
            join=pick("add", "concatenate"),
            gated=bool(chance() < 0.7),
            branch=self._draw_branch(generator),
            detail_channels=self.detail_channels if stem == "half" and chance() < 0.3 else None,
        )

    def plain(self, operator: Literal["conv", "mbconv"] = "conv") -> Shape:
        """Return the plain network that others are compared with, before it is scaled.

        ``conv`` is the DC-Net of the paper with widths on the grid: one convolution a level at full
        resolution, max-pooling, transposed convolutions, concatenation, and a branch of two MBConv
        blocks. ``mbconv`` has MBConv blocks in place of the convolutions.
        """
        levels = min(4, self.levels("full"))
        widths = PLAIN_WIDTHS[:levels]
        return self._made(
            widths=widths,
            encoder_depths=(0,) * levels,
            decoder_depths=(1,) * (levels - 1),
            operator=operator,
            expansion=PLAIN_EXPANSION if operator == "mbconv" else 2,
            stem="full",
            down="max_pool",
            up="transposed_conv",
            join="concatenate",
            gated=False,
            branch=Branch(operator="mbconv", widths=(widths[-1],) * 2, pooling="max"),
        )

    def mobile(self) -> Shape:
        """Return a network whose encoder is like EfficientNet-Lite0, before it is scaled.

        It can start from Lite0's blocks: its levels shrink an image as those do, and begin with an
        MBConv block after a maximum.
        """
        levels = min(len(MOBILE_WIDTHS), self.levels("full"))
        return self._made(
            widths=MOBILE_WIDTHS[:levels],
            encoder_depths=MOBILE_ENCODER_DEPTHS[:levels],
            decoder_depths=MOBILE_DECODER_DEPTHS[: levels - 1],
            operator="mbconv",
            expansion=MOBILE_EXPANSION,
            stem="full",
            down="max_pool",
        )

    def rule(self, multiply_adds: float) -> Shape:
        """Return the shape of the scaling rule for about so many multiply-adds of one image."""
        halvings = int(math.log2(max(1.0, self.size_px / RULE_DEEPEST_PX)))
        levels = min(len(RULE_ENCODER_DEPTHS), max(RULE_LEVELS, halvings), self.levels("half"))
        return self._made(
            widths=_rule_widths(multiply_adds / self.size_px**2)[:levels],
            encoder_depths=RULE_ENCODER_DEPTHS[:levels],
            decoder_depths=RULE_DECODER_DEPTHS[: levels - 1],
            down="max_pool",  # better labels than by strided convolutions
        )

    def smallest(self) -> Shape:
        """Return the smallest shape: one level of the narrowest width and no blocks."""
        return self._made(
            widths=(self.width_step,),
            encoder_depths=(0,),
            decoder_depths=(),
            operator="conv",
            gated=False,
        )

    def largest(self) -> Shape:
        """Return the largest useful shape, the end of the scaling rule."""
        return self.rule(RULE[-1][0] * self.size_px**2)

    def scaled(self, shape: Shape, factor: float) -> Shape:
        """Return a shape with every width multiplied by a factor, on the grid."""
        branch = self._branch(shape.branch, factor)
        return self.changed(shape, widths=self._widths(shape.widths, factor), branch=branch)

    def flatter(self, shape: Shape) -> Shape | None:
        """Return a shape with a block less; then a lower expansion, no branch, no map of details.

        Then with a level less down to three, with quicker changes of size and joints, and at last
        with fewer levels. None where nothing is left to take away.
        """
        for name in ("encoder_depths", "decoder_depths"):
            depths, least = getattr(shape, name), self._least_depth(shape, name)
            index = int(np.argmax(depths)) if depths else 0
            if depths and depths[index] > least:
                fewer = (*depths[:index], depths[index] - 1, *depths[index + 1 :])
                return self.changed(shape, **{name: fewer})
        if shape.operator in ("fused", "mbconv") and shape.expansion > LEAST_EXPANSION:
            return self.changed(shape, expansion=shape.expansion - 1)
        if shape.branch.widths:
            branch = shape.branch.model_copy(update={"widths": shape.branch.widths[:-1]})
            return self.changed(shape, branch=branch)
        if shape.detail_channels is not None:
            return self.changed(shape, detail_channels=None)
        if len(shape.widths) <= FEW_LEVELS and not QUICK.items() <= shape.model_dump().items():
            return self.changed(shape, **QUICK)
        if len(shape.widths) == 1:
            return None
        return self.changed(
            shape,
            widths=shape.widths[:-1],
            encoder_depths=shape.encoder_depths[:-1],
            decoder_depths=shape.decoder_depths[:-1],
        )

    def scaled_to(
        self,
        shape: Shape,
        predict: Callable[[Shape], float],
        aim_ms: float,
        *,
        most_ms: float,
    ) -> Shape:
        """Return a shape with widths scaled to a latency; flatter, if they cannot be smaller."""
        while predict(self.scaled(shape, 0)) > most_ms and (flatter := self.flatter(shape)):
            shape = flatter
        factor, best = 1.0, self.scaled(shape, 0)
        for _ in range(SCALINGS):
            scaled = self.scaled(shape, factor)
            scaled_ms = predict(scaled)
            if predict(best) < scaled_ms <= most_ms:
                best = scaled
            factor *= (aim_ms / scaled_ms) ** 0.5
        return best

    def _least_depth(self, shape: Shape, name: str) -> int:
        """Return the fewest blocks: after a concatenation one brings the channels back."""
        return int(name == "decoder_depths" and shape.join == "concatenate")

    def _made(self, **values: object) -> Shape:
        """Return a shape of this space, with widths on the grid and no number without effect."""
        values["widths"] = self._widths(values["widths"], 1.0)  # type: ignore[arg-type]
        values.setdefault("up", "transposed_conv")
        if values.get("join") == "concatenate":
            values["decoder_depths"] = [max(1, depth) for depth in values["decoder_depths"]]  # type: ignore[attr-defined]
        if _has_no_block(values):
            values |= {"operator": "conv", "expansion": LEAST_EXPANSION, "squeezes": False}
        if self.num_classes is None or self.boxes:
            values["branch"] = Branch()
        elif "branch" in values:
            values["branch"] = self._branch(values["branch"], 1.0)  # type: ignore[arg-type]
        return Shape.model_validate(values)

    def changed(self, shape: Shape, **changes: object) -> Shape:
        """Return a shape with other numbers, on the grid, without numbers that have no effect."""
        return self._made(
            **{**shape.model_dump(exclude={"branch"}), "branch": shape.branch} | changes
        )

    def _branch(self, branch: Branch, factor: float) -> Branch:
        return branch.model_copy(update={"widths": self._widths(branch.widths, factor)})

    def _widths(self, widths: tuple[float, ...], factor: float) -> tuple[int, ...]:
        return tuple(self._on_grid(factor * width) for width in widths)

    def _on_grid(self, width: float) -> int:
        """Return the nearest width on the grid, between one step and the most."""
        step = self.width_step
        most = self.most_width // step
        return step * max(1, min(most, round(width / step)))

    def _draw_widths(self, levels: int, generator: np.random.Generator) -> list[float]:
        width = self.width_step * 2 ** generator.uniform(0, 2)
        growths = 2 ** generator.uniform(0, 1.2, levels)
        return [width * growth for growth in np.cumprod(growths) / growths[0]]

    def _draw_branch(self, generator: np.random.Generator) -> Branch:
        depth = int(generator.integers(0, 3))
        width = self._on_grid(32 * 2 ** generator.uniform(0, 2))
        return Branch(
            operator="conv" if generator.random() < 0.5 else "mbconv",
            widths=(width,) * depth,
            stride_px=1 if generator.random() < 0.5 else 2,
            pooling="mean" if generator.random() < 0.5 else "max",
        )


def _has_no_block(numbers: Mapping[str, Any]) -> bool:
    """Return whether the kind of block has no effect."""
    mixes = numbers.get("down") == "max_pool" or numbers.get("join") == "concatenate"
    return not (mixes or any(numbers["encoder_depths"]) or any(numbers["decoder_depths"]))


def _rising(count: int) -> list[float]:
    """Return probabilities that rise evenly from the first to the last."""
    total = count * (count + 1) / 2
    return [number / total for number in range(1, count + 1)]


def _rule_widths(multiply_adds_per_pixel: float) -> tuple[float, ...]:
    """Return the widths of five levels, interpolated in :data:`RULE`."""
    costs = np.log([cost for cost, _ in RULE])
    at = math.log(max(multiply_adds_per_pixel, 1.0))
    columns = np.log([widths for _, widths in RULE]).T
    return tuple(float(np.exp(np.interp(at, costs, column))) for column in columns)
