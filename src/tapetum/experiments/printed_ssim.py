"""SSIM as the paper seems to have taken it: with a data range of 2.

Pictures lie on [0, 1], so that their range is 1, which is what Tapetum scores with.  Older versions
of scikit-image take 2 where they are given floats and no range, since floats may go from -1 to 1.
The paper does not say which it used; but networks here that reach the PSNR of its table 8 at a
sigma also reach the SSIM of that table there if, and only if, the range is 2
(docs/reproduction.md).  So we report both.
"""

from collections.abc import Iterator, Sequence

import torch

from tapetum import metrics
from tapetum.data import PictureSet, evaluation_batches
from tapetum.noise import Gaussian
from tapetum.progress import ProgressCallback
from tapetum.training import Predict, predict_batch

__all__ = ["ssim_as_printed"]

BATCH_SIZE = 64
DATA_RANGE = 2.0


def ssim_as_printed(
    predict: Predict, pictures: PictureSet, sigmas: Sequence[float], *, progress: ProgressCallback
) -> dict[float, float]:
    """The mean SSIM at each sigma, with a data range of 2.

    Args:
        predict: Cleans.
        pictures: To score on, with the noise of the other scores.
        sigmas: Noise levels, on the scale of [0, 1].
        progress: Is told of each level.
    """
    found = {}
    for index, sigma in enumerate(sigmas):
        progress(index, len(sigmas), "SSIM with a data range of 2")
        found[sigma] = float(torch.cat(list(_similarities(predict, pictures, sigma))).mean())
    progress(len(sigmas), len(sigmas), "SSIM with a data range of 2")
    return found


def _similarities(predict: Predict, pictures: PictureSet, sigma: float) -> Iterator[torch.Tensor]:
    for batch in evaluation_batches(
        pictures, Gaussian(sigma=sigma), protocol="benchmark", batch_size=BATCH_SIZE, seed=0
    ):
        cleaned, _ = predict_batch(predict, batch)
        assert cleaned is not None  # noqa: S101  (whoever calls this has a network that cleans)
        # SSIM depends on values over range alone: halved pictures on 1 are pictures on 2.
        shown = cleaned.clamp(0, 1)
        yield metrics.ssim(shown / DATA_RANGE, batch.clean / DATA_RANGE)
