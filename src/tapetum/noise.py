r"""Noise models, and the two protocols that store a noisy image.

With :math:`x` a clean value in [0, 1] and :math:`n \sim \mathcal N(0, 1)`, drawn for every pixel
and channel:

.. math::
    \text{gaussian}         &: y = x + \sigma n
        & \mathrm E[y] &= x & \mathrm{Var}[y] &= \sigma^2 \\
    \text{poisson-gaussian} &: y = g P + \sigma n,\; P \sim \mathrm{Poisson}(x / g)
        & \mathrm E[y] &= x & \mathrm{Var}[y] &= g x + \sigma^2 \\
    \text{speckle}          &: y = x + \sigma x n
        & \mathrm E[y] &= x & \mathrm{Var}[y] &= \sigma^2 x^2 \\
    \text{salt-and-pepper}  &: y = 0,\, 1,\, x \text{ with probability }
                               \tfrac p2,\, \tfrac p2,\, 1 - p
        & \mathrm E[y] &= (1 - p) x + \tfrac p2
        & \mathrm{Var}[y] &= (1 - p) x^2 + \tfrac p2 - \mathrm E[y]^2

The protocol ``benchmark`` keeps :math:`y` as a float, also outside [0, 1], as the paper does. The
protocol ``camera`` clips it to [0, 1] and rounds it to 8 bits, as in a file from a device. Scores
under the two protocols cannot be compared.

References:
    Pushing Joint Image Denoising and Classification to the Edge
    (Markhorst, van Gemert, Kayhan, 2024), https://arxiv.org/abs/2409.08943, sections 3 and 4.

    Practical Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data
    (Foi, Trimeche, Katkovnik, Egiazarian, 2008), https://doi.org/10.1109/TIP.2008.2001399.
"""

import hashlib
from collections.abc import Iterable, Mapping
from operator import index
from typing import Annotated, Any, Literal, Self, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, model_validator

from tapetum.errors import DataError, InputError, nearest
from tapetum.records import Record, faults_are_ours

__all__ = [
    "PAPER_SIGMAS",
    "Gaussian",
    "Noise",
    "NoisePlan",
    "PoissonGaussian",
    "Protocol",
    "add_noise",
    "generator_for",
    "generator_for_image",
    "parse_noise",
]

NoiseKind = Literal["gaussian", "poisson-gaussian", "speckle", "salt-and-pepper"]
Protocol = Literal["benchmark", "camera"]

# Noise of five times the whole range hides everything: larger values mean the scale 0 to 255.
Sigma = Annotated[float, Field(ge=0, le=5)]
# Below, white is more than 1e12 photons, and numpy's counter of 64 bits could overflow.
Gain = Annotated[float, Field(ge=1e-12, le=5)]
Fraction = Annotated[float, Field(ge=0, le=1)]

_Pixels = NDArray[np.float32]

PAPER_SIGMAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""The noise levels of the paper's controlled study (section 3)."""


class _Model(Record):
    """A noise model; ``kind`` comes first, then its numbers."""

    kind: str

    def describe(self) -> str:
        """Return the noise in words, such as ``gaussian 0.2``."""
        numbers = self.model_dump(exclude={"kind"}).values()
        return f"{self.kind} {', '.join(f'{number:g}' for number in numbers)}"

    @property
    def is_nothing(self) -> bool:
        """Whether it leaves every image as it is."""
        return not any(self.model_dump(exclude={"kind"}).values())


class Gaussian(_Model):
    r"""White noise of one strength everywhere: :math:`y = x + \sigma n`.

    Args:
        sigma: Standard deviation, on the scale of the image, 0 to 1.
    """

    kind: Literal["gaussian"] = "gaussian"
    sigma: Sigma

    def corrupt(self, clean: _Pixels, generator: np.random.Generator) -> _Pixels:
        """Return the noisy values, not clipped, in a new array."""
        noisy = generator.standard_normal(clean.shape, dtype=np.float32)
        noisy *= self.sigma
        noisy += clean
        return noisy


class PoissonGaussian(_Model):
    r"""Photon noise and read-out noise: :math:`y = g P + \sigma n`.

    Args:
        gain: Value :math:`g` of one photon; white is :math:`1 / g` photons.
        sigma: Standard deviation :math:`\sigma` of the read-out.
    """

    kind: Literal["poisson-gaussian"] = "poisson-gaussian"
    gain: Gain
    sigma: Sigma

    def corrupt(self, clean: _Pixels, generator: np.random.Generator) -> _Pixels:
        """Return the noisy values, not clipped, in a new array."""
        # Resampled images may undershoot black, but there is no negative light.
        expected = np.maximum(clean, 0).astype(np.float64) / self.gain
        noisy = generator.standard_normal(clean.shape, dtype=np.float32)
        noisy *= self.sigma
        noisy += (generator.poisson(expected) * self.gain).astype(np.float32)
        return noisy


class Speckle(_Model):
    r"""Noise proportional to the light, as of coherent waves: :math:`y = x + \sigma x n`.

    Args:
        sigma: Standard deviation :math:`\sigma` where the image is white.
    """

    kind: Literal["speckle"] = "speckle"
    sigma: Sigma

    def corrupt(self, clean: _Pixels, generator: np.random.Generator) -> _Pixels:
        """Return the noisy values, not clipped, in a new array."""
        noisy = generator.standard_normal(clean.shape, dtype=np.float32)
        noisy *= self.sigma
        noisy += 1
        noisy *= clean
        return noisy


class SaltAndPepper(_Model):
    """Dead and saturated values: half of the corrupted values become 0, the other half 1.

    Args:
        fraction: Share of corrupted values; pixels and channels are independent.
    """

    kind: Literal["salt-and-pepper"] = "salt-and-pepper"
    fraction: Fraction

    def corrupt(self, clean: _Pixels, generator: np.random.Generator) -> _Pixels:
        """Return the noisy values in a new array."""
        lot = generator.random(clean.shape, dtype=np.float32)
        noisy = clean.copy()
        noisy[lot < self.fraction / 2] = 0
        noisy[lot >= 1 - self.fraction / 2] = 1
        return noisy


Noise = Annotated[Gaussian | PoissonGaussian | Speckle | SaltAndPepper, Field(discriminator="kind")]

_MODELS: Mapping[str, type[_Model]] = {
    model.model_fields["kind"].default: model
    for model in (Gaussian, PoissonGaussian, Speckle, SaltAndPepper)
}


class NoisePlan(Record):
    r"""The noise of a training: one kind, with a level that is drawn for each image.

    With :math:`u` uniform in [0, 1], the level is

    .. math:: \text{low} + (\text{high} - \text{low})\, u^\text{power}

    Attributes:
        kind: Kind of the noise.
        levels: The levels, of which each is as likely; None for a range.
        low: The weakest level of a range: sigma, or the fraction of salt-and-pepper.
        high: The strongest level of a range.
        power: 1 draws all levels of the range equally often; 2 draws weak noise more often.
        clean: Share of the images that get no noise at all.
        gain: Value of one photon, for ``poisson-gaussian`` only.
        protocol: How a noisy image is stored.
    """

    kind: NoiseKind = "gaussian"
    levels: Annotated[tuple[Sigma, ...], Field(min_length=1)] | None = None
    low: Sigma | None = None
    high: Sigma | None = None
    power: Annotated[float, Field(ge=1, le=8)] = 1.0
    clean: Fraction = 0.0
    gain: Gain | None = None
    protocol: Protocol = "benchmark"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the noise of a training.

        Args:
            text: ``KIND:LOW-HIGH``, such as ``gaussian:0-0.5``, or one level, ``speckle:0.1``;
                ``poisson-gaussian:GAIN,LOW-HIGH`` begins with the gain.

        Raises:
            InputError: The text is not such a noise.
        """
        kind, _, numbers = text.strip().rpartition(":")
        gain, _, levels = numbers.rpartition(",")
        low, _, high = levels.partition("-")
        fields = {"kind": kind or "gaussian", "low": low, "high": high or low, "gain": gain or None}
        remedy = "write gaussian:0-0.5 or poisson-gaussian:0.01,0-0.1"
        with faults_are_ours(f"{text!r} is not a noise for training", remedy):
            return cls.model_validate(fields)

    def replaced(self, text: str) -> Self:
        """Return the plan with the noise of a text, drawn in the proportions of this plan.

        Args:
            text: A noise that :meth:`parse` reads, such as ``gaussian:0-0.5``.

        Raises:
            InputError: The text is not such a noise.
        """
        kept = {"power": self.power, "clean": self.clean, "protocol": self.protocol}
        return self.parse(text).model_copy(update=kept)

    def describe(self) -> str:
        """Return the noise in words, such as ``gaussian 0 to 0.5, 10% of the images without``."""
        if self.levels is not None:
            shown = ", ".join(f"{level:g}" for level in self.levels)
        else:
            low, high = self._bounds
            shown = f"{low:g} to {high:g}" if low < high else f"{low:g}"
        often = ", weak noise more often" if self.power > 1 and self.levels is None else ""
        clean = f", {self.clean:.0%} of the images without" if self.clean else ""
        return f"{self.kind} {shown}{often}{clean}"

    def draw(self, generator: np.random.Generator) -> Noise:
        """Draw a noise at a random level, or none."""
        if self.clean and generator.random() < self.clean:
            return Gaussian(sigma=0.0)
        if self.levels is not None:
            return self.at(self.levels[generator.integers(len(self.levels))])
        low, high = self._bounds
        return self.at(low + (high - low) * generator.random() ** self.power)

    def at(self, level: float) -> Noise:
        """Return the noise at one level."""
        match self.kind:
            case "gaussian":
                return Gaussian(sigma=level)
            case "poisson-gaussian":
                return PoissonGaussian(gain=cast("float", self.gain), sigma=level)  # validated
            case "speckle":
                return Speckle(sigma=level)
            case "salt-and-pepper":
                return SaltAndPepper(fraction=level)

    def spread(self, count: int = 6) -> list[Noise]:
        """Return the noises to score: all levels, or ``count`` over the range, with its ends.

        Each step between them is as likely in training: weak noise has more levels where it is
        drawn more often. Equal noises are one.
        """
        levels: Iterable[float] = self.levels or ()
        if self.levels is None:
            low, high = self._bounds
            shares = np.linspace(0, 1, count) ** self.power
            levels = (round(float(low + (high - low) * share), 4) for share in shares)
        return [self.at(level) for level in dict.fromkeys(levels)]

    @property
    def strongest(self) -> Noise:
        """The noise at the highest level."""
        return self.at(max(self.levels or self._bounds))

    def validated(self) -> list[Noise]:
        """Return the noises of a quick validation: all levels, or five over the range."""
        return self.spread(5)

    @property
    def _bounds(self) -> tuple[float, float]:
        return cast("float", self.low), cast("float", self.high)  # validated without levels

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        faults = self._level_faults()
        if (self.kind == "poisson-gaussian") != (self.gain is not None):
            faults.append(f"{self.kind} {'needs a' if self.gain is None else 'has no'} gain")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _level_faults(self) -> list[str]:
        bounds = [level for level in (self.low, self.high) if level is not None]
        if len(bounds) == 1 or bool(bounds) == (self.levels is not None):
            return ["give either levels, or both low and high"]
        faults = []
        if bounds and bounds[0] > bounds[1]:
            faults.append(f"low is {bounds[0]:g} but high is {bounds[1]:g}: swap them")
        strongest = max(self.levels or bounds)
        if self.kind == "salt-and-pepper" and strongest > 1:
            faults.append(f"a fraction of {strongest:g} is above 1")
        return faults


def add_noise(
    clean: NDArray[Any],
    noise: Noise,
    generator: np.random.Generator,
    *,
    protocol: Protocol = "benchmark",
) -> NDArray[np.float32]:
    """Corrupt an image, or a batch of images at one level.

    Args:
        clean: Floats in [0, 1], of any shape; not changed.
        noise: The model and its level.
        generator: Random generator; its state advances.
        protocol: ``benchmark`` keeps floats outside [0, 1], ``camera`` clips and rounds to 8 bits.

    Returns:
        The noisy image, float32, in a new array of the same shape.

    Raises:
        DataError: The image holds integers, whose scale is unknown.
    """
    if clean.dtype.kind != "f":
        raise DataError(
            f"noise is added to floats in [0, 1], but this image holds {clean.dtype}",
            "divide the image by its white value first",
        )
    noisy = noise.corrupt(clean.astype(np.float32, copy=False), generator)
    if protocol == "camera":
        np.clip(noisy, 0, 1, out=noisy)
        noisy *= 255
        np.rint(noisy, out=noisy)
        noisy /= 255
    return noisy


def generator_for(*key: SupportsIndex) -> np.random.Generator:
    """Return a new random generator that depends on ``key`` alone.

    Equal keys give equal numbers, so a resumed run needs no saved random state. Other keys (also of
    another length or order) give independent numbers. SFC64 is numpy's fastest generator of normal
    numbers.

    Args:
        key: Integers from 0 to 2**64 - 1, such as seed, epoch, index and a number for the purpose.

    Raises:
        InputError: An integer is out of that range.
    """
    # SeedSequence cannot tell (1,) from (1, 0): each number gets 64 bits, behind the length.
    entropy = len(key)
    for part in key:
        number = index(part)
        if not 0 <= number < 1 << 64:
            problem = f"{number} cannot seed a random generator"
            raise InputError(problem, "choose from 0 to 2**64 - 1")
        entropy = entropy << 64 | number
    return np.random.Generator(np.random.SFC64(entropy))


def generator_for_image(pixels: NDArray[np.float32], seed: int) -> np.random.Generator:
    """Return the generator of the noise that is added to an image to score or show it.

    It depends on the values of the image, and so neither on its name nor on the images beside it:
    scoring and prediction, of a whole folder or of a part, see the same noise.

    Args:
        pixels: The image; its bytes count.
        seed: Random seed.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=8).digest()
    return generator_for(seed, int.from_bytes(digest))


def parse_noise(text: str) -> Noise:
    """Parse a noise.

    Args:
        text: ``KIND:NUMBERS``, such as ``gaussian:0.2``, ``poisson-gaussian:0.01,0.02`` (gain, then
            sigma), ``speckle:0.1`` or ``salt-and-pepper:0.05``; a number alone is the sigma of
            ``gaussian``.

    Raises:
        InputError: The text is not a noise.
    """
    kind, _, numbers = text.strip().rpartition(":")
    kind = kind or "gaussian"
    if kind not in _MODELS:
        raise InputError(f"there is no noise {kind!r}", nearest(kind, _MODELS))
    names = [name for name in _MODELS[kind].model_fields if name != "kind"]
    parts = [part.strip() for part in numbers.split(",")]
    if len(parts) != len(names):
        raise InputError(
            f"noise {text!r} has {len(parts)} numbers, but {kind} takes {' and '.join(names)}",
            f"write {kind}:{','.join(names).upper()}",
        )
    remedy = "write 0.2 or speckle:0.1; levels are on the scale 0 to 1, so 25 of 255 is 0.098"
    with faults_are_ours(f"{text!r} is not a noise", remedy):
        fields = {"kind": kind, **dict(zip(names, parts, strict=True))}
        noise: Noise = TypeAdapter(Noise).validate_python(fields)
    return noise
