r"""Round the weights of a layer to integers so that its outputs for real images change least.

The nearest integer is the best for one weight alone, not for a layer. What a layer reads at
neighbouring places and channels is alike, so that errors of one sign add up. A folded residual
convolution suffers most: its 1 makes the steps of all its small weights large.

Here the weights :math:`w` of an output channel are rounded one after the other, and those that are
still to come make up for the error of each. They minimise

.. math:: E\big[((w - \hat w)^\top x)^2\big] = (w - \hat w)^\top \, E[x x^\top] \, (w - \hat w)

over what the layer reads, :math:`x`. The mean error that is left goes into the bias.

References:
    GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers (Frantar et
    al., 2023), https://arxiv.org/abs/2210.17323.
    Data-Free Quantization Through Weight Equalization and Bias Correction (Nagel et al., 2019),
    https://arxiv.org/abs/1906.04721.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

__all__ = ["Moments"]

PLACES = 64  # of one image: more change the result by less than other images do
DAMPING = 0.01  # of the mean second moment, so that inputs that never differ have an inverse
BLOCK = 64  # weights after which all that are still to come are corrected at once

_Floats = NDArray[np.float64]


class Moments:
    """Mean and second moments of what a convolution reads, over places of many images.

    Args:
        node: The convolution.
        weight_shape: ``(o, c, h, w)``, the shape of its weight.

    Attributes:
        source: The value that the convolution reads.
        count: Number of places so far.
    """

    def __init__(self, node: onnx.NodeProto, weight_shape: tuple[int, ...]) -> None:
        found = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        self.source, self.count = str(node.input[0]), 0
        self._kernel = weight_shape[2:]
        self._strides = found.get("strides", [1, 1])
        self._pads = found.get("pads", [0, 0, 0, 0])
        self._groups = found.get("group", 1)
        self._rounded: dict[tuple[bytes, bytes, int, int], _Floats] = {}
        size = int(np.prod(weight_shape[1:]))
        self._sums = np.zeros((self._groups, size))
        self._products = np.zeros((self._groups, size, size), np.float32)

    def add(self, values: NDArray[np.float32], generator: np.random.Generator) -> None:
        """Add random places of an input, ``(1, c, h, w)``."""
        top, left, bottom, right = self._pads
        padded = np.pad(values[0], ((0, 0), (top, bottom), (left, right)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, self._kernel, axis=(1, 2))
        windows = windows[:, :: self._strides[0], :: self._strides[1]]
        rows, columns = (generator.integers(0, most, PLACES) for most in windows.shape[1:3])
        read = windows[:, rows, columns].swapaxes(0, 1).reshape(PLACES, self._groups, -1)
        read = read.swapaxes(0, 1)  # (groups, places, inputs of an output channel)
        self._sums += read.sum(axis=1)
        self._products += read.swapaxes(1, 2) @ read
        self.count += PLACES

    def rounded(
        self, weight: NDArray[np.float32], steps: NDArray[np.float32], most: int
    ) -> _Floats:
        """Return a weight in whole steps of its output channels, between ``-most`` and ``most``.

        The last one is kept, since other ranges seldom change the steps.
        """
        key = (weight.tobytes(), steps.tobytes(), most, self.count)
        if key not in self._rounded:
            parts = steps.reshape(self._groups, -1, 1), self._products
            rounded = (
                _rounded(one, of_one, most, products / self.count)
                for one, of_one, products in zip(self._rows(weight), *parts, strict=True)
            )
            self._rounded = {key: np.stack([*rounded]).reshape(weight.shape)}
        return self._rounded[key]

    def mean_of(self, weight: NDArray[np.floating]) -> _Floats:
        """Return the mean output of each channel for a weight, without a bias."""
        means = self._sums[:, :, np.newaxis] / self.count
        return np.asarray(self._rows(weight) @ means).reshape(-1)

    def _rows(self, weight: NDArray[np.floating]) -> _Floats:
        """Return a weight as ``(groups, channels of a group, inputs)``."""
        return weight.astype(np.float64).reshape(self._groups, len(weight) // self._groups, -1)


def _rounded(
    weight: _Floats, steps: NDArray[np.float32], most: int, moments: NDArray[np.float32]
) -> _Floats:
    """Return the rows of a weight ``(o, d)`` in whole steps ``(o, 1)``, by moments ``(d, d)``.

    Inputs with much power come first, since fewer are left to make up for the last ones.
    """
    power = np.diag(moments)
    order = np.argsort(-power, kind="stable")
    damped = moments.astype(np.float64)[np.ix_(order, order)]
    damped[np.diag_indices_from(damped)] += DAMPING * power.mean() + np.finfo(np.float32).tiny
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, whole = weight[:, order] / steps, np.zeros_like(weight)
    for start in range(0, len(order), BLOCK):
        inner = slice(start, start + BLOCK)
        errors = _round_block(left[:, inner], whole[:, inner], most, factor[inner, inner])
        left[:, start + BLOCK :] -= errors @ factor[inner, start + BLOCK :]
    return whole[:, np.argsort(order)]


def _round_block(left: _Floats, whole: _Floats, most: int, factor: _Floats) -> _Floats:
    """Round some columns into ``whole``, each after what came before, and return their errors."""
    errors = np.zeros_like(left)
    for column in range(left.shape[1]):
        whole[:, column] = np.clip(np.rint(left[:, column]), -most, most)
        errors[:, column] = (left[:, column] - whole[:, column]) / factor[column, column]
        left[:, column + 1 :] -= np.outer(errors[:, column], factor[column, column + 1 :])
    return errors
