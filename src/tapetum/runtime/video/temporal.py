r"""Average denoised frames over time, where nothing moves.

There the frames differ by their noise alone, and so do the denoised frames by their errors, of
which the mean of several has less. With a denoised frame :math:`y_t`, each pixel shows the mean

.. math:: m_t = m_{t-1} + \frac{y_t - m_{t-1}}{n_t}, \qquad n_t = 1 + s_t \min(n_{t-1}, N - 1)

of :math:`n_t` frames, at most :math:`N = 8`. :math:`s_t` is 1 where the image is still. Where it
moves, :math:`s_t` is 0, and the mean begins again with the frame. Nothing of later frames is used.

Motion is looked for in the grey values :math:`x_t` of the frame before the network, and their mean
:math:`a_{t-1}` over the same earlier frames, by blocks of 4 x 4 pixels:

- *Strong motion*: the mean of :math:`x_t - a_{t-1}` over 3 x 3 blocks, and that of its square, are
  compared with what noise alone would give. The noise is the weaker one of two robust estimates:
  from the finest diagonal details of the frame (D. Donoho and I. Johnstone, "Ideal spatial
  adaptation by wavelet shrinkage", 1994), which is too high for a texture, and from the squares
  themselves, which is too high for a moving camera.
- *Motion that noise hides*: where an image shifts, :math:`x_t - a_{t-1}` follows the gradient of
  :math:`a_{t-1}` (B. Lucas and T. Kanade, "An iterative image registration technique with an
  application to stereo vision", 1981), so that their products add up over 17 x 17 blocks.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["TemporalAverage"]

MOST_FRAMES = 8
BLOCK_PX = 4
NEAR, FAR = 3, 17  # sides of the windows of both tests, in blocks
STILL, MOVES = 3.0, 6.0  # standard errors
FINEST = 1 / 255  # noise below a step of 8 bits does not count
MAD = 0.6745  # median of absolute values over the standard deviation, of normal noise

_Floats = NDArray[Any]


class TemporalAverage:
    """The mean of the denoised frames up to now, where nothing moved.

    Attributes:
        still: Share of the latest frame that was still, from 0 to 1.
    """

    def __init__(self) -> None:
        self.still = 0.0
        self._grey: _Floats | None = None  # mean of the frames before the network
        self._mean: _Floats | None = None
        self._counts = np.ones((1, 1), np.float32)  # of each block

    def __call__(self, pixels: NDArray[np.uint8], denoised: _Floats) -> _Floats:
        """Return the mean after the next frame; a frame of another size begins again.

        Args:
            pixels: The frame before the network, of shape (h, w, 3).
            denoised: The same behind it, of shape (h, w) or (h, w, c).

        Returns:
            An array like ``denoised``.
        """
        grey = pixels @ np.full(3, 1 / (3 * 255), np.float32)
        if self._grey is None or self._mean is None or self._mean.shape != denoised.shape:
            self._counts, self.still = np.ones_like(_reduced(grey, BLOCK_PX)), 0.0
            self._grey, self._mean = grey, denoised
            return denoised
        still = _without_strong_motion(grey, self._grey, self._counts)
        still = still * _without_hidden_motion(grey, self._grey, still)
        self._counts = 1 + still * np.minimum(self._counts, MOST_FRAMES - 1)
        self.still = float(still.mean())
        share = _of_pixels(1 / self._counts, *grey.shape)
        self._grey = _mixed(self._grey, grey, share)
        channels = share if denoised.ndim == 2 else share[:, :, np.newaxis]
        self._mean = _mixed(self._mean, denoised, channels)
        return self._mean


def _without_strong_motion(grey: _Floats, before: _Floats, counts: _Floats) -> _Floats:
    """Return for each block from 0 (it moves) to 1 (it is still).

    The block that moves most among its neighbours decides, so that edges of moving objects leave no
    trail.
    """
    difference = grey - before
    growth = 1 + 1 / counts  # of the variance: that of the frame, and that of the mean
    squares = _reduced(difference**2, BLOCK_PX) / growth
    sigma = max(FINEST, min(_sigma_of_details(grey), float(np.sqrt(np.median(squares)))))
    num_pixels = (BLOCK_PX * NEAR) ** 2
    means = _window_sums(_reduced(difference, BLOCK_PX) / np.sqrt(growth), NEAR) / NEAR**2
    by_means = np.abs(means) * num_pixels**0.5 / sigma
    by_squares = _window_sums(squares, NEAR) / NEAR**2 / sigma**2 - 1
    deviation = np.maximum(by_means, by_squares * (num_pixels / 2) ** 0.5)
    return _certainty(_window_maxima(deviation))


def _without_hidden_motion(grey: _Floats, before: _Floats, still: _Floats) -> _Floats:
    """Return the same by the gradient; what moves strongly counts less, up to not at all."""
    earlier = _reduced(before, 2)
    difference = _reduced(grey, 2) - earlier
    padded = np.pad(earlier, 1, mode="edge")
    deviation = np.zeros_like(still)
    for gradient in (padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]):
        products = gradient * difference
        total = _window_sums(still * _reduced(products, 2), FAR)
        spread = np.sqrt(np.maximum(_window_sums(still * _reduced(products**2, 2), FAR), 0))
        # A block has four products, of which these are the means.
        deviation = np.maximum(deviation, 2 * np.abs(total) / np.maximum(spread, 1e-9))
    return _certainty(deviation)


def _mixed(mean: _Floats, latest: _Floats, share: _Floats) -> _Floats:
    """Return a mean that has moved towards the latest values by a share of the way."""
    moved: _Floats = latest - mean
    moved *= share  # in place: frames are large
    moved += mean
    return moved


def _certainty(deviation: _Floats) -> _Floats:
    """Return how sure it is that nothing moves, from a deviation in standard errors."""
    return np.clip((MOVES - deviation) / (MOVES - STILL), 0, 1).astype(np.float32)


def _sigma_of_details(grey: _Floats) -> float:
    """Return the noise's standard deviation by the finest diagonal details, a little too high."""
    height, width = (side // 2 * 2 for side in grey.shape)
    if not height or not width:
        return float("inf")
    upper, lower = grey[:height:2, :width], grey[1:height:2, :width]
    details = (upper[:, ::2] - upper[:, 1::2] - lower[:, ::2] + lower[:, 1::2]) / 2
    return float(np.median(np.abs(details))) / MAD


def _reduced(values: _Floats, factor: int) -> _Floats:
    """Return the means of squares of so many pixels; those at the edges may be smaller."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).reduce(factor))


def _of_pixels(blocks: _Floats, height: int, width: int) -> _Floats:
    image = Image.fromarray(blocks.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _window_sums(blocks: _Floats, side: int) -> _Floats:
    """Return the sums over square windows; a block at an edge stands for those beyond it."""
    before, after = side // 2 + 1, side // 2
    for _ in range(2):  # down the columns, and then, transposed, along the rows
        padded = np.pad(blocks, ((before, after), (0, 0)), mode="edge")
        sums = padded.cumsum(0, dtype=np.float64)
        blocks = (sums[side:] - sums[:-side]).T
    return np.asarray(blocks)


def _window_maxima(blocks: _Floats) -> _Floats:
    """Return the largest values of 3 x 3 blocks."""
    for _ in range(2):
        padded = np.pad(blocks, ((1, 1), (0, 0)), mode="edge")
        blocks = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:]).T
    return blocks
