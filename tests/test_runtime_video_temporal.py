"""The mean of denoised frames over time, where nothing moves."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum.runtime.video.temporal import MOST_FRAMES, TemporalAverage

SIGMA = 0.1  # the network of these tests leaves all frames as they are
SIZE = (96, 128)


def noisy(clean: NDArray[np.floating], seed: int, sigma: float = SIGMA) -> NDArray[np.uint8]:
    """A frame of three channels with noise of its own."""
    noise = np.random.default_rng(seed).normal(0, sigma, clean.shape)
    return np.uint8(np.rint(255 * np.clip(clean + noise, 0, 1)))


def shown(average: TemporalAverage, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean after a frame."""
    return average(frame, frame.astype(np.float32) / 255)


def texture(shift_px: float = 0) -> NDArray[np.floating]:
    """Waves of about 16 px that run from left to right."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = 0.5 + 0.15 * np.sin((columns + shift_px) / 2.5) + 0.1 * np.sin(rows / 4)
    return np.repeat(waves[:, :, np.newaxis], 3, axis=2)


def error(values: NDArray[np.floating], clean: NDArray[np.floating]) -> float:
    """The root mean square of a difference."""
    return float(np.sqrt(np.mean((values - clean) ** 2)))


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.2])
def test_noise_falls_where_nothing_moves(sigma: float) -> None:
    """After as many frames as count, less than half of it is left, and nearly all is still."""
    clean, average = texture(), TemporalAverage()
    for seed in range(MOST_FRAMES):
        seen = shown(average, noisy(clean, seed, sigma))
    assert error(seen, clean) < 0.5 * sigma
    assert average.still > 0.8


def test_a_few_frames_count_and_never_more() -> None:
    """The mean of a network that brightens its frames from one to the next lags by a few."""
    average, still = TemporalAverage(), np.full((*SIZE, 3), 90, np.uint8)
    for number in range(60):
        seen = average(still, np.full(SIZE, number, np.float32))
    assert 59 - seen.mean() == pytest.approx(MOST_FRAMES - 1, abs=0.1)


@pytest.mark.parametrize("speed_px", [0.5, 3])
def test_a_moving_camera_leaves_no_trail(speed_px: float) -> None:
    """Where all moves, the mean is as far from the image as the frame, or nearer."""
    average = TemporalAverage()
    for number in range(10):
        clean = texture(speed_px * number)
        frame = noisy(clean, number)
        seen = shown(average, frame)
    assert error(seen, clean) <= 1.02 * error(frame / 255, clean)
    assert average.still < 0.2


def frames_of_an_object() -> Iterator[tuple[NDArray[np.floating], slice]]:
    """A bright square that moves over a dark ground by its side, and where it was before."""
    side = 24
    for number in range(4):
        clean = np.full((*SIZE, 3), 0.2)
        clean[32 : 32 + side, side * number : side * (number + 1)] = 0.8
        yield clean, slice(max(0, side * (number - 1)), side * number)


def test_a_moving_object_leaves_no_trail() -> None:
    """Where it was in the frame before, the ground is as dark as elsewhere."""
    average = TemporalAverage()
    for number, (clean, _) in enumerate([next(frames_of_an_object())] * 6):
        shown(average, noisy(clean, number))
    for number, (clean, left) in enumerate(frames_of_an_object()):
        seen = shown(average, noisy(clean, 10 + number))
        if number:
            assert seen[32:56, left].mean() == pytest.approx(0.2, abs=0.02)
            assert seen[32:56, left.stop : left.stop + 24].mean() == pytest.approx(0.8, abs=0.02)


def test_a_cut_begins_again() -> None:
    """The first frame of another scene is that frame."""
    average = TemporalAverage()
    for seed in range(5):
        shown(average, noisy(texture(), seed))
    other = noisy(1 - texture(8), 9)
    assert shown(average, other) == pytest.approx(other / 255, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (5, 3), (33, 47)])
def test_frames_of_any_size(size: tuple[int, int]) -> None:
    """Frames without noise come back; one of another size begins again."""
    average = TemporalAverage()
    for level in (100, 100, 100):
        frame = np.full((*size, 3), level, np.uint8)
        assert shown(average, frame) == pytest.approx(frame / 255, abs=1e-6)
    other = np.full((size[0] + 1, size[1], 3), 7, np.uint8)
    assert shown(average, other) == pytest.approx(other / 255, abs=1e-6)


def test_a_later_frame_changes_no_earlier_mean() -> None:
    """What was returned stays as it is, since the encoder may still read it."""
    average = TemporalAverage()
    seen = [shown(average, noisy(texture(), seed)) for seed in range(3)]
    kept = [one.copy() for one in seen]
    shown(average, noisy(texture(), 3))
    for one, copy in zip(seen, kept, strict=True):
        np.testing.assert_array_equal(one, copy)
