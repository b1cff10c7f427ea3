r"""A slot of a search space as a module, with all its candidates on shared weights.

Every candidate of a slot is an MBConv of the same channels, so one set of weights serves them all:
a kernel of 3 is the middle of one of 5, and a narrow block uses the first hidden channels of a wide
one.  :class:`ElasticBlock` is that set.  The expansion, and the filter of each kernel, are computed
once for all candidates.

:class:`MixedBlock` is the slot,

.. math::
    y = \sum_o p_o \, o(x)

over the parts that it gets: one part for a path through the supernet, all for the relaxation of the
published algorithm.  It has one :class:`ElasticBlock` for all candidates, or one for each, as
published.

A batch normalisation follows what it normalises: one for the expansion, one for the filter of each
kernel, one for the projection of each candidate.

References:
    | TF-NAS (Hu, Wu, He, 2020), https://arxiv.org/abs/2008.05314

    | Once-for-All: Train One Network and Specialize it for Efficient Deployment (Cai et al., 2020),
      for kernels inside of kernels, https://arxiv.org/abs/1908.09791
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from tapetum.arch import Candidate, Slot
from tapetum.errors import InputError
from tapetum.nn import RowBatchNorm2d, blocks

__all__ = ["ElasticBlock", "MixedBlock", "MixedSequence", "Part"]


class Part(NamedTuple):
    """A candidate that takes part in a forward pass.

    Attributes:
        candidate: Name of the candidate.
        hidden_channels: Its current width.
        share: Weight of its output in the sum; 1 where ``None``.
    """

    candidate: str
    hidden_channels: int
    share: Tensor | None = None


class ElasticBlock(nn.Module):
    """Weights that several candidates of a slot, which are MBConv blocks, share."""

    def __init__(self, slot: Slot, candidates: Sequence[Candidate]) -> None:
        super().__init__()
        self.names = [candidate.name for candidate in candidates]  # in the order of their norms
        self.candidates = {candidate.name: candidate for candidate in candidates}
        self.kernels = sorted({candidate.kernel_px for candidate in candidates})
        self.widest = max(slot.widths(candidate)[-1] for candidate in candidates)
        self.stride_px = slot.stride_px
        wide, narrow = self.widest, slot.in_channels
        self.expand = nn.Conv2d(narrow, wide, 1, bias=False)
        self.depthwise = nn.Conv2d(wide, wide, self.kernels[-1], groups=wide, bias=False)
        self.squeezes = any(candidate.squeezes for candidate in candidates)
        if self.squeezes:
            self.squeeze = nn.Conv2d(wide, narrow, 1)  # as many as come in
            self.excite = nn.Conv2d(narrow, wide, 1)
        self.project = nn.Conv2d(wide, slot.out_channels, 1, bias=False)
        self.expand_norm = RowBatchNorm2d(wide)
        self.depthwise_norms = nn.ModuleList(RowBatchNorm2d(wide) for _ in self.kernels)
        self.project_norms = nn.ModuleList(RowBatchNorm2d(slot.out_channels) for _ in self.names)
        self.activation = blocks.activate(slot.activation)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c_in h w"], parts: Sequence[Part]) -> Tensor:
        """Return the sum of some candidates, each times its share."""
        width = max(part.hidden_channels for part in parts)
        hidden = F.conv2d(x, self.expand.weight[:width])
        hidden = self.activation(self.expand_norm(hidden))
        outputs: list[Tensor] = []
        for kernel in self.kernels:
            group = [p for p in parts if self.candidates[p.candidate].kernel_px == kernel]
            if group:
                filtered = self._filter(hidden, kernel, max(p.hidden_channels for p in group))
                outputs += (self._project(filtered, part) for part in group)
        return functools.reduce(torch.add, outputs)

    def copy_to(self, into: blocks.InvertedResidual, part: Part) -> None:
        """Copy the weights of a part into a separate block."""
        width, kernel = part.hidden_channels, self.candidates[part.candidate].kernel_px
        depthwise = cast("blocks.ConvNorm", into.depthwise)
        norms = (
            (into.expand, self.expand_norm),
            (depthwise, self.depthwise_norms[self.kernels.index(kernel)]),
            (into.project, self.project_norms[self.names.index(part.candidate)]),
        )
        with torch.no_grad():
            for layer, norm in norms:
                for name, value in layer.norm.state_dict().items():
                    known = norm.state_dict()[name]
                    value.copy_(known[: len(value)] if value.ndim else known)
            into.expand.conv.weight.copy_(self.expand.weight[:width])
            depthwise.conv.weight.copy_(self._kernel(kernel, width))
            into.project.conv.weight.copy_(self.project.weight[:, :width])
            if isinstance(gate := into.weigh, blocks.SqueezeExcite):
                gate.squeeze.conv.weight.copy_(self.squeeze.weight[:, :width])
                _bias(gate.squeeze.conv).copy_(_bias(self.squeeze))
                gate.excite.conv.weight.copy_(self.excite.weight[:width])
                _bias(gate.excite.conv).copy_(_bias(self.excite)[:width])

    def sort_channels(self, width: int, optimizer: Optimizer) -> None:
        """Sort the first hidden channels by the L1 norm of their filters (TF-NAS)."""
        sizes = self.depthwise.weight.detach()[:width].abs().sum((1, 2, 3))
        order = sizes.argsort(descending=True, stable=True)
        with torch.no_grad():
            for tensor, dimension in self._hidden_dimensions():
                moments = optimizer.state.get(tensor, {}).values()
                for value in (tensor, *(moment for moment in moments if _is_like(moment, tensor))):
                    first = value.narrow(dimension, 0, width)
                    first.copy_(first.index_select(dimension, order))

    def _hidden_dimensions(self) -> Iterator[tuple[Tensor, int]]:
        """Yield every tensor that has hidden channels, and their dimension."""
        yield self.expand.weight, 0
        yield self.depthwise.weight, 0
        yield self.project.weight, 1
        if self.squeezes:
            yield self.squeeze.weight, 1
            yield self.excite.weight, 0
            yield _bias(self.excite), 0
        for norm in (self.expand_norm, *self.depthwise_norms):
            for name in ("weight", "bias", "running_mean", "running_var"):
                yield getattr(norm, name), 0

    def _kernel(self, kernel_px: int, width: int) -> Tensor:
        """Return the middle of the largest kernel."""
        edge = (self.kernels[-1] - kernel_px) // 2
        inner = slice(edge, edge + kernel_px)
        return self.depthwise.weight[:width, :, inner, inner]

    def _filter(self, hidden: Tensor, kernel_px: int, width: int) -> Tensor:
        y = F.conv2d(
            _first(hidden, width),
            self._kernel(kernel_px, width),
            stride=self.stride_px,
            padding=kernel_px // 2,
            groups=width,
        )
        normed: Tensor = self.depthwise_norms[self.kernels.index(kernel_px)](y)
        activated: Tensor = self.activation(normed)
        return activated

    def _project(self, filtered: Tensor, part: Part) -> Tensor:
        """Return the output of a part, times its share."""
        width = part.hidden_channels
        hidden = _first(filtered, width)
        if self.candidates[part.candidate].squeezes:
            hidden = hidden * self._gate(hidden, width)
        y = F.conv2d(hidden, self.project.weight[:, :width])
        normed: Tensor = self.project_norms[self.names.index(part.candidate)](y)
        return normed if part.share is None else normed * part.share

    def _gate(self, hidden: Tensor, width: int) -> Tensor:
        mean = hidden.mean(dim=(2, 3), keepdim=True)
        squeezed = F.conv2d(mean, self.squeeze.weight[:, :width], self.squeeze.bias)
        excited = self.activation(squeezed)
        weight, bias = self.excite.weight[:width], _bias(self.excite)[:width]
        return F.conv2d(excited, weight, bias).sigmoid()


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None  # noqa: S101  (the two of a gate have one)
    return conv.bias


def _is_like(value: object, tensor: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == tensor.shape


def _first(x: Tensor, width: int) -> Tensor:
    """Return the first channels, dense: convolutions are slow on a view."""
    if x.shape[1] == width:
        return x
    is_last = x.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if is_last else torch.contiguous_format
    return x[:, :width].contiguous(memory_format=order)


class MixedBlock(nn.Module):
    """A slot with all its candidates.

    The supernet sets :attr:`parts` for each pass, since a network runs its blocks one after another
    and has no argument for a search.  Separate weights of candidates are as published.

    Raises:
        InputError: The slot does not use batch normalisation.
    """

    def __init__(self, slot: Slot, *, shares_weights: bool) -> None:
        super().__init__()
        if slot.norm != "batch":
            raise InputError(
                f"a slot with norm {slot.norm!r} cannot be searched",
                "give slots of a space the norm 'batch'",
            )
        groups = [slot.candidates] if shares_weights else [(one,) for one in slot.candidates]
        self.elastic = [ElasticBlock(slot, group) for group in groups]
        self.blocks = nn.ModuleList(self.elastic)
        self.is_residual = slot.stride_px == 1 and slot.in_channels == slot.out_channels
        self.parts: Sequence[Part] = ()

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h_out w_out"]:
        """Return the sum of the parts, plus the input where shapes allow."""
        outputs: list[Tensor] = []
        for block in self.elastic:
            mine = [part for part in self.parts if part.candidate in block.candidates]
            if mine:
                outputs.append(block(x, mine))
        if not outputs:  # the slot is left out
            return x
        y = functools.reduce(torch.add, outputs)
        return x + y if self.is_residual else y

    def copy_to(self, into: blocks.InvertedResidual, part: Part) -> None:
        """Copy the weights of a part into a separate block."""
        for block in self.elastic:
            if part.candidate in block.candidates:
                block.copy_to(into, part)

    def sort_channels(self, widths: Mapping[str, int], optimizer: Optimizer) -> None:
        """Sort the hidden channels by importance, together with the state of the optimizer.

        Channels beyond the widest of the current widths were never trained and keep their places.
        """
        for block in self.elastic:
            block.sort_channels(max(widths[name] for name in block.names), optimizer)


class MixedSequence(nn.Sequential):
    r"""A sequence of blocks with runs that may end early.

    In a run of :math:`n` blocks that may be left out, with the input :math:`x_0` and the output
    :math:`x_k` of the :math:`k`-th block, the result is

    .. math:: y = \sum_{k=0}^{n} d_k x_k

    for the share :math:`d_k` of each depth (the sink-connecting space of TF-NAS).  Without shares
    it is the output of the last block.  ``runs`` has the length of each run, by the index of its
    first block.
    """

    def __init__(self, blocks: nn.Sequential, runs: Mapping[int, int]) -> None:
        super().__init__(*blocks)
        self.runs = dict(runs)
        self.depths: dict[int, Tensor] = {}

    def forward(self, x: Float[Tensor, "b c h w"]) -> Tensor:
        """Return the output of the sequence."""
        index = 0
        while index < len(self):
            count = self.runs.get(index, 1)
            shares = self.depths.get(index)
            y = x if shares is None else shares[0] * x
            for place in range(count):
                x = self[index + place](x)
                y = x if shares is None else y + shares[place + 1] * x
            x = y
            index += count
        return x
