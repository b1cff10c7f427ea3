"""What is scored: anything that denoises or classifies one image at a time."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tapetum.images import DecodedImage
from tapetum.provenance import usable_cores
from tapetum.runtime import Package, Predictor, Preparation

__all__ = ["Answer", "PackageSubject", "Subject"]

_Floats = NDArray[np.float32]


class Answer(NamedTuple):
    """The outputs for one image.

    Attributes:
        pixels: The denoised image, shape (c, h, w), in [0, 1]; None where there is none.
        probabilities: Shape (1, classes), or (k, classes) for boxes; None without labels.
    """

    pixels: _Floats | None
    probabilities: _Floats | None


@runtime_checkable
class Subject(Protocol):
    """A network that can be scored."""

    @property
    def preparation(self) -> Preparation:
        """How an image becomes the input of the network."""

    @property
    def threads(self) -> int:
        """Number of images to predict at once."""

    def predict(
        self, image: DecodedImage, boxes: _Floats | None, *, with_image: bool = True
    ) -> Answer:
        """Return the outputs for one image.

        Args:
            image: The noisy image, at its own resolution.
            boxes: Shape (k, 4), in pixels; None where the label belongs to the whole image.
            with_image: Whether the denoised image is needed.
        """


class PackageSubject:
    """A package, run by the :class:`tapetum.runtime.Predictor` that a device uses.

    Threads predict one image each, which is faster than threads that share an image, and as fast
    as can be beside other processes.

    Args:
        package: An opened package.
        threads: Inference threads; by default one per core.
    """

    def __init__(self, package: Package, *, threads: int | None = None) -> None:
        self.threads = usable_cores() if threads is None else threads
        self._both = Predictor(package, threads=1)
        self._label = self._both
        if package.manifest.classifies and package.manifest.denoises:
            self._label = Predictor(package, threads=1, mode="label")

    @property
    def preparation(self) -> Preparation:
        """How an image becomes the input of the network."""
        return self._both.manifest.preparation

    def predict(
        self, image: DecodedImage, boxes: _Floats | None, *, with_image: bool = True
    ) -> Answer:
        """Return the outputs for one image; see :meth:`Subject.predict`."""
        predictor = self._both if with_image else self._label
        found = predictor(image, boxes=boxes if predictor.takes_boxes else None)
        pixels = found.pixels
        if pixels is not None:
            pixels = pixels[np.newaxis] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        return Answer(pixels, found.probabilities)
