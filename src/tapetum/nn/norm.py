r"""Batch normalisation that is fast on a CPU for few channels.

With channels last in memory, torch's kernel processes the channels of one pixel at a time: 8 or 12
channels leave most of a vector register empty. In the reduced UNet half of a training step went
into normalisation. Here a whole row of pixels counts as one pixel of many channels, which is only
another view of the same memory,

.. math::
    (n, h, w, c) \rightarrow (n, h, 1, w c),

and the statistics of the :math:`w` copies of each channel are combined afterwards:

.. math::
    \mu = \frac{1}{w} \sum_j \mu_j, \qquad
    \sigma^2 = \frac{1}{w} \sum_j \sigma_j^2 + \frac{1}{w} \sum_j (\mu_j - \mu)^2 .

The result is that of :class:`torch.nn.BatchNorm2d` up to rounding; ``benchmarks/batch_norm.py``
measures the speed.

An input may have fewer channels than the layer: the first ones are used. Networks with a searched
width use this.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["RowBatchNorm2d", "first_channels", "reestimate_statistics"]

VECTOR_LANES = 16  # floats in the widest register; with more channels torch's kernel is fast


class RowBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the results and the state of torch's.

    The kernel on rows is used in training, on a CPU, with channels last in memory, for channels
    that do not fill vector registers; torch's own kernel otherwise.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise each channel by its mean and variance over images and places."""
        pays = self.training and _pays(x)
        if not pays and x.shape[1] == self.num_features:
            result: Tensor = super().forward(x)
            return result
        weight, bias = (first_channels(value, x) for value in (self.weight, self.bias))
        if pays:
            normed: Tensor
            normed, mean, variance = _NormaliseRows.apply(x, weight, bias, self.eps)
            self._remember(mean, variance, count=x.numel() // x.shape[1])
            return normed
        mean, variance = (first_channels(value, x) for value in self._statistics())
        momentum = 0.1 if self.momentum is None else self.momentum
        return F.batch_norm(x, mean, variance, weight, bias, self.training, momentum, self.eps)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None  # noqa: S101  (tracking is always on)
        assert self.running_var is not None  # noqa: S101
        return self.running_mean, self.running_var

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, *, count: int) -> None:
        """Update the running statistics; their variance is unbiased, as in torch."""
        running_mean, running_variance = self._statistics()
        assert self.num_batches_tracked is not None  # noqa: S101  (as above)
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # torch's convention: the plain average of all batches
            momentum = 1 / float(self.num_batches_tracked)
        running_mean[: len(mean)].lerp_(mean, momentum)
        running_variance[: len(mean)].lerp_(variance * (count / max(count - 1, 1)), momentum)


@torch.no_grad()
def reestimate_statistics(
    network: nn.Module, inputs: Iterable[tuple[Tensor, Tensor | None]]
) -> None:
    """Replace the statistics of every batch normalisation by the mean over batches.

    The network is left in evaluation mode.

    Args:
        network: Takes images and boxes, as a :class:`~tapetum.nn.TrainableNetwork` does.
        inputs: Images (b, c, h, w) and boxes of each batch, on the network's device.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average of all batches
    network.train()
    for noisy, boxes in inputs:
        network(noisy, boxes)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def first_channels(values: Tensor, x: Tensor) -> Tensor:
    """Return the first values, one per channel of ``x``."""
    return values if len(values) == x.shape[1] else values[: x.shape[1]]


def _pays(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.shape[1] % VECTOR_LANES != 0
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
    )


class _NormaliseRows(torch.autograd.Function):
    """The normalisation and its gradient, both on rows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = _to_rows(x)
        # Statistics have the type of the second and third argument, not that of rows.
        unused = weight.new_zeros(rows.shape[1])
        stats = torch.batch_norm_update_stats(rows, unused, unused, 0.0)
        means, variances = (stat.view(-1, x.shape[1]) for stat in stats)
        mean = means.mean(dim=0)
        variance = variances.mean(dim=0) + means.var(dim=0, unbiased=False)
        scale, shift = _tile(weight, x), _tile(bias, x)
        # A tensor of its own: a view could not be activated in place.
        normed, unused = torch.empty_like(x), weight.new_empty(0)
        torch.ops.aten.native_batch_norm.out(
            *(rows, scale, shift, _tile(mean, x), _tile(variance, x), False, 0.0, eps),
            out=_to_rows(normed),
            save_mean=unused,
            save_invstd=unused,
        )
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return normed, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, variance = ctx.saved_tensors
        rows = _to_rows(x)
        flow = _to_rows(gradient.contiguous(memory_format=torch.channels_last))
        parameters = [_tile(value, x) for value in (weight, mean, variance)]
        # First, as if mean and variance were constants.
        result, weight_gradient, bias_gradient = torch.ops.aten.native_batch_norm_backward(
            flow, rows, *parameters, None, None, False, ctx.eps, [True, True, True]
        )
        weight_gradient, bias_gradient = (
            value.view(-1, x.shape[1]).sum(dim=0) for value in (weight_gradient, bias_gradient)
        )
        # Then the gradient through them, which is linear in x: slope * x + offset.
        inverse = torch.rsqrt(variance + ctx.eps)
        share = weight * inverse * (x.shape[1] / x.numel())
        slope = -share * weight_gradient * inverse
        offset = -share * bias_gradient - slope * mean
        last = result.permute(0, 2, 3, 1)
        last.addcmul_(rows.permute(0, 2, 3, 1), _tile(slope, x).to(x.dtype))
        last.add_(_tile(offset, x).to(x.dtype))
        return _from_rows(result, x), weight_gradient, bias_gradient, None


def _to_rows(x: Tensor) -> Tensor:
    """Map (n, c, h, w) to (n, w c, h, 1), both with channels last: the same memory."""
    count, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).view(count, height, 1, width * channels)
    return rows.permute(0, 3, 1, 2)


def _from_rows(rows: Tensor, like: Tensor) -> Tensor:
    """Invert :func:`_to_rows`, to the shape of ``like``."""
    count, channels, height, width = like.shape
    return rows.permute(0, 2, 3, 1).view(count, height, width, channels).permute(0, 3, 1, 2)


def _tile(value: Tensor, x: Tensor) -> Tensor:
    """Repeat one value per channel for each pixel of a row."""
    return value.expand(x.shape[3], -1).reshape(-1)  # half the time of repeat
