"""Torch networks in the forms in which they are scored and shown.

A network with an architecture is scored as the package that it becomes. Only networks of others
need :class:`NetworkSubject`. A :data:`Predict` runs batches for reports.
"""

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum import metrics
from tapetum.evaluation import Answer
from tapetum.images import DecodedImage
from tapetum.nn import TrainableNetwork
from tapetum.runtime import Preparation
from tapetum.training.process import training_device

__all__ = ["NetworkSubject", "Predict", "network_predict"]

Array = NDArray[np.float32]
Predict = Callable[[Array, Array | None], tuple[Array | None, Array | None]]
"""(noisy images (b, c, h, w), boxes (b, k, 4) in pixels or ``None``) -> (denoised images of the
same shape or ``None``, logits (b, classes) or (b, k, classes) or ``None``)."""


def network_predict(network: TrainableNetwork, *, temperature: float = 1.0) -> Predict:
    """Return a function that runs a copy of a torch network on batches.

    The copy runs in evaluation mode on the device where networks are trained; its outputs are
    float32.  The network itself is not changed.

    Args:
        network: The network.
        temperature: What its logits are divided by.
    """
    device = training_device()
    scored = copy.deepcopy(network).to(device).eval()

    @torch.inference_mode()
    def predict(noisy: Array, boxes: Array | None) -> tuple[Array | None, Array | None]:
        places = None if boxes is None else torch.from_numpy(boxes).to(device)
        outputs = scored(torch.from_numpy(noisy).to(device), places)
        logits = None if outputs.logits is None else outputs.logits / temperature
        return _to_numpy(outputs.image), _to_numpy(logits)

    return predict


class NetworkSubject:
    """A torch network for :func:`tapetum.evaluation.score`; outputs are as those of a package.

    Args:
        network: The network; a copy of it is run.
        preparation: How an image becomes its input.
        temperature: What its logits are divided by.
    """

    threads = 1  # torch shares the work on one image among threads of its own

    def __init__(
        self, network: TrainableNetwork, preparation: Preparation, *, temperature: float = 1.0
    ) -> None:
        self.preparation = preparation
        self._classifies = network.architecture.classifies
        self._predict = network_predict(network, temperature=temperature)

    def predict(
        self, image: DecodedImage, boxes: Array | None, *, with_image: bool = True
    ) -> Answer:
        """Return the outputs for one image; see :meth:`tapetum.evaluation.Subject.predict`."""
        pixels = self.preparation.colours(image)
        if not self._classifies or self.preparation.fits(*pixels.shape[1:]):
            denoised, logits = self._run(pixels, boxes)
        else:
            _, logits = self._run(self.preparation.resized(pixels), boxes)
            denoised = self._run(pixels, boxes)[0] if with_image else None
        return Answer(
            None if denoised is None else denoised[0].clip(0, 1),
            None if logits is None else metrics.softmax(logits.reshape(-1, logits.shape[-1])),
        )

    def _run(self, pixels: Array, boxes: Array | None) -> tuple[Array | None, Array | None]:
        places = None if boxes is None else boxes[np.newaxis]
        return self._predict(np.ascontiguousarray(pixels[np.newaxis]), places)


def _to_numpy(output: Tensor | None) -> Array | None:
    return None if output is None else output.float().cpu().numpy()
