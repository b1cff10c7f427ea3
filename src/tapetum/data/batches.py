"""Images and their noise as batches of tensors.

The noise of an image, its level too, depends on seed, epoch and the index of the image alone.
So neither the size of a batch, nor the number of processes, nor a resumed run can change what a
network sees.

Where a set brings its own noisy images (a paired folder) these are taken as they are, and the
noise that was asked for is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from tapetum.data.dataset import ImageDataset, Samples
from tapetum.errors import DataError
from tapetum.noise import Noise, NoisePlan, Protocol, add_noise, generator_for

__all__ = ["Batch", "evaluation_batches", "steps_per_epoch", "training_batches"]

_SHUFFLE_KEY = 2  # its own number, so that the order shares no draws with noise (see generator_for)

_AddNoise = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


class Batch(NamedTuple):
    """What a training step or a score needs.

    Args:
        noisy: The input; outside [0, 1] too under the protocol ``benchmark``.
        clean: The truth, in [0, 1].
        labels: Of whole images, (b,), or of boxes, (b, k); None where nothing is labelled.
        boxes: Left, top, right, bottom in pixels; None where labels belong to whole images.
    """

    noisy: Float[Tensor, "b c h w"]
    clean: Float[Tensor, "b c h w"]
    labels: Int[Tensor, "b ..."] | None
    boxes: Float[Tensor, "b k 4"] | None


def steps_per_epoch(images: ImageDataset, batch_size: int) -> int:
    """How many whole batches a set holds; the last incomplete one is dropped.

    Raises:
        DataError: The set does not fill one batch.
    """
    if not 1 <= batch_size <= len(images):
        raise DataError(
            f"batches of {batch_size:,} cannot be made of {len(images):,} images",
            f"choose a batch size from 1 to {len(images):,}",
        )
    return len(images) // batch_size


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
) -> Iterator[Batch]:
    """One epoch of shuffled, noisy batches, or one process's share of it.

    Args:
        images: Where they come from.
        plan: Which noise is drawn for each image.
        batch_size: Images a step, of all processes together.
        seed: With the epoch it decides order, crops, flips and noise.
        epoch: The pass over the set, from 0.
        first_step: Steps to leave out, where a run is resumed.
        rank: Which process this is, from 0.
        world_size: How many processes share a batch; each gets a contiguous part.

    Raises:
        DataError: The set does not fill one batch, or the processes cannot share it evenly.
    """
    steps = range(first_step, steps_per_epoch(images, batch_size))
    if batch_size % world_size:
        raise DataError(
            f"a batch of {batch_size} cannot be shared by {world_size} processes",
            f"choose a batch size that is a multiple of {world_size}",
        )
    order = generator_for(seed, epoch, _SHUFFLE_KEY, 0).permutation(len(images))
    share = batch_size // world_size

    def corrupt(clean: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        generator = generator_for(seed, epoch, index)
        return add_noise(clean, plan.draw(generator), generator, protocol=plan.protocol)

    def batch(step: int) -> Batch:
        start = step * batch_size + rank * share
        indices = order[start : start + share].tolist()
        clean = images.take(indices, epoch=epoch, seed=seed, train=True)
        return _to_batch(clean, indices, corrupt)

    return (batch(step) for step in steps)


def evaluation_batches(
    images: ImageDataset, noise: Noise, *, protocol: Protocol, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Every image once, in order, with noise that is the same at every call.

    Args:
        images: Where they come from.
        noise: What is added to each.
        protocol: What is kept of the noisy images.
        batch_size: Images a batch; the last one may hold fewer.
        seed: Decides the noise.

    Raises:
        DataError: The batch size is below 1.
    """
    if batch_size < 1:
        raise DataError(f"a batch of {batch_size} holds nothing", "choose at least 1")

    def corrupt(clean: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        return add_noise(clean, noise, generator_for(seed, index), protocol=protocol)

    def batch(start: int) -> Batch:
        indices = list(range(start, min(start + batch_size, len(images))))
        clean = images.take(indices, epoch=0, seed=seed, train=False)
        return _to_batch(clean, indices, corrupt)

    return (batch(start) for start in range(0, len(images), batch_size))


def _to_batch(clean: Samples, indices: Sequence[int], corrupt: _AddNoise) -> Batch:
    noisy = clean.noisy
    if noisy is None:
        noisy = np.stack(
            [corrupt(image, index) for image, index in zip(clean.images, indices, strict=True)]
        )
    return Batch(
        noisy=torch.from_numpy(noisy),
        clean=torch.from_numpy(clean.images),
        labels=None if clean.labels is None else torch.from_numpy(clean.labels),
        boxes=None if clean.boxes is None else torch.from_numpy(clean.boxes),
    )
