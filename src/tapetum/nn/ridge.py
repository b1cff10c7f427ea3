r"""Start the encoder of a network of MBConv blocks from the blocks of EfficientNet-Lite0.

Each convolution gets the weights by which it gives on the *noisy* image, in the least squares, what
Lite0 gives at that place on the *clean* one:

.. math:: W = (X^\top X + \lambda I)^{-1} X^\top Y

with :math:`X` the features of the network so far on noisy images, and :math:`Y` those of Lite0 on
the clean ones. There is no gradient; all of it takes about as long as some steps of a training.

* An expansion gives the hidden channels of Lite0's block that matter most, as many as it has.
* A filter of each channel gives what Lite0's filter gives in that channel.
* A projection gives the principal components of the output of Lite0's block. Where a block adds
  its input, they are turned until they agree best with it.
* Any other convolution gives such components too, shifted so far that the activation after it cuts
  little; the first one gives the values before the activation of Lite0's first convolution.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tapetum.nn.blocks import ConvNorm, InvertedResidual
from tapetum.nn.lite0 import Filter, Lite0, Lite0Block, activated
from tapetum.nn.network import Network

__all__ = ["can_start", "start_from_lite0"]

STRENGTH = 1e-3  # of the ridge, over the mean square of the features
MOST_ROWS = 16_384  # places of a regression
SHIFT = 2.0  # standard deviations that components are moved up before an activation


def can_start(network: nn.Module) -> bool:
    """Return whether a network of grey or RGB images has MBConv blocks in its encoder."""
    return (
        isinstance(network, Network)
        and network.architecture.image_channels in (1, 3)
        and network.encoder is not None
        and any(map(_is_mbconv, network.encoder.levels.modules()))
    )


@torch.no_grad()
def start_from_lite0(
    network: Network, teacher: Lite0, noisy: Tensor, clean: Tensor
) -> tuple[str, ...]:
    """Start the encoder and the branch of a network from Lite0's blocks.

    Args:
        network: A network for which :func:`can_start` is true; changed in place.
        teacher: EfficientNet-Lite0.
        noisy: Images as the network will see them, (b, c, h, w).
        clean: The same images without noise, in [0, 1].

    Returns:
        The names of the convolutions that were started.
    """
    mode, taken = network.training, list[str]()
    network.eval()
    places = _places(teacher, clean)
    x, reduction, first = noisy, 1, 0
    for part in _parts(network):
        reduction *= _stride(part.blocks)
        ours = [name for name, block in part.blocks if not isinstance(block, nn.MaxPool2d)]
        goals = iter(_spread(places, first, len(ours), reduction, part))
        for name, block in part.blocks:
            if isinstance(block, nn.MaxPool2d):
                x = block(x)
                continue
            goal = next(goals)
            started = _start_block(block, x, places[goal])
            taken += [f"{name}{'.' * bool(one)}{one}" for one in started]
            first = max(first, goal)
            x = block(x)
    network.train(mode)
    return tuple(taken)


class _Part(NamedTuple):
    """A level of the encoder, or the branch, with the names of its blocks."""

    blocks: list[tuple[str, nn.Module]]
    is_first: bool = False
    is_last: bool = False


class _Place(NamedTuple):
    """A place in Lite0 and what is there on the clean images.

    Attributes:
        block: The block that ends there; None for the first convolution.
        before: Its input, or the prepared images.
        after: Its output; of the first convolution the values before the activation.
        reduction: Image pixels per place of the map.
    """

    block: Lite0Block | None
    before: Tensor
    after: Tensor
    reduction: int

    @property
    def is_cut(self) -> bool:
        """Whether an activation follows."""
        return self.block is None


def _places(teacher: Lite0, clean: Tensor) -> list[_Place]:
    images = teacher.prepared(clean)
    fine = Filter(teacher.stem.weight, teacher.stem.bias)  # for a map at full resolution
    after = fine(images)
    places = [_Place(None, images, after, 1)]
    x, block = activated(after), teacher.blocks[0]
    places.append(_Place(block, x, block(x), 1))
    after = teacher.stem(images)
    places.append(_Place(None, images, after, 2))
    x = activated(after)
    for block in teacher.blocks:
        y = block(x)
        places.append(_Place(block, x, y, block.reduction))
        x = y
    return places


def _parts(network: Network) -> Iterator[_Part]:
    assert network.encoder is not None  # noqa: S101  (can_start)
    for number, level in enumerate(network.encoder.levels):
        assert isinstance(level, nn.Sequential)  # noqa: S101  (built so)
        blocks = [(f"encoder.levels.{number}.{at}", one) for at, one in enumerate(level)]
        yield _Part(blocks, is_first=number == 0)
    classifier = network.classifier
    if classifier is not None and classifier.box_px is None:
        blocks = [(f"classifier.blocks.{at}", one) for at, one in enumerate(classifier.blocks)]
        if blocks:
            yield _Part(blocks, is_last=True)


def _stride(blocks: Sequence[tuple[str, nn.Module]]) -> int:
    stride_px = 1
    for _, block in blocks:
        for module in block.modules():
            if isinstance(module, nn.Conv2d):
                stride_px *= int(module.stride[0])
            elif isinstance(module, nn.MaxPool2d):
                stride_px *= int(module.kernel_size)  # type: ignore[arg-type]  # a square
    return stride_px


def _spread(
    places: Sequence[_Place], first: int, count: int, reduction: int, part: _Part
) -> list[int]:
    """Return the places that some blocks start from, evenly spread; the last one at the end."""
    deepest = min(reduction, places[-1].reduction)
    near = [
        number
        for number, one in enumerate(places)
        if one.reduction == deepest and (part.is_first or one.block is not None)
    ]
    if part.is_first and count == 1:
        near = near[:1]
    if part.is_last:  # all that is left
        near = list(range(first + 1, len(places))) or near
    return [near[-(-(number + 1) * len(near) // count) - 1] for number in range(count)]


def _is_mbconv(block: nn.Module) -> bool:
    return (
        isinstance(block, InvertedResidual)
        and isinstance(block.depthwise, ConvNorm)
        and isinstance(block.weigh, nn.Identity)
        and isinstance(block.project.norm, nn.BatchNorm2d)
    )


def _start_block(block: nn.Module, x: Tensor, goal: _Place) -> tuple[str, ...]:
    """Start one block, and return the names of its convolutions; none where it stays fresh."""
    if _is_mbconv(block) and goal.block is not None:
        assert isinstance(block, InvertedResidual)  # noqa: S101  (_is_mbconv)
        return _start_mbconv(block, x, goal, goal.block)
    if isinstance(block, ConvNorm) and isinstance(block.norm, nn.BatchNorm2d):
        y = goal.after
        size = _size_after(block.conv, x)
        wanted = _most_varied(y, block.conv.out_channels) if goal.is_cut else None
        if wanted is not None:
            target = _resized(y[:, wanted], size)
            _regress(block, x, target, shift=0.0)
        else:
            target = _components(_resized(y, size), block.conv.out_channels)
            _regress(block, x, target, shift=SHIFT)
        return ("",)
    return ()


def _start_mbconv(
    block: InvertedResidual, x: Tensor, goal: _Place, theirs: Lite0Block
) -> tuple[str, ...]:
    expand, depthwise, project = block.expand, block.depthwise, block.project
    assert isinstance(depthwise, ConvNorm)  # noqa: S101  (_is_mbconv)
    hidden = theirs.hidden(goal.before)
    filtered = theirs.depthwise(activated(hidden))
    norms = theirs.project.weight[:, :, 0, 0].norm(dim=0)
    weights = norms * activated(filtered).std(dim=(0, 2, 3))
    count = min(expand.conv.out_channels, len(weights))
    chosen = weights.topk(count).indices.sort().values
    _regress(expand, x, _resized(hidden[:, chosen], x.shape[-2:]))
    y = expand(x)
    size = _size_after(depthwise.conv, y)
    _regress_each(depthwise, y, _resized(filtered[:, chosen], size))
    y = depthwise(y)
    target = _components(_resized(goal.after, size), project.conv.out_channels)
    if block.is_residual:
        target = _turned(target, x)
        # Channels beyond those of Lite0 keep what they are.
        target = target - x[:, : target.shape[1]]
    _regress(project, y, target, rest=0.0 if block.is_residual else None)
    return ("expand", "depthwise", "project")


def _size_after(conv: nn.Conv2d, x: Tensor) -> torch.Size:
    y: Tensor = conv(x[:1])
    return y.shape[-2:]


def _resized(y: Tensor, size: Sequence[int]) -> Tensor:
    """Return a map of another size: means of places, or places repeated."""
    if tuple(y.shape[-2:]) == tuple(size):
        return y
    if y.shape[-1] > size[-1]:
        return F.adaptive_avg_pool2d(y, (size[0], size[1]))
    return F.interpolate(y, size=list(size), mode="nearest")


def _most_varied(y: Tensor, count: int) -> Tensor:
    """Return the channels that vary most after the activation, at most ``count``."""
    spread = activated(y).std(dim=(0, 2, 3))
    return spread.topk(min(count, len(spread))).indices.sort().values


def _components(y: Tensor, count: int) -> Tensor:
    """Return the first principal components of a map, at most ``count``, of mean square 1."""
    rows = _rows(y)
    rows = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    count = min(count, y.shape[1])
    basis = vectors[:, -count:].flip(1) / values[-count:].mean().clamp_min(1e-12).sqrt()
    centred = y - y.mean((0, 2, 3), keepdim=True)
    return torch.einsum("bchw,ck->bkhw", centred, basis)


def _turned(target: Tensor, x: Tensor) -> Tensor:
    """Return components in the orthogonal basis that agrees best with the channels of ``x``."""
    rows, given = _rows(target), _rows(x[:, : target.shape[1]])
    u, _, vh = torch.linalg.svd(rows.T @ (given - given.mean(0)), full_matrices=False)
    return torch.einsum("bchw,ck->bkhw", target, u @ vh)


def _rows(x: Tensor) -> Tensor:
    """Return places as rows, evenly thinned out."""
    rows = x.movedim(1, -1).reshape(-1, x.shape[1])
    return rows[:: max(1, len(rows) // MOST_ROWS)]


def _regress(
    layer: ConvNorm, x: Tensor, target: Tensor, *, shift: float = 0.0, rest: float | None = None
) -> None:
    """Set a convolution so that its first outputs are as near to a target as can be.

    Args:
        layer: The convolution, with the same filter in all places.
        x: Its input.
        target: What it should give, (b, k, h, w), with no more channels than it has.
        shift: Standard deviations that are added to each output.
        rest: Factor of the outputs beyond the target; None leaves them as they are.
    """
    conv = layer.conv
    kernel_px = int(conv.kernel_size[0])
    if kernel_px == 1 and conv.stride[0] == 1:
        rows = _rows(x)
    else:
        patches = F.unfold(x, kernel_px, padding=int(conv.padding[0]), stride=int(conv.stride[0]))
        rows = _rows(patches[..., None])
    goals = _rows(target)
    inner, wanted = rows - rows.mean(0), goals - goals.mean(0)
    gram = inner.T @ inner
    gram.diagonal().add_(STRENGTH * gram.diagonal().mean().clamp_min(1e-12))
    solved = torch.linalg.solve(gram, inner.T @ wanted).T
    count = len(solved)
    conv.weight[:count] = solved.reshape(count, *conv.weight.shape[1:])
    _set_norm(layer.norm, conv(x), count, goals.mean(0), shift=shift, rest=rest)


def _regress_each(layer: ConvNorm, x: Tensor, target: Tensor) -> None:
    """Set a filter of each channel so that its first outputs are as near to a target as can be."""
    conv, count = layer.conv, target.shape[1]
    kernel_px = int(conv.kernel_size[0])
    patches = F.unfold(x[:, :count], kernel_px, padding=kernel_px // 2, stride=int(conv.stride[0]))
    patches = patches.view(len(x), count, kernel_px**2, -1).permute(1, 0, 3, 2).flatten(1, 2)
    goals = target.movedim(1, 0).flatten(1)
    step = max(1, goals.shape[1] // MOST_ROWS)
    inner, wanted = patches[:, ::step], goals[:, ::step, None]
    means = wanted.mean(1)[:, 0]
    inner, wanted = inner - inner.mean(1, keepdim=True), wanted - wanted.mean(1, keepdim=True)
    gram = inner.mT @ inner
    strength = STRENGTH * gram.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-6)
    gram = gram + strength[:, None, None] * torch.eye(gram.shape[1])
    solved = torch.linalg.solve(gram, inner.mT @ wanted)[..., 0]
    conv.weight[:count, 0] = solved.reshape(count, kernel_px, kernel_px)
    _set_norm(layer.norm, conv(x), count, means)


def _set_norm(
    norm: nn.Module,
    y: Tensor,
    count: int,
    means: Tensor,
    *,
    shift: float = 0.0,
    rest: float | None = None,
) -> None:
    """Give a normalisation the statistics of its input; its first outputs get these means."""
    assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101  (only such blocks start)
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018
    norm.running_mean.copy_(y.mean((0, 2, 3)))
    norm.running_var.copy_(y.var((0, 2, 3)))
    scale = (norm.running_var + norm.eps).sqrt()
    norm.weight[:count] = scale[:count]
    norm.bias[:count] = means + shift * scale[:count]
    if rest is not None:
        norm.weight[count:] = rest
        norm.bias[count:] = 0.0
