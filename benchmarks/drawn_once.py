"""Pictures whose noise is drawn once, for scripts that ask what else the paper may have done.

For ``table_7_accuracy.py`` and ``noise_drawn_once.py``.
"""

from collections.abc import Sequence

import numpy as np

from tapetum.data import Clean, PictureSet
from tapetum.noise import NoisePlan, add_noise, generator_for

_ONCE = 7  # its own number, so that noise drawn once shares no draws with that of an epoch


class DrawnOnce:
    """Pictures that are as noisy in every epoch (a :class:`PictureSet`).

    Args:
        pictures: Clean ones.
        plan: Which noise is drawn.
    """

    def __init__(self, pictures: PictureSet, plan: NoisePlan) -> None:
        self.channels = pictures.channels
        self.class_names = pictures.class_names
        self.source = f"{pictures.source}, with noise that is drawn once"
        self._pictures, self._plan = pictures, plan

    def __len__(self) -> int:
        return len(self._pictures)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Clean:
        """Some pictures with their noise; see :meth:`PictureSet.take`."""
        clean = self._pictures.take(indices, epoch=epoch, seed=seed, train=train)
        noisy = []
        for picture, index in zip(clean.pictures, indices, strict=True):
            generator = generator_for(seed, index, _ONCE)
            noise = self._plan.draw(generator)
            noisy.append(add_noise(picture, noise, generator, protocol=self._plan.protocol))
        return clean._replace(noisy=np.stack(noisy))
