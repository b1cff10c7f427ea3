"""Laws of the classical filters beside a network."""

import numpy as np
import pytest

from tapetum.evaluation.filters import FILTERS, gains_of_filters
from tapetum.noise import Gaussian, add_noise, generator_for


def smooth(channels: int, size_px: int = 48) -> np.ndarray:
    """A smooth image."""
    y, x = np.mgrid[:size_px, :size_px] / size_px
    return np.stack(
        [0.5 + 0.4 * np.sin(4 * x + c) * np.cos(3 * y) for c in range(channels)]
    ).astype(np.float32)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_filter_removes_noise(name: str, channels: int) -> None:
    """From a smooth image more than half of the error; shape and type stay."""
    clean = smooth(channels)
    noisy = add_noise(clean, Gaussian(sigma=0.1), generator_for(0))
    found = FILTERS[name](noisy)
    assert (found.shape, found.dtype) == (clean.shape, np.float32)
    assert np.square(found - clean).mean() < 0.25 * np.square(noisy - clean).mean()


def test_a_gain_is_the_difference_of_two_psnrs() -> None:
    """Beside a network that halves the noise, 6 dB less than beside one that does nothing."""
    clean = smooth(3)
    noise = 0.05 * generator_for(1).standard_normal(clean.shape, dtype=np.float32)
    beside_nothing = gains_of_filters(clean + noise, clean + noise, clean)
    beside_half = gains_of_filters(clean + noise, clean + noise / 2, clean)
    assert beside_nothing.keys() == FILTERS.keys()
    for name, gain_db in beside_nothing.items():
        assert gain_db - beside_half[name] == pytest.approx(6.02, abs=0.1)


def test_what_cannot_be_compared_is_left_out() -> None:
    """A perfect image has no finite PSNR, and a tiny one no room for a filter."""
    clean = smooth(1)
    assert gains_of_filters(clean, clean, clean) == {}
    tiny = clean[:, :8]
    assert gains_of_filters(tiny, tiny + 0.1, tiny) == {}
