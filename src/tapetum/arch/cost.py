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

from tapetum.arch import spec
from tapetum.arch.spec import Architecture

__all__ = [
    "LayerCost",
    "Placed",
    "block_costs",
    "bytes_per_pixel",
    "layer_costs",
    "multiply_adds",
    "parameters",
    "placed_blocks",
    "reach_px",
]

Size = tuple[int, int]  # height and width
Placed = tuple[str, spec.Block | spec.Up, Size]  # path, block, and the size of its input


class LayerCost(NamedTuple):
    """The cost of one layer, for one image."""

    path: str  # such as ``encoder.levels.0.1``
    multiply_adds: int
    parameters: int  # weights, biases, and the scale and shift of a normalisation
    elements: int  # values of the output


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
    for path, block, size in placed_blocks(architecture, height, width):
        layers += block_costs(block, size, path)
    if architecture.classifier is not None:
        layers += _linear_costs(architecture.classifier)
    if architecture.classifies_boxes:
        layers = [_times(num_boxes, layer) for layer in layers]
    return layers


def placed_blocks(architecture: Architecture, height: int, width: int) -> Iterator[Placed]:
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
        if architecture.decoder.output is not None:
            yield "decoder.output", architecture.decoder.output, size
    if architecture.classifier is not None:
        region = architecture.classifier.region
        size = deepest if architecture.kind == "integrated" else (height, width)
        if isinstance(region, spec.Boxes):
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
            stride_px *= spec.stride_of([block])
    reach += sum(_radius(block) for block in architecture.decoder.blocks) * stride_px
    for step in architecture.decoder.levels:
        reach += stride_px // 2  # a place of the coarse map covers its whole cell
        stride_px //= 2
        reach += stride_px * isinstance(step.up, spec.NearestConv)
        reach += sum(_radius(block) for block in step.blocks) * stride_px
    output = architecture.decoder.output
    return reach if output is None else reach + _radius(output)


def bytes_per_pixel(architecture: Architecture) -> float:
    """Return the approximate memory of a forward pass per pixel of the image, in float32.

    It is the maps that wait for the decoder, the noisy image where it waits for a gate, and thrice
    the largest map (input, output, own layout).
    """
    size_px = 64 * architecture.stride_px
    layers = layer_costs(architecture, size_px, size_px)
    largest = max(layer.elements for layer in layers)
    is_gated = architecture.decoder is not None and architecture.decoder.gated
    waiting, stride_px = float(architecture.image_channels * is_gated), 1
    for width, level in zip(spec.level_channels(architecture), architecture.encoder, strict=True):
        stride_px *= level.stride_px
        waiting += width / stride_px**2
    return 4 * (waiting + 3 * largest / size_px**2)


def _after(blocks: Sequence[spec.Block], size: Size) -> Size:
    return spec.size_after(blocks, size[0]), spec.size_after(blocks, size[1])


def _radius(block: spec.Block) -> int:
    """Return how far from its place an output reads, to the farther side, in places of the input.

    Output ``i`` of a stride ``s`` is at place ``s i``: a maximum reads from there to the right
    and below, an even kernel one place further there than to the left and above.
    """
    return block.size_px - 1 if isinstance(block, spec.MaxPool) else block.kernel_px // 2


def _placed(blocks: Sequence[spec.Block], size: Size, path: str) -> Iterator[Placed]:
    for index, block in enumerate(blocks):
        yield f"{path}.{index}", block, size
        size = _after([block], size)


def _times(count: int, layer: LayerCost) -> LayerCost:
    """Return the cost of a classifier's layer on several boxes; others see the image once."""
    path, multiply_adds, parameters, elements = layer
    if not path.startswith("classifier."):
        return layer
    return LayerCost(path, count * multiply_adds, parameters, count * elements)


def block_costs(block: spec.Block | spec.Up, size: Size, path: str) -> Iterator[LayerCost]:
    """Return the cost of each layer of a block at a path, for inputs of a size."""
    if isinstance(block, spec.MaxPool):
        return
    if isinstance(block, spec.TransposedConv | spec.NearestConv | spec.PixelShuffle):
        yield _up_cost(block, size, path)
        return
    normed = block.norm != "none"
    out = _after([block], size)
    before, after, kernel_px = block.in_channels, block.out_channels, block.kernel_px
    if isinstance(block, spec.Conv | spec.Downsample | spec.ResidualConv):
        path = f"{path}.filter" if isinstance(block, spec.ResidualConv) else path
        yield _conv_cost(path, before, after, out, kernel_px=kernel_px, normed=normed)
        return
    hidden, one = block.hidden_channels, (1, 1)
    if isinstance(block, spec.FusedInvertedResidual):
        yield _conv_cost(f"{path}.expand", before, hidden, out, kernel_px=kernel_px, normed=normed)
    else:
        yield _conv_cost(f"{path}.expand", before, hidden, size, normed=normed)
        yield _conv_cost(f"{path}.depthwise", 1, hidden, out, kernel_px=kernel_px, normed=normed)
    if (squeezed := block.squeeze_channels) is not None:
        yield _conv_cost(f"{path}.weigh.squeeze", hidden, squeezed, one, normed=False)
        yield _conv_cost(f"{path}.weigh.excite", squeezed, hidden, one, normed=False)
    yield _conv_cost(f"{path}.project", hidden, after, out, normed=normed)


def _linear_costs(classifier: spec.Classifier) -> Iterator[LayerCost]:
    """Return the cost of the linear layers of a classifier."""
    features, hidden = classifier.features, classifier.hidden_features
    if hidden is not None:
        weights = features * hidden
        yield LayerCost("classifier.hidden", weights, weights + hidden, hidden)
        features = hidden
    weights = features * classifier.num_classes
    biases = classifier.num_classes
    yield LayerCost("classifier.linear", weights, weights + biases, biases)


def _up_cost(up: spec.Up, size: Size, path: str) -> LayerCost:
    places = size[0] * size[1]
    elements = 4 * up.out_channels * places
    if isinstance(up, spec.NearestConv):
        weights = 9 * up.in_channels * up.out_channels
        return LayerCost(path, 4 * places * weights, weights + up.out_channels, elements)
    weights = 4 * up.in_channels * up.out_channels
    biases = up.out_channels * (4 if isinstance(up, spec.PixelShuffle) else 1)
    return LayerCost(path, places * weights, weights + biases, elements)


def _conv_cost(
    path: str, before: int, after: int, out: Size, *, kernel_px: int = 1, normed: bool
) -> LayerCost:
    """Return the cost of a convolution; ``before`` counts the input channels of one group."""
    weights, places = kernel_px**2 * before * after, out[0] * out[1]
    extra = 2 * after if normed else after  # scale and shift, or a bias
    return LayerCost(path, weights * places, weights + extra, after * places)
