"""Two classical filters that need no training, as a yardstick for a network.

References:
    | Adaptive Wavelet Thresholding for Image Denoising and Compression
    | (Chang, Yu, Vetterli, 2000), https://doi.org/10.1109/83.862633

    | A Non-Local Algorithm for Image Denoising (Buades, Coll, Morel, 2005)
    | https://doi.org/10.1109/CVPR.2005.38
"""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum import metrics

__all__ = ["FILTERED_IMAGES", "FILTERS", "gains_of_filters", "has_filters"]

FILTERED_IMAGES = 10
"""Number of images of each noise level on which the filters are run; they take a fifth of a second
each at most."""

WINDOW_PX = 128  # the middle of each image
SMALLEST_PX = 16  # below, a wavelet has no room

_Floats = NDArray[np.float32]


def has_filters() -> bool:
    """Whether the packages of the filters are installed (``tapetum[train]`` has them)."""
    return all(find_spec(name) is not None for name in ("skimage", "pywt"))


def gains_of_filters(noisy: _Floats, denoised: _Floats, clean: _Floats) -> dict[str, float]:
    """Return by how many dB each filter is better than a network on the middle of an image.

    Args:
        noisy: The noisy image, shape (c, h, w).
        denoised: What the network made of it.
        clean: The clean image.

    Returns:
        PSNR of the filter less that of the network, by name, where both are finite; empty for
        images that are too small.
    """
    if min(clean.shape[1:]) < SMALLEST_PX:
        return {}
    noisy, denoised, clean = (_middle(image) for image in (noisy, denoised, clean))
    ours = _psnr_db(denoised, clean)
    gains = {name: _psnr_db(run(noisy), clean) - ours for name, run in FILTERS.items()}
    return {name: gain for name, gain in gains.items() if np.isfinite(gain)}


def wavelet(noisy: _Floats) -> _Floats:
    """Return an image (c, h, w) after BayesShrink, colours as luma and chroma."""
    return _run(
        _restoration().denoise_wavelet, noisy, rescale_sigma=True, convert2ycbcr=len(noisy) == 3
    )


def non_local_means(noisy: _Floats) -> _Floats:
    """Return an image (c, h, w) after non-local means, its strength from the estimated noise."""
    restoration = _restoration()
    sigma = float(np.mean(restoration.estimate_sigma(np.moveaxis(noisy, 0, -1), channel_axis=-1)))
    settings = {"patch_size": 5, "patch_distance": 6, "fast_mode": True}
    return _run(restoration.denoise_nl_means, noisy, h=0.8 * sigma, sigma=sigma, **settings)


FILTERS: dict[str, Callable[[_Floats], _Floats]] = {
    "wavelet": wavelet,
    "non-local means": non_local_means,
}


def _restoration() -> Any:
    from skimage import restoration  # slow, and optional

    return restoration


def _run(
    denoise: Callable[..., NDArray[Any]], noisy: _Floats, **settings: object
) -> NDArray[np.float32]:
    # A flat image has no noise to estimate, and a small one few wavelet levels: both warn.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = denoise(np.moveaxis(noisy, 0, -1), channel_axis=-1, **settings)
    # One channel is dropped by some.
    return np.moveaxis(found.reshape(*noisy.shape[1:], -1), -1, 0).astype(np.float32)


def _middle(image: _Floats) -> _Floats:
    height, width = image.shape[1:]
    top, left = max(0, height - WINDOW_PX) // 2, max(0, width - WINDOW_PX) // 2
    return image[:, top : top + WINDOW_PX, left : left + WINDOW_PX]


def _psnr_db(image: _Floats, clean: _Floats) -> float:
    return float(metrics.psnr(image[np.newaxis], clean[np.newaxis])[0])
