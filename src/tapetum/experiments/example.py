"""One picture that every network of a study cleans, kept with its result so that it can be drawn.

The same picture with the same noise for all, on 8 bits: values outside [0, 1] are cut off.
"""

import base64
import io
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor

from tapetum.data import Selection, evaluation_batches
from tapetum.fit import Pictures
from tapetum.noise import Gaussian
from tapetum.records import Record
from tapetum.report import png_of
from tapetum.training import Predict, predict_batch

__all__ = ["DIGIT_SIGMAS", "PICTURE_SIGMAS", "Example", "clean_example", "decoded"]

DIGIT_SIGMAS = (0.8,)  # the paper's, in figure 3
PICTURE_SIGMAS = (0.1, 0.2)  # and in figure 8
PLACE, SEED = 0, 1  # the first validation picture; noise that no score has seen

Png = Annotated[str, Field(description="PNG of one picture, grey or RGB, in base64")]


class Example(Record):
    """One picture before and after.

    Attributes:
        sigma: Of the noise, on the scale of [0, 1].
        noisy: What the network was given.
        cleaned: What it returned.
        truth: The picture before the noise.
    """

    sigma: float
    noisy: Png
    cleaned: Png
    truth: Png


def clean_example(predict: Predict, pictures: Pictures, sigma: float) -> Example:
    """Cleans the picture.

    Args:
        predict: Cleans.
        pictures: The validation part has the picture.
        sigma: Of the noise, on the scale of [0, 1].
    """
    batch = next(
        evaluation_batches(
            Selection(pictures.validation, [PLACE]),
            Gaussian(sigma=sigma),
            protocol="benchmark",
            batch_size=1,
            seed=SEED,
        )
    )
    cleaned, _ = predict_batch(predict, batch)
    assert cleaned is not None  # noqa: S101  (whoever calls this has a network that cleans)
    return Example(
        sigma=sigma,
        noisy=_encoded(batch.noisy),
        cleaned=_encoded(cleaned),
        truth=_encoded(batch.clean),
    )


def decoded(png: str) -> NDArray[np.uint8]:
    """The picture of an example, shape (h, w), or (h, w, 3) in colour."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def _encoded(pictures: Tensor) -> str:
    """The first picture."""
    return base64.b64encode(png_of(pictures[0].numpy())).decode()
