"""Images whose noise is drawn once, for scripts that ask what else the paper may have done.

For ``table_7_accuracy.py`` and ``noise_drawn_once.py``.
"""

from collections.abc import Sequence

import numpy as np

from tapetum.data import ImageDataset, Samples
from tapetum.noise import NoisePlan, add_noise, generator_for

_ONCE = 7  # its own number, so that noise drawn once shares no draws with that of an epoch


class DrawnOnce(ImageDataset):
    """Images that are as noisy in every epoch (a :class:`ImageDataset`).

    Args:
        images: Clean ones.
        plan: Which noise is drawn.
    """

    def __init__(self, images: ImageDataset, plan: NoisePlan) -> None:
        self.channels = images.channels
        self.class_names = images.class_names
        self.source = f"{images.source}, with noise that is drawn once"
        self._images, self._plan = images, plan

    def __len__(self) -> int:
        return len(self._images)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Some images with their noise; see :meth:`ImageDataset.take`."""
        clean = self._images.take(indices, epoch=epoch, seed=seed, train=train)
        noisy = []
        for image, index in zip(clean.images, indices, strict=True):
            generator = generator_for(seed, index, _ONCE)
            noise = self._plan.draw(generator)
            noisy.append(add_noise(image, noise, generator, protocol=self._plan.protocol))
        return clean._replace(noisy=np.stack(noisy))
