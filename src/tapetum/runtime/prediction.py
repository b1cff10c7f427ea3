"""The prediction for one image."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError
from tapetum.images import DecodedImage

__all__ = ["UNKNOWN", "Prediction", "labels_of", "require_labels"]

UNKNOWN = "unknown"
"""The label where no class is probable enough."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one image.

    Attributes:
        denoised: The denoised image, with the depth and the alpha of the noisy one; None if it was
            not requested, or is neither grey nor RGB.
        pixels: The output of the network as an array in [0, 1], of the height and width of the
            image. The shape is (h, w, c), or (h, w) for grey; an array of shape (h, w, 1) gives
            the same shape back. Alpha is composited over the background of the preparation. None
            if not requested.
        labels: The most probable class of the image, or of each box; ``unknown`` where it is less
            probable than ``reject_below``; empty if not requested.
        probabilities: Shape (1, classes) for an image, (k, classes) for boxes; each row sums to 1.
            None if not requested.
        class_names: The class of each column of the probabilities.
        top_k: How many classes :attr:`by_class` lists; None for all.
        passes: How often the image went through the network: twice where the label needs another
            size than the denoised image. The tiles of a pass are not counted.
        label_size_px: Height and width of the image from which the label was made; None without
            labels.
        prepare_ms: Time to convert, composite and resize the image, without reading a file, in
            milliseconds.
        latency_ms: Time in the network, all passes together, in milliseconds.
        tiled: Whether the image was cut into tiles to denoise it or to classify its boxes.
        brightness: The mean value of what each label is made from, where white is 1: the image as
            the network sees it, or the box.
        warnings: Sentences on what was guessed, clipped, converted or dropped, and on an image that
            is darker or brighter than those of the training.
    """

    denoised: DecodedImage | None
    pixels: NDArray[np.float32] | None
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32] | None
    class_names: tuple[str, ...]
    top_k: int | None
    passes: int
    label_size_px: tuple[int, int] | None
    prepare_ms: float
    latency_ms: float
    tiled: bool
    brightness: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str | None:
        """The label of the image, or of its only box."""
        return self.labels[0] if len(self.labels) == 1 else None

    @property
    def confidence(self) -> float | None:
        """The probability of the most probable class of the image, or of its only box."""
        return self.confidences[0] if len(self.labels) == 1 else None

    @property
    def confidences(self) -> tuple[float, ...]:
        """The probability of the most probable class, for each label."""
        if self.probabilities is None:
            return ()
        return tuple(self.probabilities.max(axis=1).tolist())

    @property
    def by_class(self) -> tuple[dict[str, float], ...]:
        """The probability of each class by its name, most probable first, for each label."""
        if self.probabilities is None:
            return ()
        orders = np.argsort(-self.probabilities, axis=1, kind="stable")[:, : self.top_k]
        return tuple(
            {self.class_names[index]: float(row[index]) for index in order}
            for row, order in zip(self.probabilities, orders, strict=True)
        )


def labels_of(
    probabilities: NDArray[np.float32], class_names: Sequence[str], reject_below: float
) -> tuple[str, ...]:
    """Return the most probable class of each row, or ``unknown`` below a probability."""
    return tuple(
        class_names[index] if row[index] >= reject_below else UNKNOWN
        for row, index in zip(probabilities, probabilities.argmax(axis=1), strict=True)
    )


def require_labels(outputs: Collection[str], given: Mapping[str, bool]) -> None:
    """Refuse options of labels where no label is computed.

    Args:
        outputs: What the network computes.
        given: Whether each option, by its name on the command line, was given.

    Raises:
        InputError: An option was given in vain.
    """
    for option, is_given in given.items():
        if is_given and "logits" not in outputs:
            raise InputError(f"{option} has no effect: no label is computed", "leave it out")
