"""Uneven classes: the weights of classes, and how often the images of each are drawn."""

from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.noise import NoisePlan
from tapetum.training import training_batches
from tapetum.training.sampler import LARGEST_RATIO, class_weights, draws_of_pass
from tiny_training import Squares

COUNTS = (30, 3, 7)


class Uneven(Squares):
    """Squares whose labels are uneven, as ``COUNTS`` says."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """First all of one class, then those of the next."""
        return np.repeat(np.arange(3), COUNTS)


IMAGES = Uneven(sum(COUNTS))


def drawn(epoch: int, weights: tuple[float, ...] = class_weights(COUNTS)) -> list[int]:
    """The images of a pass."""
    return [draw.image for draw in draws_of_pass(IMAGES, seed=0, epoch=epoch, weights=weights)]


def test_each_class_has_the_same_weight_in_total() -> None:
    """Weights are inverse to the counts, and their mean over the images is 1."""
    weights = np.array(class_weights(COUNTS))
    np.testing.assert_allclose(weights * COUNTS, sum(COUNTS) / 3)


def test_a_handful_of_images_does_not_decide_alone() -> None:
    """Beyond a ratio the weights grow no further, also for a class without an image."""
    weights = class_weights((1000, 10, 0))
    assert weights[1] / weights[0] == pytest.approx(LARGEST_RATIO)
    assert weights[2] == weights[1]
    assert weights[0] * 1000 + weights[1] * 10 == pytest.approx(1010)


def test_balanced_passes_draw_each_class_alike() -> None:
    """A pass has as many images as before; over the passes each class has its share of them."""
    labels, passes = IMAGES.labels, 30
    counts = np.zeros(3)
    for epoch in range(passes):
        found = labels[drawn(epoch)]
        assert len(found) == len(IMAGES)
        counts += np.bincount(found, minlength=3)
    np.testing.assert_allclose(counts / passes, len(IMAGES) / 3, atol=0.2)


def test_the_images_of_a_class_take_turns() -> None:
    """Within a pass no image of a class is drawn twice more often than another."""
    counts = Counter(drawn(0))
    for label in range(3):
        of_class = [counts[int(index)] for index in np.flatnonzero(IMAGES.labels == label)]
        assert max(of_class) - min(of_class) <= 1


def test_a_pass_depends_on_seed_and_number_alone() -> None:
    """The same pass has the same order again; another one has another order."""
    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_a_class_without_images_is_never_drawn() -> None:
    """Whatever its weight; the others share the pass."""
    assert len(drawn(0, (1.0, 1.0, 1.0, 20.0))) == len(IMAGES)


def test_an_image_that_is_drawn_again_looks_different() -> None:
    """Its noise is another one, and its label the same."""
    plan = NoisePlan(levels=(0.1,))
    batches = training_batches(
        IMAGES, plan, batch_size=40, seed=0, epoch=0, weights=class_weights(COUNTS)
    )
    batch = next(batches)
    indices = drawn(0)
    first, second = [place for place, index in enumerate(indices) if index == 30][:2]
    assert torch.equal(batch.clean[first], batch.clean[second])
    assert not torch.equal(batch.noisy[first], batch.noisy[second])
    expected = IMAGES.take(indices, epoch=0, seed=0, train=True)
    assert batch.labels is not None
    assert batch.labels.tolist() == expected.labels.tolist()  # type: ignore[union-attr]
    assert torch.equal(batch.clean, torch.from_numpy(expected.images))


def test_images_without_labels_cannot_be_sampled_by_class() -> None:
    """Boxes of one image may have several classes."""
    with pytest.raises(DataError, match="without a label"):
        draws_of_pass(Squares(8, with_boxes=True), seed=0, epoch=0, weights=(1.0, 1.0, 1.0, 1.0))
