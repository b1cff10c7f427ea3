r"""Folds a batch normalisation, and then an identity, into the convolution before them.

.. math::
    \gamma \frac{W * x - \mu}{\sqrt{v + \epsilon}} + \beta
    = \Bigl(\frac{\gamma}{\sqrt{v + \epsilon}} W\Bigr) * x
    + \beta - \frac{\gamma \mu}{\sqrt{v + \epsilon}},
    \qquad x + W * x = (1 + W) * x

where the kernel :math:`1` is one at its centre, from each channel to itself (Ding et al., RepVGG,
2021, https://arxiv.org/abs/2101.03697).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["EPSILON", "fold_batch_norm", "fold_identity"]

EPSILON = 1e-5  # torch's default


def fold_batch_norm(
    weight: NDArray[np.float32], norm: Mapping[str, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weight and bias of one convolution that includes the normalisation.

    Args:
        weight: Weight of the convolution, (out, in / groups, k, k).
        norm: ``weight``, ``bias``, ``running_mean`` and ``running_var``, (out,) each.

    Returns:
        A weight of the same shape and a bias (out,), computed in float64.
    """
    scale = norm["weight"].astype(np.float64) / np.sqrt(
        norm["running_var"].astype(np.float64) + EPSILON
    )
    bias = norm["bias"] - norm["running_mean"] * scale
    return ((weight * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32))


def fold_identity(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weight (c, c, k, k) of a convolution whose input is added to its result."""
    folded, centre = weight.copy(), weight.shape[-1] // 2
    channels = np.arange(len(weight))
    folded[channels, channels, centre, centre] += 1
    return folded
