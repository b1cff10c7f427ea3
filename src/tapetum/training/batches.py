"""Batches of clean and noisy images as tensors.

The noise of an image and its level depend on seed, epoch and index alone. The batch size, the
number of processes and a resumed run therefore do not change what a network sees. A paired dataset
brings its own noisy images.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from tapetum.data import ImageDataset, Samples
from tapetum.errors import DataError
from tapetum.noise import Noise, NoisePlan, Protocol, add_noise, generator_for
from tapetum.training.sampler import Draw, draws_of_pass

__all__ = ["Batch", "evaluation_batches", "training_batches"]

_AddNoise = Callable[[NDArray[np.float32], Any], NDArray[np.float32]]


class Batch(NamedTuple):
    """One batch of a training step or an evaluation.

    Args:
        noisy: The input; under the protocol ``benchmark`` also outside [0, 1].
        clean: The target, in [0, 1].
        labels: Labels of whole images, (b,), or of boxes, (b, k); None without labels.
        boxes: Left, top, right, bottom in pixels; None where labels belong to whole images.
    """

    noisy: Float[Tensor, "b c h w"]
    clean: Float[Tensor, "b c h w"]
    labels: Int[Tensor, "b ..."] | None
    boxes: Float[Tensor, "b k 4"] | None

    def halved(self) -> "Batch":
        """Return the images at half their size, an odd last row or column left out.

        Four clean pixels become their mean. That would make the noise half as strong, so one value
        of four is kept of it instead.
        """
        clean = avg_pool2d(self.clean, 2)
        height, width = clean.shape[-2:]
        noise = (self.noisy - self.clean)[..., : 2 * height : 2, : 2 * width : 2]
        boxes = None if self.boxes is None else self.boxes / 2
        return self._replace(noisy=clean + noise, clean=clean, boxes=boxes)


def training_batches(
    images: ImageDataset,
    plan: NoisePlan,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    first_step: int = 0,
    rank: int = 0,
    world_size: int = 1,
    weights: Sequence[float] = (),
) -> Iterator[Batch]:
    """Iterate over one epoch of shuffled, noisy batches, or over the share of one process.

    Args:
        images: The training images.
        plan: The noise that is drawn for each image.
        batch_size: Images in a step, over all processes.
        seed: With the epoch, decides order, crops, flips and noise.
        epoch: The number of the pass over the dataset, from 0.
        first_step: Steps to skip when a run is resumed.
        rank: The number of this process, from 0.
        world_size: Number of processes that share a batch; each gets a contiguous part.
        weights: How often an image of each class is drawn, in proportion; empty for each image
            once in an epoch.

    Raises:
        DataError: The dataset does not fill one batch, the processes cannot share it evenly, or
            images without labels have weights.
    """
    steps = range(first_step, images.num_batches(batch_size))
    if batch_size % world_size:
        raise DataError(
            f"a batch of {batch_size} cannot be shared by {world_size} processes",
            f"choose a batch size that is a multiple of {world_size}",
        )
    draws = draws_of_pass(images, seed=seed, epoch=epoch, weights=weights)
    share = batch_size // world_size

    def corrupt(clean: NDArray[np.float32], draw: Draw) -> NDArray[np.float32]:
        generator = generator_for(seed, draw.epoch, draw.image)
        return add_noise(clean, plan.draw(generator), generator, protocol=plan.protocol)

    def batch(step: int) -> Batch:
        start = step * batch_size + rank * share
        drawn = draws[start : start + share]
        return _to_batch(_taken(images, drawn, seed), drawn, corrupt)

    return (batch(step) for step in steps)


def _taken(images: ImageDataset, draws: Sequence[Draw], seed: int) -> Samples:
    """Return the images of some draws, in their order."""
    epochs = np.array([draw.epoch for draw in draws])
    parts, places = [], []
    for epoch in np.unique(epochs).tolist():
        where = np.flatnonzero(epochs == epoch)
        indices = [draws[place].image for place in where.tolist()]
        parts.append(images.take(indices, epoch=epoch, seed=seed, train=True))
        places.append(where)
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate(places))
    joined: dict[str, Any] = {}
    for name, column in zip(Samples._fields, zip(*parts, strict=True), strict=True):
        joined[name] = None if column[0] is None else np.concatenate(column)[order]
    return Samples(**joined)


def evaluation_batches(
    images: ImageDataset, noise: Noise, *, protocol: Protocol, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Iterate over every image once, in order, with noise that is the same at every call.

    Args:
        images: The images.
        noise: The noise to add to each image.
        protocol: How noisy images are stored.
        batch_size: Images in a batch; the last batch may hold fewer.
        seed: Random seed of the noise.

    Raises:
        DataError: The batch size is below 1.
    """
    if batch_size < 1:
        raise DataError(f"the batch size is {batch_size}", "choose at least 1")

    def corrupt(clean: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        return add_noise(clean, noise, generator_for(seed, index), protocol=protocol)

    def batch(start: int) -> Batch:
        indices = list(range(start, min(start + batch_size, len(images))))
        clean = images.take(indices, epoch=0, seed=seed, train=False)
        return _to_batch(clean, indices, corrupt)

    return (batch(start) for start in range(0, len(images), batch_size))


def _to_batch(clean: Samples, drawn: Sequence[Any], corrupt: _AddNoise) -> Batch:
    noisy = clean.noisy
    if noisy is None:
        noisy = np.stack(list(map(corrupt, clean.images, drawn)))
    return Batch(
        noisy=torch.from_numpy(noisy),
        clean=torch.from_numpy(clean.images),
        labels=None if clean.labels is None else torch.from_numpy(clean.labels),
        boxes=None if clean.boxes is None else torch.from_numpy(clean.boxes),
    )
