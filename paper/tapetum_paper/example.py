"""One image that every network of a study denoises, stored with its result for the figures.

All networks get the same image with the same noise, in 8 bits: values outside [0, 1] are clipped.
"""

import base64
import io
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor

from tapetum.data import Dataset
from tapetum.noise import Gaussian
from tapetum.records import Record
from tapetum.report import png_of
from tapetum.training import Batch, Predict, evaluation_batches

__all__ = ["DIGIT_SIGMAS", "IMAGE_SIGMAS", "Example", "clean_example", "decoded", "denoise_batch"]

DIGIT_SIGMAS = (0.8,)  # the paper's, in figure 3
IMAGE_SIGMAS = (0.1, 0.2)  # and in figure 8
PLACE, SEED = 0, 1  # the first validation image; a seed that no score uses

Png = Annotated[str, Field(description="PNG of one image, grey or RGB, in base64")]


class Example(Record):
    """One image before and after denoising.

    Attributes:
        sigma: Standard deviation of the noise, on the scale of [0, 1].
        noisy: Input of the network.
        denoised: Output of the network.
        truth: The image before the noise.
    """

    sigma: float
    noisy: Png
    denoised: Png
    truth: Png


def clean_example(predict: Predict, images: Dataset, sigma: float) -> Example:
    """Denoise the image.

    Args:
        predict: The network.
        images: The dataset; its validation part contains the image.
        sigma: Standard deviation of the noise, on the scale of [0, 1].
    """
    batch = next(
        evaluation_batches(
            images.validation.subset([PLACE]),
            Gaussian(sigma=sigma),
            protocol="benchmark",
            batch_size=1,
            seed=SEED,
        )
    )
    denoised = denoise_batch(predict, batch)
    return Example(
        sigma=sigma,
        noisy=_encoded(batch.noisy),
        denoised=_encoded(denoised),
        truth=_encoded(batch.clean),
    )


def denoise_batch(predict: Predict, batch: Batch) -> Tensor:
    """Return the images that a network which denoises makes of a batch."""
    boxes = None if batch.boxes is None else batch.boxes.numpy()
    denoised, _ = predict(batch.noisy.numpy(), boxes)
    assert denoised is not None  # noqa: S101  (whoever calls this has a network that denoises)
    return torch.from_numpy(np.ascontiguousarray(denoised))


def decoded(png: str) -> NDArray[np.uint8]:
    """Return the image of an example, shape (h, w), or (h, w, 3) in colour."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def _encoded(images: Tensor) -> str:
    """Return the first image as PNG."""
    return base64.b64encode(png_of(images[0].numpy())).decode()
