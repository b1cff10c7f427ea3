"""Laws of the noise models: moments, protocols, generators, and how people write them."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from tapetum.errors import DataError, InputError
from tapetum.noise import (
    PAPER_SIGMAS,
    Gaussian,
    Noise,
    NoisePlan,
    PoissonGaussian,
    SaltAndPepper,
    Speckle,
    add_noise,
    generator_for,
    parse_noise,
)

EVERY_KIND = (
    Gaussian(sigma=0.2),
    PoissonGaussian(gain=0.02, sigma=0.05),
    Speckle(sigma=0.3),
    SaltAndPepper(fraction=0.1),
)
NUM_VALUES = 200_000


def expected_moments(noise: Noise, clean: float) -> tuple[float, float]:
    """Mean and variance as the module's docstring states them."""
    match noise:
        case Gaussian(sigma=sigma):
            return clean, sigma**2
        case PoissonGaussian(gain=gain, sigma=sigma):
            return clean, gain * clean + sigma**2
        case Speckle(sigma=sigma):
            return clean, (sigma * clean) ** 2
        case SaltAndPepper(fraction=fraction):
            mean = (1 - fraction) * clean + fraction / 2
            return mean, (1 - fraction) * clean**2 + fraction / 2 - mean**2
    raise AssertionError(noise)


@pytest.mark.parametrize("clean", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("noise", EVERY_KIND, ids=lambda noise: noise.kind)
def test_moments(noise: Noise, clean: float) -> None:
    """Each model has the mean and the variance that its formula states."""
    image = np.full((1, 400, NUM_VALUES // 400), clean, np.float32)
    noisy = add_noise(image, noise, generator_for(1)).astype(np.float64)
    mean, variance = expected_moments(noise, clean)
    assert noisy.mean() == pytest.approx(mean, abs=5 * (variance / NUM_VALUES) ** 0.5 + 1e-6)
    assert noisy.var() == pytest.approx(variance, rel=0.03, abs=1e-9)


@pytest.mark.parametrize("noise", EVERY_KIND, ids=lambda noise: noise.kind)
def test_values_are_corrupted_independently(noise: Noise) -> None:
    """Neighbouring pixels and channels share no noise."""
    image = np.full((3, 200, 200), 0.5, np.float32)
    residual = add_noise(image, noise, generator_for(2)) - 0.5
    residual -= residual.mean()
    for one, other in (
        (residual[:, 1:], residual[:, :-1]),
        (residual[:, :, 1:], residual[:, :, :-1]),
        (residual[1:], residual[:-1]),
    ):
        assert abs(np.mean(one * other)) < 0.02 * residual.var()


@pytest.mark.parametrize("noise", EVERY_KIND, ids=lambda noise: noise.kind)
def test_same_key_same_noise(noise: Noise) -> None:
    """The noise depends on the generator's key alone, and the clean image stays as it is."""
    image = np.linspace(0, 1, 3 * 8 * 9, dtype=np.float32).reshape(3, 8, 9)
    before = image.copy()
    first = add_noise(image, noise, generator_for(3))
    assert first.dtype == np.float32
    assert first.shape == image.shape
    np.testing.assert_array_equal(first, add_noise(image, noise, generator_for(3)))
    assert not np.array_equal(first, add_noise(image, noise, generator_for(4)))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "noise",
    [Gaussian(sigma=0), Speckle(sigma=0), SaltAndPepper(fraction=0)],
    ids=lambda noise: noise.kind,
)
def test_level_zero_changes_nothing(noise: Noise) -> None:
    """Noise of level 0 returns an equal image, but not the same array."""
    image = generator_for(5).random((1, 16, 16), dtype=np.float32)
    noisy = add_noise(image, noise, generator_for(6))
    np.testing.assert_array_equal(noisy, image)
    assert not np.shares_memory(noisy, image)


def test_salt_and_pepper_leaves_the_rest_alone() -> None:
    """Salt and pepper corrupts its fraction, half to 0 and half to 1, and nothing else."""
    image = np.full((1, 300, 300), 0.5, np.float32)
    noisy = add_noise(image, SaltAndPepper(fraction=0.2), generator_for(7))
    assert set(np.unique(noisy)) == {0.0, 0.5, 1.0}
    assert np.mean(noisy == 0) == pytest.approx(0.1, abs=0.005)
    assert np.mean(noisy == 1) == pytest.approx(0.1, abs=0.005)


def test_salt_and_pepper_of_everything() -> None:
    """A fraction of 1 leaves no value as it was."""
    noisy = add_noise(
        np.full((1, 99, 99), 0.5, np.float32), SaltAndPepper(fraction=1), generator_for(8)
    )
    assert set(np.unique(noisy)) == {0.0, 1.0}


def test_no_light_below_none() -> None:
    """Values below black, as resampling makes them, count no photons."""
    noise = PoissonGaussian(gain=0.01, sigma=0)
    noisy = add_noise(np.full((1, 8, 8), -0.1, np.float32), noise, generator_for(9))
    assert not noisy.any()


def test_smallest_gain_is_no_noise() -> None:
    """At the smallest gain photons are too many to be noticed, and still counted."""
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    noisy = add_noise(image, PoissonGaussian(gain=1e-12, sigma=0), generator_for(10))
    np.testing.assert_allclose(noisy, image, atol=1e-5)


def test_benchmark_keeps_what_a_camera_clips() -> None:
    """The camera protocol is the benchmark's image, clipped and rounded to 8 bits."""
    image = generator_for(11).random((3, 32, 32), dtype=np.float32)
    kept = add_noise(image, Gaussian(sigma=0.5), generator_for(12))
    stored = add_noise(image, Gaussian(sigma=0.5), generator_for(12), protocol="camera")
    assert kept.min() < 0
    assert kept.max() > 1
    np.testing.assert_array_equal(
        (stored * 255).round().astype(np.uint8), np.rint(kept.clip(0, 1) * 255)
    )


def test_camera_keeps_an_8_bit_image() -> None:
    """A noiseless 8-bit image comes out of the camera protocol bit by bit."""
    image = np.arange(256, dtype=np.float32).reshape(1, 16, 16) / 255
    stored = add_noise(image, Gaussian(sigma=0), generator_for(13), protocol="camera")
    np.testing.assert_array_equal(stored, image)


def test_integers_are_refused() -> None:
    """An image of integers is refused with its type, since its scale is unknown."""
    with pytest.raises(DataError, match=r"uint8; divide the image by its white value"):
        add_noise(np.zeros((1, 8, 8), np.uint8), Gaussian(sigma=0.1), generator_for(14))


def test_doubles_are_accepted() -> None:
    """An image of doubles is corrupted like the same one in single precision."""
    image = generator_for(15).random((1, 8, 8), dtype=np.float32)
    for_double = add_noise(image.astype(np.float64), Speckle(sigma=0.1), generator_for(16))
    np.testing.assert_array_equal(
        for_double, add_noise(image, Speckle(sigma=0.1), generator_for(16))
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), (1, 0)),
        ((), (0,)),
        ((1, 2), (2, 1)),
        ((2**32,), (0, 1)),
        ((2**63, 0), (0, 2**63)),
        ((0, 1, 2), (0, 1, 3)),
    ],
)
def test_different_keys_differ(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Keys that differ in a number, the order or the length give different numbers."""
    assert generator_for(*one).integers(2**63) != generator_for(*other).integers(2**63)


def test_generators_of_neighbouring_keys_are_independent() -> None:
    """Numbers drawn from consecutive keys look like numbers drawn from one generator."""
    first = np.array([generator_for(0, 0, index).random() for index in range(4000)])
    assert first.mean() == pytest.approx(0.5, abs=0.025)
    assert first.var() == pytest.approx(1 / 12, rel=0.06)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.08


def test_numpy_integers_are_keys() -> None:
    """An index out of an array makes the same generator as the plain integer."""
    assert generator_for(np.int64(7)).random() == generator_for(7).random()


@pytest.mark.parametrize("number", [-1, 2**64])
def test_seed_out_of_range(number: int) -> None:
    """A seed that does not fit in 64 bits is refused with the range that does."""
    with pytest.raises(InputError, match=rf"{number} cannot seed .* 0 to 2\*\*64 - 1"):
        generator_for(0, number)


@pytest.mark.parametrize(
    ("text", "noise"),
    [
        ("0.2", Gaussian(sigma=0.2)),
        (" gaussian:0.2 ", Gaussian(sigma=0.2)),
        ("poisson-gaussian:0.01, 0.02", PoissonGaussian(gain=0.01, sigma=0.02)),
        ("speckle:0.1", Speckle(sigma=0.1)),
        ("salt-and-pepper:0.05", SaltAndPepper(fraction=0.05)),
    ],
)
def test_parse_noise(text: str, noise: Noise) -> None:
    """Each kind can be written as its name and its numbers, Gaussian noise as a number alone."""
    assert parse_noise(text) == noise


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spekle:0.1", "there is no noise 'spekle'; did you mean 'speckle'?"),
        ("poisson-gaussian:0.1", "has 1 numbers, but poisson-gaussian takes gain and sigma"),
        ("0.1,0.2", "has 2 numbers, but gaussian takes sigma; write gaussian:SIGMA"),
        ("speckle", "'speckle' is not a noise: gaussian.sigma: Input should be a valid number"),
        ("", "'' is not a noise"),
        ("25", "less than or equal to 5; .* 25 of 255 is 0.098"),
        ("gaussian:-0.1", "greater than or equal to 0"),
        ("salt-and-pepper:1.5", "less than or equal to 1"),
        ("poisson-gaussian:0,0.1", "gain: Input should be greater than"),
        ("nan", "'nan' is not a noise"),
    ],
)
def test_parse_noise_explains(text: str, message: str) -> None:
    """What is no noise is refused with a sentence that says why."""
    with pytest.raises(InputError, match=message):
        parse_noise(text)


@pytest.mark.parametrize("noise", EVERY_KIND, ids=lambda noise: noise.kind)
def test_noise_round_trips_through_json(noise: Noise) -> None:
    """JSON brings each kind back, told apart by its name."""
    assert TypeAdapter(Noise).validate_json(noise.to_json()) == noise


def test_paper_sigmas() -> None:
    """The paper's levels are eleven, evenly from 0 to 1."""
    np.testing.assert_allclose(PAPER_SIGMAS, np.linspace(0, 1, 11))


def test_plan_draws_each_level_alike() -> None:
    """A plan of levels draws each of them about as often."""
    plan = NoisePlan(levels=PAPER_SIGMAS)
    generator = generator_for(17)
    drawn = [plan.draw(generator) for _ in range(3300)]
    counts = [drawn.count(Gaussian(sigma=sigma)) for sigma in PAPER_SIGMAS]
    assert sum(counts) == 3300
    assert min(counts) > 230
    assert max(counts) < 370


def test_plan_draws_uniformly() -> None:
    """A plan of two bounds draws levels evenly between them."""
    plan = NoisePlan(kind="speckle", low=0.2, high=0.6)
    generator = generator_for(18)
    sigmas = np.array([plan.draw(generator).sigma for _ in range(3000)])
    assert sigmas.min() >= 0.2
    assert sigmas.max() <= 0.6
    assert sigmas.mean() == pytest.approx(0.4, abs=0.01)
    assert sigmas.var() == pytest.approx(0.4**2 / 12, rel=0.08)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_a_power_draws_weak_noise_more_often(power: float) -> None:
    """A share u of all levels lies below the power of u, on the way from low to high."""
    plan = NoisePlan(low=0.1, high=0.6, power=power)
    generator = generator_for(20)
    sigmas = np.array([plan.draw(generator).sigma for _ in range(3000)])
    for share in (0.25, 0.5, 0.75):
        level = 0.1 + 0.5 * share**power
        assert np.mean(sigmas < level) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("noise", EVERY_KIND, ids=lambda noise: noise.kind)
def test_a_share_of_the_images_stays_clean(noise: Noise) -> None:
    """Whatever the kind, they are not changed at all."""
    gain = getattr(noise, "gain", None)
    plan = NoisePlan(kind=noise.kind, low=0.2, high=0.3, gain=gain, clean=0.25)
    image = np.full((1, 4, 4), 0.5, np.float32)
    generator = generator_for(21)
    drawn = [add_noise(image, plan.draw(generator), generator) for _ in range(1000)]
    assert np.mean([np.array_equal(one, image) for one in drawn]) == pytest.approx(0.25, abs=0.04)


def test_another_noise_is_drawn_in_the_same_proportions() -> None:
    """A user names kind and levels; power, share of clean images and protocol are the recipe's."""
    plan = NoisePlan(low=0, high=0.5, power=2, clean=0.1, protocol="camera")
    found = plan.replaced("speckle:0.1-0.3")
    assert found == plan.model_copy(update={"kind": "speckle", "low": 0.1, "high": 0.3})
    assert (
        found.describe() == "speckle 0.1 to 0.3, weak noise more often, 10% of the images without"
    )


@pytest.mark.parametrize("noise", EVERY_KIND, ids=lambda noise: noise.kind)
def test_plan_of_one_level(noise: Noise) -> None:
    """A plan of one level draws just that noise, for every kind."""
    numbers = noise.model_dump(exclude={"kind"})
    gain = numbers.pop("gain", None)
    plan = NoisePlan(kind=noise.kind, levels=tuple(numbers.values()), gain=gain)
    assert plan.draw(generator_for(19)) == noise


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, "give either levels, or both low and high"),
        ({"low": 0.1}, "give either levels, or both low and high"),
        ({"levels": (0.1,), "low": 0.1, "high": 0.2}, "give either levels"),
        ({"levels": ()}, "at least 1 item"),
        ({"low": 0.5, "high": 0.1}, "low is 0.5 but high is 0.1"),
        ({"kind": "salt-and-pepper", "levels": (0.1, 2)}, "a fraction of 2 is above 1"),
        ({"kind": "poisson-gaussian", "levels": (0.1,)}, "poisson-gaussian needs a gain"),
        ({"levels": (0.1,), "gain": 0.1}, "gaussian has no gain"),
        ({"low": 0.5, "high": 0.1, "gain": 0.1}, "low is 0.5.*; gaussian has no gain"),
    ],
)
def test_plan_that_contradicts_itself(fields: dict[str, object], fault: str) -> None:
    """A plan that cannot be drawn from cannot be made, and names every fault."""
    with pytest.raises(ValidationError, match=fault):
        NoisePlan(**fields)


def test_noise_needs_no_torch() -> None:
    """A device without torch can add noise."""
    code = "import sys, tapetum.noise; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plan_is_spread_over_its_levels() -> None:
    """Given levels as they are, a range from end to end."""
    given = NoisePlan(kind="gaussian", levels=(0.1, 0.3)).spread()
    assert [level.sigma for level in given] == [0.1, 0.3]
    ranged = NoisePlan(kind="gaussian", low=0.0, high=0.5).spread(3)
    assert [level.sigma for level in ranged] == [0.0, 0.25, 0.5]
    weak = NoisePlan(kind="gaussian", low=0.0, high=0.5, power=2).spread()
    assert [level.sigma for level in weak] == [0.0, 0.02, 0.08, 0.18, 0.32, 0.5]


@pytest.mark.parametrize("plan", [NoisePlan.parse("gaussian:0.1"), NoisePlan(levels=(0.1, 0.1))])
def test_equal_levels_are_one(plan: NoisePlan) -> None:
    """One level is scored and validated once, however it is written."""
    assert plan.spread() == plan.validated() == [Gaussian(sigma=0.1)]


@pytest.mark.parametrize("text", ["0.2", "poisson-gaussian:0.01,0.02", "salt-and-pepper:0.05"])
def test_a_noise_in_words_is_read_back(text: str) -> None:
    """What describes a noise parses to it, with a colon for the first space."""
    noise = parse_noise(text)
    assert parse_noise(noise.describe().replace(" ", ":", 1)) == noise


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("gaussian:0-0.5", {"low": 0, "high": 0.5}),
        ("0.1-0.3", {"low": 0.1, "high": 0.3}),
        ("speckle:0.2", {"kind": "speckle", "low": 0.2, "high": 0.2}),
        (
            "poisson-gaussian:0.01,0-0.1",
            {"kind": "poisson-gaussian", "gain": 0.01, "low": 0, "high": 0.1},
        ),
    ],
)
def test_a_plan_is_read_as_people_write_it(text: str, fields: dict[str, Any]) -> None:
    """Kind, perhaps a gain, and a range or one level."""
    assert NoisePlan.parse(text) == NoisePlan(**fields)


@pytest.mark.parametrize("text", ["gaussian", "gaussian:0.5-0.1", "fog:0-1", "speckle:0.1,0-1", ""])
def test_what_is_no_plan_is_refused(text: str) -> None:
    """One sentence, with an example."""
    with pytest.raises(InputError, match=r"is not a noise for training: .*; write gaussian"):
        NoisePlan.parse(text)
