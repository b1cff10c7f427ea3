"""The range of each value in int8: where it comes from, and what it loses.

``min-max`` takes all numbers. ``percentile`` leaves out the outermost ones, since a wider range has
larger steps for all others. ``auto`` tries both, and keeps the one that loses less.
"""

from collections import defaultdict
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import PackageError
from tapetum.records import Record, faults_are_ours
from tapetum.runtime import Manifest

__all__ = [
    "MOST_DB",
    "MOST_POINTS",
    "CalibrationMethod",
    "Numbers",
    "RangeChoice",
    "RangeLoss",
    "RangeMethod",
]

RangeMethod = Literal["percentile", "min-max"]
CalibrationMethod = Literal["auto", "percentile", "min-max"]

KEPT_NUMBERS = 2000  # of a value, from each image
OUTLIERS = 0.01  # per cent of the numbers on each side
MOST_POINTS, MOST_DB = 0.5, 0.1  # a larger loss is seen

_Floats = NDArray[np.float32]


class Numbers:
    """Some numbers of each value, and its smallest and largest one.

    Args:
        generator: Chooses the numbers that are kept.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._kept: dict[str, list[_Floats]] = defaultdict(list)
        self._ends: dict[str, list[np.floating]] = defaultdict(list)

    def add(self, name: str, value: _Floats) -> None:
        """Add what a value is for one image.

        Raises:
            PackageError: It holds numbers that are not finite.
        """
        if not np.isfinite(value).all():
            raise PackageError(
                "the network makes numbers that are not finite", "train or export it again"
            )
        places = self._generator.integers(0, value.size, KEPT_NUMBERS)
        self._kept[name].append(value.ravel()[places])
        self._ends[name] += [value.min(), value.max()]

    def ranges(self, method: RangeMethod) -> dict[str, tuple[float, float]]:
        """Return the range of each value."""
        if method == "min-max":
            return {name: (float(min(ends)), float(max(ends))) for name, ends in self._ends.items()}
        cut = {
            name: np.percentile(np.concatenate(numbers), (OUTLIERS, 100 - OUTLIERS))
            for name, numbers in self._kept.items()
        }
        return {name: (float(low), float(high)) for name, (low, high) in cut.items()}


class RangeLoss(Record):
    """What int8 with some ranges loses against fp32.

    Attributes:
        db: PSNR, in dB, of images of at most 40 dB each; None without an image.
        points: Per cent of the labels that become other ones; None without labels.
    """

    db: float | None = None
    points: float | None = None

    def size(self, num_images: int) -> float:
        """Both in one number: 1 for each that is as large as it may be, or for one label."""
        most_points = max(MOST_POINTS, 100 / num_images)
        return max(self.db or 0, 0) / MOST_DB + (self.points or 0) / most_points

    @property
    def text(self) -> str:
        """What changes, in words."""
        found = [] if self.db is None else [f"the PSNR by {-self.db:+z.3f} dB"]
        found += [] if self.points is None else [f"{self.points:.1f} % of the labels"]
        return " and ".join(found)


class RangeChoice(Record):
    """How a network was put into int8.

    Attributes:
        method: Where the ranges come from.
        float_ends: Whether the first and the last layers stay in float.
        num_images: Noisy images that were looked at.
        losses: What each method loses on them, where several were compared.
    """

    method: str
    float_ends: bool
    num_images: int
    losses: dict[RangeMethod, RangeLoss]

    @classmethod
    def of(cls, manifest: Manifest) -> "RangeChoice | None":
        """Return what the manifest of a network in int8 says."""
        found = manifest.provenance.get("int8")
        with faults_are_ours(f"{manifest.name} does not say how it was put into int8"):
            return None if found is None else cls.model_validate(found)

    def noted_in(self, manifest: Manifest) -> Manifest:
        """Return a manifest that says it."""
        origin = manifest.provenance | {"int8": self.model_dump(mode="json")}
        return manifest.model_copy(update={"provenance": origin})

    @property
    def text(self) -> str:
        """How it was done, in one sentence."""
        losses = {str(name): loss for name, loss in self.losses.items()}
        used = losses.pop(self.method, None)
        text = f"int8 is calibrated by {self.method}"
        if used is not None:
            others = "".join(f" ({name} {loss.text})" for name, loss in losses.items())
            text += f", which changes {used.text} on {self.num_images} noisy images{others}"
        return text if self.float_ends else f"{text}; the first and last layers are in int8 too"
