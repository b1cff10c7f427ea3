r"""What corrupts an image: four models of noise, and how a corrupted image is stored.

With :math:`x` a clean value in [0, 1] and :math:`n \sim \mathcal N(0, 1)`, drawn anew for every
pixel and channel:

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

Two protocols say what is kept of :math:`y`.  ``benchmark`` keeps it as it is, a float outside
[0, 1] too, as the paper does.  ``camera`` clips it to [0, 1] and rounds it to 8 bits, as a file
from a device would be.  Scores under the two do not compare.

Randomness comes in as a generator.  :func:`generator_for` makes one from a few integers, such as
seed, epoch and index, so that the noise of an image depends on these alone.

References:
    Pushing Joint Image Denoising and Classification to the Edge
    (Markhorst, van Gemert, Kayhan, 2024), https://arxiv.org/abs/2409.08943, sections 3 and 4.

    Practical Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data
    (Foi, Trimeche, Katkovnik, Egiazarian, 2008), https://doi.org/10.1109/TIP.2008.2001399.
"""

from collections.abc import Mapping
from operator import index
from typing import Annotated, Any, Literal, Self, SupportsIndex, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from tapetum.errors import DataError, InputError, nearest
from tapetum.records import Record, faults_are_ours

__all__ = [
    "PAPER_SIGMAS",
    "Gaussian",
    "Noise",
    "NoiseKind",
    "NoisePlan",
    "PoissonGaussian",
    "Protocol",
    "SaltAndPepper",
    "Speckle",
    "add_noise",
    "describe_noise",
    "generator_for",
    "parse_noise",
    "parse_noise_plan",
    "parse_protocol",
]

NoiseKind = Literal["gaussian", "poisson-gaussian", "speckle", "salt-and-pepper"]
Protocol = Literal["benchmark", "camera"]

# Noise five times as strong as the whole range hides everything: whoever asks for more means the
# scale of 0 to 255.
Sigma = Annotated[float, Field(ge=0, le=5)]
# Below, white would be more than 1e12 photons and numpy's counter of 64 bits could overflow.
Gain = Annotated[float, Field(ge=1e-12, le=5)]
Fraction = Annotated[float, Field(ge=0, le=1)]

PAPER_SIGMAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""The levels on which the paper trains and tests its controlled study (section 3)."""


class Gaussian(Record):
    r"""White noise of one strength everywhere: :math:`y = x + \sigma n`.

    Args:
        sigma: The standard deviation :math:`\sigma`, on the scale of the image, 0 to 1.
    """

    kind: Literal["gaussian"] = "gaussian"
    sigma: Sigma

    def corrupt(
        self, clean: NDArray[np.float32], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """The noisy values, not clipped, in a new array of the same shape."""
        noisy = generator.standard_normal(clean.shape, dtype=np.float32)
        noisy *= self.sigma
        noisy += clean
        return noisy


class PoissonGaussian(Record):
    r"""Counted photons and a noisy read-out: :math:`y = g P + \sigma n`.

    Args:
        gain: The value :math:`g` of one photon; white is :math:`1 / g` photons.
        sigma: The standard deviation :math:`\sigma` of the read-out.
    """

    kind: Literal["poisson-gaussian"] = "poisson-gaussian"
    gain: Gain
    sigma: Sigma

    def corrupt(
        self, clean: NDArray[np.float32], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """The noisy values, not clipped, in a new array of the same shape."""
        # Resampled images may undershoot black, but there is no light below none.
        expected = np.maximum(clean, 0).astype(np.float64) / self.gain
        noisy = generator.standard_normal(clean.shape, dtype=np.float32)
        noisy *= self.sigma
        noisy += (generator.poisson(expected) * self.gain).astype(np.float32)
        return noisy


class Speckle(Record):
    r"""Noise in proportion to the light, as of coherent waves: :math:`y = x + \sigma x n`.

    Args:
        sigma: The standard deviation :math:`\sigma` where the image is white.
    """

    kind: Literal["speckle"] = "speckle"
    sigma: Sigma

    def corrupt(
        self, clean: NDArray[np.float32], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """The noisy values, not clipped, in a new array of the same shape."""
        noisy = generator.standard_normal(clean.shape, dtype=np.float32)
        noisy *= self.sigma
        noisy += 1
        noisy *= clean
        return noisy


class SaltAndPepper(Record):
    """Dead and saturated values: half of the corrupted ones become 0, the other half 1.

    Args:
        fraction: The share of corrupted values, each pixel and channel on its own.
    """

    kind: Literal["salt-and-pepper"] = "salt-and-pepper"
    fraction: Fraction

    def corrupt(
        self, clean: NDArray[np.float32], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """The noisy values in a new array of the same shape."""
        lot = generator.random(clean.shape, dtype=np.float32)
        noisy = clean.copy()
        noisy[lot < self.fraction / 2] = 0
        noisy[lot >= 1 - self.fraction / 2] = 1
        return noisy


Noise = Annotated[Gaussian | PoissonGaussian | Speckle | SaltAndPepper, Field(discriminator="kind")]

_MODELS: Mapping[str, type[Record]] = {
    "gaussian": Gaussian,
    "poisson-gaussian": PoissonGaussian,
    "speckle": Speckle,
    "salt-and-pepper": SaltAndPepper,
}


class NoisePlan(Record):
    """Which noise a training sees: one kind, its level drawn anew for each image.

    The level is sigma, or the fraction of salt-and-pepper.  It is drawn from ``levels``, each as
    likely, or uniformly from ``low`` to ``high``.

    Args:
        kind: The model of noise.
        levels: The levels to draw from; null where ``low`` and ``high`` are given.
        low: The lowest level.
        high: The highest level.
        gain: The value of one photon, for ``poisson-gaussian`` and for no other.
        protocol: What is kept of the noisy image.
    """

    kind: NoiseKind = "gaussian"
    levels: Annotated[tuple[Sigma, ...], Field(min_length=1)] | None = None
    low: Sigma | None = None
    high: Sigma | None = None
    gain: Gain | None = None
    protocol: Protocol = "benchmark"

    def draw(self, generator: np.random.Generator) -> Noise:
        """One noise of this kind, at a random level."""
        if self.levels is not None:
            return self.at(self.levels[generator.integers(len(self.levels))])
        # Validated: a plan without levels has both bounds.
        low, high = cast("float", self.low), cast("float", self.high)
        return self.at(generator.uniform(low, high))

    def at(self, level: float) -> Noise:
        """The noise of this kind at one level."""
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
        """The noises to score at: all levels, or ``count`` of their range, its ends included."""
        if self.levels is not None:
            return [self.at(level) for level in self.levels]
        bounds = (cast("float", self.low), cast("float", self.high))  # validated
        return [self.at(round(float(level), 4)) for level in np.linspace(*bounds, count)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        faults = [*self._level_faults(), *self._gain_faults()]
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
            faults.append(f"{strongest:g} is more than the whole image: fractions end at 1")
        return faults

    def _gain_faults(self) -> list[str]:
        if (self.kind == "poisson-gaussian") == (self.gain is not None):
            return []
        return [f"{self.kind} {'has no gain' if self.gain is not None else 'needs a gain'}"]


def add_noise(
    clean: NDArray[Any],
    noise: Noise,
    generator: np.random.Generator,
    *,
    protocol: Protocol = "benchmark",
) -> NDArray[np.float32]:
    """Spoils an image, or a batch of them at one level.

    Args:
        clean: Floats in [0, 1], of any shape; left as it is.
        noise: The model and its level.
        generator: Where the randomness comes from; it moves on.
        protocol: ``benchmark`` keeps floats outside [0, 1], ``camera`` clips and rounds to 8 bits.

    Returns:
        The noisy image, float32, in a new array of the same shape.

    Raises:
        DataError: The image holds integers, whose scale nobody knows.
    """
    if clean.dtype.kind != "f":
        raise DataError(
            f"noise is added to floats in [0, 1], this image holds {clean.dtype}",
            "divide it by its white value first",
        )
    noisy = noise.corrupt(clean.astype(np.float32, copy=False), generator)
    if protocol == "camera":
        np.clip(noisy, 0, 1, out=noisy)
        noisy *= 255
        np.rint(noisy, out=noisy)
        noisy /= 255
    return noisy


def generator_for(*key: SupportsIndex) -> np.random.Generator:
    """A fresh generator that depends on ``key`` alone.

    The same key gives the same numbers, so a resumed run needs no saved random state; keys that
    differ in anything, their length or order too, give independent ones.  Two uses of one key
    see the same numbers: where an image needs randomness for several purposes, draw all of it
    from one generator, or give each purpose a number of its own in the key.

    A generator takes about 9 µs to make.  SFC64 is the fastest of numpy's to draw normals
    (9,216 of them in 72 µs, against 79 µs for PCG64 and 95 µs for Philox), and seeding it takes no
    longer than seeding the others.

    Args:
        key: Integers from 0 to 2**64 - 1, such as seed, epoch and index.

    Raises:
        InputError: One of them is out of that range.
    """
    # SeedSequence itself takes (1,) for (1, 0) and (2**32,) for (0, 1): so each number gets 64
    # bits of its own, behind the length.
    entropy = len(key)
    for part in key:
        number = index(part)
        if not 0 <= number < 1 << 64:
            raise InputError(
                f"{number} cannot seed a random generator", "choose from 0 to 2**64 - 1"
            )
        entropy = entropy << 64 | number
    return np.random.Generator(np.random.SFC64(entropy))


def describe_noise(noise: Noise) -> str:
    """The noise in words, such as ``gaussian 0.2``; :func:`parse_noise` reads it back with a colon.

    Args:
        noise: The model and its level.
    """
    numbers = noise.model_dump(exclude={"kind"}).values()
    return f"{noise.kind} {', '.join(f'{number:g}' for number in numbers)}"


def parse_noise(text: str) -> Noise:
    """Reads a noise as people write it.

    Args:
        text: ``KIND:NUMBERS``, such as ``gaussian:0.2``, ``poisson-gaussian:0.01,0.02`` (gain,
            then sigma), ``speckle:0.1`` or ``salt-and-pepper:0.05``; a number alone is the sigma
            of ``gaussian``.

    Raises:
        InputError: The text is no such noise.
    """
    kind, _, numbers = text.strip().rpartition(":")
    kind = kind or "gaussian"
    if kind not in _MODELS:
        raise InputError(f"no noise is called {kind!r}", nearest(kind, _MODELS))
    names = [name for name in _MODELS[kind].model_fields if name != "kind"]
    parts = [part.strip() for part in numbers.split(",")]
    if len(parts) != len(names):
        raise InputError(
            f"noise {text!r} has {len(parts)} numbers, but {kind} takes {' and '.join(names)}",
            f"write {kind}:{','.join(names).upper()}",
        )
    fields = {"kind": kind, **dict(zip(names, parts, strict=True))}
    remedy = (
        "write such as 0.2 or speckle:0.1; levels are on the scale of the image, 0 to 1, "
        "so that 25 of 255 is 0.098"
    )
    with faults_are_ours(f"{text!r} is no noise", remedy):
        noise: Noise = TypeAdapter(Noise).validate_python(fields)
    return noise


def parse_noise_plan(text: str) -> NoisePlan:
    """Reads the noise of a training as people write it.

    Args:
        text: ``KIND:LOW-HIGH``, such as ``gaussian:0-0.5``, or one level, ``speckle:0.1``;
            ``poisson-gaussian:GAIN,LOW-HIGH`` has the gain in front.

    Raises:
        InputError: The text is no such plan.
    """
    kind, _, numbers = text.strip().rpartition(":")
    gain, _, levels = numbers.rpartition(",")
    low, _, high = levels.partition("-")
    fields = {"kind": kind or "gaussian", "low": low, "high": high or low, "gain": gain or None}
    remedy = "write such as gaussian:0-0.5 or poisson-gaussian:0.01,0-0.1"
    with faults_are_ours(f"{text!r} is no noise to train with", remedy):
        return NoisePlan.model_validate(fields)


def parse_protocol(text: str) -> Protocol:
    """Reads ``benchmark`` or ``camera``.

    Raises:
        InputError: The text is neither.
    """
    try:
        protocol: Protocol = TypeAdapter(Protocol).validate_python(text)
    except ValidationError as error:
        raise InputError(
            f"no protocol is called {text!r}", nearest(text, get_args(Protocol))
        ) from error
    return protocol
