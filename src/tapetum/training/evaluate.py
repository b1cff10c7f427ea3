"""Scores of anything that denoises or classifies noisy images, one row for each noise level.

A :data:`Predict` is a plain function: a torch network (:func:`network_predict`), a package under
ONNX Runtime, or a classical filter.  All get the same noisy images, since the noise depends on the
seed and on the index of the image alone.
"""

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum import metrics, noise
from tapetum.data import ImageDataset
from tapetum.errors import InputError
from tapetum.nn import TrainableNetwork
from tapetum.progress import ProgressCallback
from tapetum.scores import ScoreRow, Scores
from tapetum.training.batches import Batch, evaluation_batches
from tapetum.training.process import training_device

__all__ = ["Predict", "evaluate", "network_predict"]

_NO_NOISE = noise.Gaussian(sigma=0)

Array = NDArray[np.float32]
Predict = Callable[[Array, Array | None], tuple[Array | None, Array | None]]
"""(noisy images (b, c, h, w), boxes (b, k, 4) in pixels or ``None``) -> (denoised images of the
same shape or ``None``, logits (b, classes) or (b, k, classes) or ``None``)."""


def evaluate(
    predict: Predict,
    images: ImageDataset,
    noises: Sequence[noise.Noise | None],
    *,
    protocol: noise.Protocol = "benchmark",
    batch_size: int = 64,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Scores:
    """Return the scores of ``predict`` on every image at every noise level.

    Args:
        predict: Denoises, classifies, or both.
        images: Clean images, with labels where labels are scored.
        noises: The levels; ``None`` for images that have noisy versions of their own.
        protocol: How a noisy image is stored.
        batch_size: Images in one call of ``predict``.
        seed: Seed of the noise.
        progress: Called after each batch.

    Raises:
        InputError: There is no noise level, or no image.
        DataError: Images are too small for SSIM.
    """
    if not noises or not len(images):
        raise InputError(
            f"cannot score {len(images)} images on {len(noises)} noise levels",
            "give at least one of each",
        )
    per_level = math.ceil(len(images) / batch_size)
    rows: list[ScoreRow] = []
    for place, level in enumerate(noises):
        tally = _Tally()
        batches = evaluation_batches(
            images, level or _NO_NOISE, protocol=protocol, batch_size=batch_size, seed=seed
        )
        for done, batch in enumerate(batches, start=place * per_level + 1):
            tally.add(batch, *_predict_batch(predict, batch))
            if progress is not None:
                message = f"scoring, noise level {place + 1} of {len(noises)}"
                progress(done, per_level * len(noises), message)
        rows.append(tally.row(level))
    return Scores(
        protocol=protocol, seed=seed, source=images.source, rows=tuple(rows), mean=_mean(rows)
    )


def network_predict(network: TrainableNetwork) -> Predict:
    """Return a function for :func:`evaluate` that runs a copy of a torch network.

    The copy runs in evaluation mode on the device where networks are trained; its outputs are
    float32.  The network itself is not changed.
    """
    device = training_device()
    scored = copy.deepcopy(network).to(device).eval()

    @torch.inference_mode()
    def predict(noisy: Array, boxes: Array | None) -> tuple[Array | None, Array | None]:
        places = None if boxes is None else torch.from_numpy(boxes).to(device)
        outputs = scored(torch.from_numpy(noisy).to(device), places)
        return _to_numpy(outputs.image), _to_numpy(outputs.logits)

    return predict


class _Tally:
    """The scores of one noise level so far; images themselves are not kept."""

    def __init__(self) -> None:
        self.scores: dict[str, list[NDArray[np.float64]]] = {}
        self.probabilities: list[NDArray[np.float64]] = []
        self.labels: list[NDArray[np.int64]] = []
        self.num_images = 0

    def add(self, batch: Batch, denoised: Array | None, logits: Array | None) -> None:
        clean = batch.clean.numpy()
        self.num_images += len(clean)
        self._compare("noisy_", batch.noisy.numpy(), clean)
        if denoised is not None:
            self._compare("", denoised, clean)
        if logits is not None and batch.labels is not None:
            self.probabilities.append(_softmax(logits.reshape(-1, logits.shape[-1])))
            self.labels.append(batch.labels.numpy().ravel())

    def _compare(self, prefix: str, images: Array, clean: Array) -> None:
        shown = images.clip(0, 1)
        self.scores.setdefault(f"{prefix}psnr_db", []).append(metrics.psnr(shown, clean))
        self.scores.setdefault(f"{prefix}ssim", []).append(metrics.ssim(shown, clean))

    def row(self, level: noise.Noise | None) -> ScoreRow:
        scores = {name: float(np.concatenate(parts).mean()) for name, parts in self.scores.items()}
        title = "as given" if level is None else level.describe()
        if self.labels:
            shares, labels = np.concatenate(self.probabilities), np.concatenate(self.labels)
            confusion = metrics.confusion_matrix(shares, labels)
            scores["accuracy"] = metrics.accuracy(confusion)
            scores["macro_accuracy"] = metrics.macro_accuracy(confusion)
            scores["calibration_error"] = metrics.expected_calibration_error(shares, labels)
        return ScoreRow(title=title, noise=level, num_images=self.num_images, **scores)


def _predict_batch(predict: Predict, batch: Batch) -> tuple[Array | None, Array | None]:
    """Return the denoised images and the logits of a batch."""
    boxes = None if batch.boxes is None else batch.boxes.numpy()
    return predict(batch.noisy.numpy(), boxes)


def _softmax(logits: Array) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _mean(rows: Sequence[ScoreRow]) -> ScoreRow:
    means: dict[str, float | None] = {}
    for name in ScoreRow.model_fields.keys() - {"title", "noise", "num_images"}:
        values = [getattr(row, name) for row in rows]
        means[name] = None if None in values else float(np.mean(values))
    return ScoreRow(title="mean", noise=None, num_images=rows[0].num_images, **means)


def _to_numpy(output: Tensor | None) -> Array | None:
    return None if output is None else output.float().cpu().numpy()
