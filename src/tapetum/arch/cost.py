r"""Compute the cost of an architecture: multiply-adds, parameters, reach and memory.

A convolution of side :math:`k` from :math:`c` to :math:`o` channels in :math:`g` groups on :math:`h
\times w` output places takes :math:`k^2 (c / g) \, o \, h \, w` multiply-adds. A transposed one, or
one before a pixel shuffle, is counted on its input places. Biases, normalisation (folded away when
deployed), activations and pooling are not multiply-adds. Their elements are counted separately, as
:attr:`LayerCost.elements`, since the figures of the paper include some of them
(paper/docs/cost.md).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tapetum.arch.spec import (
    Architecture,
    Block,
    Boxes,
    Conv,
    MaxPool,
    NearestConv,
    PixelShuffle,
    TransposedConv,
    Up,
    level_channels,
    size_after,
    stride_of,
)

__all__ = [
    "LayerCost",
    "block_costs",
    "bytes_per_pixel",
    "layer_costs",
    "multiply_adds",
    "parameters",
    "placed_blocks",
    "reach_px",
]


Size = tuple[int, int]  # height and width


class LayerCost(NamedTuple):
    """The cost of one layer.

    Attributes:
        path: Place of the layer, such as ``encoder.levels.0.1``.
        multiply_adds: Multiply-adds for one image.
        parameters: Weights, biases, and the scale and shift of a normalisation.
        elements: Values of the output for one image.
    """

    path: str
    multiply_adds: int
    parameters: int
    elements: int


def multiply_adds(
    architecture: Architecture, height: int, width: int, *, num_boxes: int = 1
) -> int:
    """Return the multiply-adds for one image; half of what torch's own counter gives.

    Args:
        architecture: The architecture.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.
        num_boxes: Boxes per image, for a network that classifies boxes.
    """
    layers = layer_costs(architecture, height, width, num_boxes=num_boxes)
    return sum(layer.multiply_adds for layer in layers)


def parameters(architecture: Architecture) -> int:
    """Return the number of trainable parameters."""
    size_px = 64 * architecture.stride_px
    return sum(layer.parameters for layer in layer_costs(architecture, size_px, size_px))


def layer_costs(
    architecture: Architecture, height: int, width: int, *, num_boxes: int = 1
) -> list[LayerCost]:
    """Return the cost of every layer, in the order of the forward pass; arguments as above."""
    layers: list[LayerCost] = []
    regions = num_boxes if architecture.classifies_boxes else 1
    for path, block, size in placed_blocks(architecture, height, width):
        times = regions if path.startswith("classifier.") else 1
        layers += (_times(times, layer) for layer in block_costs(block, size, path))
    if architecture.classifier is not None:
        features, num_classes = (
            architecture.classifier.features,
            architecture.classifier.num_classes,
        )
        weights = features * num_classes
        linear = LayerCost("classifier.linear", weights, weights + num_classes, num_classes)
        layers.append(_times(regions, linear))
    return layers


def placed_blocks(
    architecture: Architecture, height: int, width: int
) -> Iterator[tuple[str, Block | Up, Size]]:
    """Return every block with its path and the height and width of its input.

    Blocks are in the order of the forward pass, with sizes padded to the network's stride. The
    blocks of a classifier of boxes see the size of a box.
    """
    stride_px = architecture.stride_px
    size = (-(-height // stride_px) * stride_px, -(-width // stride_px) * stride_px)
    for index, level in enumerate(architecture.encoder):
        yield from _placed(level.blocks, size, f"encoder.levels.{index}")
        size = _after(level.blocks, size)
    deepest = size
    if architecture.decoder is not None:
        yield from _placed(architecture.decoder.blocks, size, "decoder.blocks")
        for index, step in enumerate(architecture.decoder.levels):
            yield f"decoder.levels.{index}.up", step.up, size
            size = (2 * size[0], 2 * size[1])
            yield from _placed(step.blocks, size, f"decoder.levels.{index}.blocks")
        yield "decoder.output", architecture.decoder.output, size
    if architecture.classifier is not None:
        region = architecture.classifier.region
        size = deepest if architecture.kind == "integrated" else (height, width)
        if isinstance(region, Boxes):
            size = (region.size_px, region.size_px)
        yield from _placed(architecture.classifier.blocks, size, "classifier.blocks")


def reach_px(architecture: Architecture) -> int:
    """Return how far a noisy pixel can change the denoised image, in pixels.

    This is an upper bound along the deepest path; tiles that overlap by it give the untiled image.
    Group norms and squeeze-and-excitations, which see the whole map, are not counted. It is 0 for a
    classifier.
    """
    if architecture.decoder is None:
        return 0
    reach, stride_px = 0, 1
    for level in architecture.encoder:
        for block in level.blocks:
            reach += _radius(block) * stride_px
            stride_px *= stride_of([block])
    reach += sum(_radius(block) for block in architecture.decoder.blocks) * stride_px
    for step in architecture.decoder.levels:
        reach += stride_px // 2  # a place of the coarse map covers its whole cell
        stride_px //= 2
        reach += stride_px * isinstance(step.up, NearestConv)
        reach += sum(_radius(block) for block in step.blocks) * stride_px
    return reach + _radius(architecture.decoder.output)


def bytes_per_pixel(architecture: Architecture) -> float:
    """Return the approximate memory of a forward pass per pixel of the image, in float32.

    It is the size of the feature maps that wait for the decoder, and three times the largest map
    (input, output and the runtime's own layout).
    """
    size_px = 64 * architecture.stride_px
    layers = layer_costs(architecture, size_px, size_px)
    largest = max(layer.elements for layer in layers)
    waiting, stride_px = 0.0, 1
    for width, level in zip(level_channels(architecture), architecture.encoder, strict=True):
        stride_px *= level.stride_px
        waiting += width / stride_px**2
    return 4 * (waiting + 3 * largest / size_px**2)


def _after(blocks: Sequence[Block], size: tuple[int, int]) -> tuple[int, int]:
    return size_after(blocks, size[0]), size_after(blocks, size[1])


def _radius(block: Block) -> int:
    return block.size_px - 1 if isinstance(block, MaxPool) else block.kernel_px // 2


def _placed(blocks: Sequence[Block], size: Size, path: str) -> Iterator[tuple[str, Block, Size]]:
    for index, block in enumerate(blocks):
        yield f"{path}.{index}", block, size
        size = _after([block], size)


def _times(count: int, layer: LayerCost) -> LayerCost:
    """Return the cost of a layer on several regions; its weights are shared."""
    return layer._replace(
        multiply_adds=count * layer.multiply_adds, elements=count * layer.elements
    )


def block_costs(block: Block | Up, size: Size, path: str) -> Iterator[LayerCost]:
    """Return the cost of each layer of a block.

    Args:
        block: The block.
        size: Height and width of its input.
        path: Place of the block.
    """
    if isinstance(block, MaxPool):
        return
    if isinstance(block, TransposedConv | NearestConv | PixelShuffle):
        yield _up_cost(block, size, path)
        return
    normed = block.norm != "none"
    out = _after([block], size)
    if isinstance(block, Conv):
        channels = (block.in_channels, block.out_channels)
        yield _conv_cost(path, channels, block.kernel_px, 1, out, normed=normed)
        return
    hidden = block.hidden_channels
    yield _conv_cost(f"{path}.expand", (block.in_channels, hidden), 1, 1, size, normed=normed)
    yield _conv_cost(
        f"{path}.depthwise", (hidden, hidden), block.kernel_px, hidden, out, normed=normed
    )
    if block.squeeze_channels is not None:
        squeezed, one = block.squeeze_channels, (1, 1)
        yield _conv_cost(f"{path}.weigh.squeeze", (hidden, squeezed), 1, 1, one, normed=False)
        yield _conv_cost(f"{path}.weigh.excite", (squeezed, hidden), 1, 1, one, normed=False)
    yield _conv_cost(f"{path}.project", (hidden, block.out_channels), 1, 1, out, normed=normed)


def _up_cost(up: Up, size: Size, path: str) -> LayerCost:
    places = size[0] * size[1]
    elements = 4 * up.out_channels * places
    if isinstance(up, NearestConv):
        weights = 9 * up.in_channels * up.out_channels
        return LayerCost(path, 4 * places * weights, weights + up.out_channels, elements)
    weights = 4 * up.in_channels * up.out_channels
    biases = up.out_channels * (4 if isinstance(up, PixelShuffle) else 1)
    return LayerCost(path, places * weights, weights + biases, elements)


def _conv_cost(
    path: str,
    channels: tuple[int, int],
    kernel_px: int,
    groups: int,
    out: tuple[int, int],
    *,
    normed: bool,
) -> LayerCost:
    weights = kernel_px**2 * channels[0] // groups * channels[1]
    places = out[0] * out[1]
    extra = 2 * channels[1] if normed else channels[1]  # scale and shift, or a bias
    return LayerCost(path, weights * places, weights + extra, channels[1] * places)
