"""SSIM with a data range of 2, which the paper seems to use.

Images lie in [0, 1], so their range is 1, which Tapetum uses.  Older versions of scikit-image use 2
for floats without a stated range.  The paper does not say which it used.  Networks that reach the
PSNR of table 8 also reach its SSIM if, and only if, the range is 2 (docs/reproduction.md).  So we
report both.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tapetum import metrics
from tapetum.data import ImageDataset
from tapetum.noise import Gaussian
from tapetum.progress import ProgressCallback
from tapetum.training import Predict, evaluation_batches
from tapetum_paper.example import denoise_batch

__all__ = ["ssim_as_printed"]

BATCH_SIZE = 64
DATA_RANGE = 2.0


def ssim_as_printed(
    predict: Predict, images: ImageDataset, sigmas: Sequence[float], *, progress: ProgressCallback
) -> dict[float, float]:
    """Return the mean SSIM at each sigma, with a data range of 2.

    Args:
        predict: The network.
        images: Images to score on, with the noise of the other scores.
        sigmas: Noise levels, on the scale of [0, 1].
        progress: Receives the progress of each level.
    """
    found = {}
    for index, sigma in enumerate(sigmas):
        progress(index, len(sigmas), "SSIM with a data range of 2")
        found[sigma] = float(np.concatenate(list(_similarities(predict, images, sigma))).mean())
    progress(len(sigmas), len(sigmas), "SSIM with a data range of 2")
    return found


def _similarities(
    predict: Predict, images: ImageDataset, sigma: float
) -> Iterator[NDArray[np.float64]]:
    for batch in evaluation_batches(
        images, Gaussian(sigma=sigma), protocol="benchmark", batch_size=BATCH_SIZE, seed=0
    ):
        denoised = denoise_batch(predict, batch)
        # SSIM depends only on value over range: halving the images doubles the range.
        shown = denoised.clamp(0, 1).numpy()
        yield metrics.ssim(shown / DATA_RANGE, batch.clean.numpy() / DATA_RANGE)
