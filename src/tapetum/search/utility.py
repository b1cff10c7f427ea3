r"""Which of several trained candidates is best, in one number, and how certain that is.

A network that is better in one score and worse in the other has to be weighed. Both scores are
measured in the same currency: what one doubling of the latency would have bought here,

.. math:: u = w \, \frac{\text{accuracy}}{a} + (1 - w) \, \frac{\text{PSNR}}{p}

with :math:`a` and :math:`p` the accuracy and the decibels of a doubling
(:data:`DOUBLING_ACCURACY`, :data:`DOUBLING_DB`) and :math:`w` the weight that the user prefers. So
a difference of 1 is worth half of the milliseconds. The accuracy is averaged over classes: a
network that always says the most frequent class is worth little.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.search.judge import Measures

__all__ = ["SEED_ACCURACY", "SEED_DB", "Place", "Prefer", "order", "score_weights", "utilities"]

Prefer = Literal["label", "balanced", "image"]

_LABEL_WEIGHTS: dict[Prefer, float] = {"label": 0.8, "balanced": 0.5, "image": 0.2}

TIED_ERRORS = 1.5
"""Standard errors of a tie; the best of several is ahead by one of them by chance often."""

SEED_ACCURACY = 0.0125
SEED_DB = 0.05
"""Standard deviation of both scores over the seeds of a training (Imagenette at 64 px)."""

DOUBLING_ACCURACY = 0.014
DOUBLING_DB = 0.35
"""What a network of twice the latency is better by in both scores.

Measured on Imagenette at 64 px, where five times the latency bought 3.3 points and 0.6 to 0.9 dB
after the same number of epochs.
"""


def score_weights(prefer: Prefer, *, labels: bool, images: bool) -> tuple[float, float]:
    """Return the utility of an accuracy of 1, and that of a decibel.

    Args:
        prefer: The score that counts more.
        labels: Whether there is an accuracy; without it the PSNR alone counts.
        images: Whether there is a PSNR; without it the accuracy alone counts.
    """
    weight = _LABEL_WEIGHTS[prefer] if labels and images else float(labels)
    return weight / DOUBLING_ACCURACY, (1 - weight) / DOUBLING_DB


class Place(NamedTuple):
    """A candidate in an order.

    Args:
        name: Name of the candidate.
        behind: How much the best one is ahead, in doublings of the latency.
        behind_error: Standard error of that: from the images that both were judged on, and from
            the seeds of both trainings.
    """

    name: str
    behind: float
    behind_error: float

    @property
    def is_tied(self) -> bool:
        """Whether it may as well be the best: it is behind by 1.5 standard errors at most."""
        return self.behind <= TIED_ERRORS * self.behind_error


def utilities(measures: Measures, *, prefer: Prefer) -> NDArray[np.float64]:
    """Return the utility of each image, whose mean is that of the network.

    A network with one score alone, or images without labels, are judged by that score alone.
    """
    labels, images = measures.balanced is not None, measures.decibels is not None
    per_accuracy, per_db = score_weights(prefer, labels=labels, images=images)
    total = np.zeros(measures.num_images)
    if measures.balanced is not None:
        total += per_accuracy * np.asarray(measures.balanced)
    if measures.decibels is not None:
        total += per_db * np.asarray(measures.decibels)
    return total


def order(measured: Mapping[str, Measures], *, prefer: Prefer) -> tuple[Place, ...]:
    """Return the candidates from the best to the worst; of equal ones the first comes first.

    Args:
        measured: Scores of each candidate by its name, on the same images.
        prefer: The score that counts four times as much as the other; ``balanced`` for neither.
    """
    each = {name: utilities(one, prefer=prefer) for name, one in measured.items()}
    names = sorted(each, key=lambda name: -each[name].mean())  # stable
    places = []
    for name in names:
        ahead = each[names[0]] - each[name]
        of_images = ahead.std(ddof=1) / math.sqrt(len(ahead)) if len(ahead) > 1 else 0.0
        of_seeds = _seed_error(measured[name], prefer)
        error = math.hypot(of_images, math.sqrt(2) * of_seeds)
        places.append(Place(name, float(ahead.mean()), error))
    return tuple(places)


def _seed_error(measures: Measures, prefer: Prefer) -> float:
    """Return by how much another seed of the training would change the utility."""
    labels, images = measures.balanced is not None, measures.decibels is not None
    per_accuracy, per_db = score_weights(prefer, labels=labels, images=images)
    return math.hypot(per_accuracy * SEED_ACCURACY, per_db * SEED_DB)
