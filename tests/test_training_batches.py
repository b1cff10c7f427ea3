"""Batches: what they hold, that they share out an epoch, and that noise follows the image."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum.data import ImageDataset, Samples
from tapetum.errors import DataError
from tapetum.noise import Gaussian, NoisePlan
from tapetum.training import Batch, evaluation_batches, training_batches

PLAN = NoisePlan(levels=(0.1, 0.5, 1.0))


class Numbered(ImageDataset):
    """Images whose every pixel says their index, so that a batch shows what it holds."""

    channels = 1
    class_names = ("even", "odd")
    source = "a test"

    def __init__(self, count: int, *, paired: bool = False) -> None:
        self._count = count
        self._paired = paired
        self.asked: list[tuple[int, int, bool]] = []

    def __len__(self) -> int:
        return self._count

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Constant images of index / count."""
        self.asked.append((epoch, seed, train))
        numbers = np.array(indices, dtype=np.int64)
        flat = (numbers / self._count).astype(np.float32)
        images: NDArray[np.float32] = np.tile(flat[:, None, None, None], (1, 1, 16, 16))
        return Samples(images, images + 2 if self._paired else None, numbers % 2, None)


def indices_of(batches: Sequence[Batch], count: int) -> list[int]:
    """Which images some batches hold, in order."""
    return [round(float(image[0, 0, 0]) * count) for batch in batches for image in batch.clean]


def noise_by_index(batches: Sequence[Batch], count: int) -> dict[int, Tensor]:
    """The noise that each image got."""
    noises = torch.cat([batch.noisy - batch.clean for batch in batches])
    return dict(zip(indices_of(batches, count), noises, strict=True))


def test_an_epoch_holds_every_image_once() -> None:
    """Shuffled batches share out the whole set, and drop the last incomplete one."""
    batches = list(training_batches(Numbered(23), PLAN, batch_size=5, seed=0, epoch=0))
    found = indices_of(batches, 23)
    assert len(batches) == Numbered(23).num_batches(5) == 4
    assert len(set(found)) == 20
    assert found != sorted(found)


def test_order_depends_on_seed_and_epoch() -> None:
    """The same seed and epoch give the same order; another epoch or seed another one."""

    def order(seed: int, epoch: int) -> list[int]:
        batches = training_batches(Numbered(40), PLAN, batch_size=8, seed=seed, epoch=epoch)
        return indices_of(list(batches), 40)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_a_batch_is_a_set_of_tensors() -> None:
    """Images, labels and boxes come as float32 and int64 tensors of one length."""
    images = Numbered(8)
    batch = next(iter(training_batches(images, PLAN, batch_size=4, seed=3, epoch=2)))
    assert batch.noisy.shape == batch.clean.shape == (4, 1, 16, 16)
    assert batch.noisy.dtype == batch.clean.dtype == torch.float32
    assert batch.labels is not None
    assert batch.labels.dtype == torch.int64
    assert batch.labels.tolist() == [index % 2 for index in indices_of([batch], 8)]
    assert batch.boxes is None
    assert images.asked == [(2, 3, True)]


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_the_global_batch(world_size: int) -> None:
    """The shares of all processes, joined in order of rank, are the batch of one process."""
    whole = list(training_batches(Numbered(20), PLAN, batch_size=8, seed=0, epoch=1))
    shares = [
        list(
            training_batches(
                Numbered(20), PLAN, batch_size=8, seed=0, epoch=1, rank=rank, world_size=world_size
            )
        )
        for rank in range(world_size)
    ]
    for step, batch in enumerate(whole):
        joined = torch.cat([share[step].noisy for share in shares])
        assert torch.equal(joined, batch.noisy)


def test_a_resumed_epoch_goes_on_where_it_stopped() -> None:
    """Batches from a later step are the last ones of the whole epoch, bit for bit."""
    whole = list(training_batches(Numbered(20), PLAN, batch_size=4, seed=0, epoch=1))
    rest = list(training_batches(Numbered(20), PLAN, batch_size=4, seed=0, epoch=1, first_step=3))
    assert len(rest) == 2
    for left, right in zip(rest, whole[3:], strict=True):
        assert torch.equal(left.noisy, right.noisy)


def test_noise_follows_the_image_not_the_batch() -> None:
    """The noise of an image is the same whatever the batch size."""
    small, large = (
        noise_by_index(
            list(training_batches(Numbered(24), PLAN, batch_size=size, seed=0, epoch=0)), 24
        )
        for size in (3, 12)
    )
    assert all(torch.equal(small[index], large[index]) for index in range(24))


def test_noise_is_drawn_anew_for_image_and_epoch() -> None:
    """No two images share their noise, and no image has the same one in two epochs."""
    epochs = [
        noise_by_index(
            list(training_batches(Numbered(12), PLAN, batch_size=4, seed=0, epoch=epoch)), 12
        )
        for epoch in (0, 1)
    ]
    noises = [noise for epoch in epochs for noise in epoch.values()]
    patterns = torch.stack([noise / noise.std() for noise in noises]).flatten(1)
    likeness = (patterns @ patterns.T / patterns.shape[1]).fill_diagonal_(0)
    assert float(likeness.abs().max()) < 0.5


def test_levels_come_from_the_plan() -> None:
    """Each image gets one of the plan's levels, and all levels appear."""
    batches = list(training_batches(Numbered(60), PLAN, batch_size=20, seed=0, epoch=0))
    found = torch.stack([noise.std() for noise in noise_by_index(batches, 60).values()])
    levels = torch.tensor([0.1, 0.5, 1.0])
    nearest = (found[:, None] / levels - 1).abs()
    assert float(nearest.min(dim=1).values.max()) < 0.25
    assert set(nearest.argmin(dim=1).tolist()) == {0, 1, 2}


def test_the_plans_protocol_is_kept() -> None:
    """Under the camera protocol the noisy images are in [0, 1] and have 8-bit steps."""
    plan = NoisePlan(levels=(1.0,), protocol="camera")
    batch = next(iter(training_batches(Numbered(4), plan, batch_size=4, seed=0, epoch=0)))
    steps = batch.noisy * 255
    assert float(batch.noisy.min()) >= 0
    assert float(batch.noisy.max()) <= 1
    assert torch.allclose(steps, steps.round(), atol=1e-3)


def test_given_noise_is_taken_as_it_is() -> None:
    """A paired set brings its own noisy images, and nothing is added to them."""
    images = Numbered(6, paired=True)
    batches = [
        *training_batches(images, PLAN, batch_size=3, seed=0, epoch=0),
        *evaluation_batches(
            images, Gaussian(sigma=1.0), protocol="benchmark", batch_size=4, seed=0
        ),
    ]
    assert all(torch.equal(batch.noisy, batch.clean + 2) for batch in batches)


@pytest.mark.parametrize("size_px", [(64, 64), (33, 50)])
def test_a_halved_batch_has_noise_as_strong_as_before(size_px: tuple[int, int]) -> None:
    """Clean pixels are means of four, boxes follow, and an odd last row is left out."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(8, 3, *size_px, generator=generator)
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=generator)
    boxes = torch.tensor([[[2.0, 4.0, 12.0, 20.0]]])
    half = Batch(noisy, clean, labels=None, boxes=boxes).halved()
    assert half.noisy.shape == half.clean.shape == (8, 3, size_px[0] // 2, size_px[1] // 2)
    assert torch.allclose(half.clean[0, 0, 3, 5], clean[0, 0, 6:8, 10:12].mean())
    assert float((half.noisy - half.clean).std()) == pytest.approx(0.2, rel=0.05)
    assert half.boxes is not None
    assert half.boxes.tolist() == [[[1.0, 2.0, 6.0, 10.0]]]


def test_evaluation_takes_every_image_in_order() -> None:
    """Scores see every image once, in order, the last incomplete batch too."""
    images = Numbered(10)
    batches = list(
        evaluation_batches(images, Gaussian(sigma=0.2), protocol="benchmark", batch_size=4, seed=0)
    )
    assert [len(batch.clean) for batch in batches] == [4, 4, 2]
    assert indices_of(batches, 10) == list(range(10))
    assert not any(train for _, _, train in images.asked)


def test_evaluation_noise_is_fixed() -> None:
    """The noise of a score depends on seed and image, not on batch size or time."""

    def noises(batch_size: int, seed: int) -> Tensor:
        batches = evaluation_batches(
            Numbered(9), Gaussian(sigma=0.2), protocol="benchmark", batch_size=batch_size, seed=seed
        )
        return torch.cat([batch.noisy for batch in batches])

    assert torch.equal(noises(4, 0), noises(9, 0))
    assert not torch.equal(noises(4, 0), noises(4, 1))


@pytest.mark.parametrize(
    ("batch_size", "world_size", "reason"),
    [
        (0, 1, "choose a batch size from 1 to 10"),
        (11, 1, "batches of 11 cannot be made of 10 images"),
        (5, 2, "cannot be shared by 2 processes"),
    ],
)
def test_impossible_batches_are_refused_at_once(
    batch_size: int, world_size: int, reason: str
) -> None:
    """A batch that the set cannot fill or the processes cannot share fails before the first."""
    with pytest.raises(DataError, match=reason):
        training_batches(
            Numbered(10), PLAN, batch_size=batch_size, seed=0, epoch=0, world_size=world_size
        )


def test_empty_evaluation_batches_are_refused() -> None:
    """A batch of no images would never end, and is refused."""
    with pytest.raises(DataError, match="choose at least 1"):
        evaluation_batches(
            Numbered(3), Gaussian(sigma=0.1), protocol="benchmark", batch_size=0, seed=0
        )


def test_a_selection_is_a_set_of_its_own() -> None:
    """A selection holds the chosen images in the given order, and all that describes them."""
    whole = Numbered(10)
    some = whole.subset([7, 2, 4])
    assert isinstance(some, ImageDataset)
    assert (len(some), some.channels, some.class_names) == (3, 1, whole.class_names)
    batches = evaluation_batches(
        some, Gaussian(sigma=0.0), protocol="benchmark", batch_size=2, seed=0
    )
    assert indices_of(list(batches), 10) == [7, 2, 4]


@pytest.mark.parametrize(
    ("most", "chosen"), [(3, [0, 3, 6]), (10, list(range(10))), (99, list(range(10))), (0, [])]
)
def test_some_images_are_evenly_spread_over_all(most: int, chosen: list[int]) -> None:
    """Images of a folder lie class by class."""
    assert Numbered(10).spread(most) == chosen
