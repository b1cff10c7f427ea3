"""The search prefers the better operator where the truth is known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tapetum.arch.space import Candidate, Slot, Space, SpaceClassifier
from tapetum.arch.spec import Conv, Whole
from tapetum.data import ImageDataset, Samples
from tapetum.latency import Budget, LatencyTable
from tapetum.search import choose_search_recipe, search
from test_latency_table import table_of
from tiny_training import TINY_DATA

SIZE_PX = 16
SMALL, LARGE = Candidate(kernel_px=3, expansion=3), Candidate(kernel_px=5, expansion=3)


class Stripes(ImageDataset):
    """Rows of random pixels that come again some pixels farther: as they are, or inverted.

    In which way is the label.  At 4 px any 3 x 3 window of either class holds independent random
    pixels, so the mean of a feature that a kernel of 3 px computes is the same for both classes.  A
    kernel of 5 px sees a pixel together with its repetition.  At 2 px both kernels do.
    """

    channels = 1
    class_names = ("repeated", "inverted")
    source = "drawn stripes"

    def __init__(self, count: int, *, period_px: int) -> None:
        self.count, self.period_px = count, period_px

    def __len__(self) -> int:
        return self.count

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Draw the images; each depends on its index alone."""
        del epoch, seed, train
        labels = np.array([index % 2 for index in indices], dtype=np.int64)
        images = np.stack([self._draw(index) for index in indices])
        return Samples(images, None, labels, None)

    def _draw(self, index: int) -> np.ndarray:
        shape = (1, SIZE_PX, self.period_px)
        first = np.random.default_rng(index).integers(0, 2, shape)
        again = 1 - first if index % 2 else first
        rows = np.concatenate([first, again] * (SIZE_PX // self.period_px // 2), axis=2)
        return (0.2 + 0.6 * rows).astype(np.float32)


def equal_table() -> LatencyTable:
    """A table of one slot in which both kernels of a width have the same price."""
    slot = Slot(in_channels=8, out_channels=8, candidates=(SMALL, LARGE))
    space = Space(
        name="kernels",
        image_channels=1,
        classifier=SpaceClassifier(
            source="noisy",
            region=Whole(),
            blocks=(Conv(in_channels=1, out_channels=8, kernel_px=1), slot),
            pooling="mean",
            features=8,
            num_classes=2,
        ),
    )
    table = table_of(space)
    entries = tuple(
        entry.model_copy(update={"prices_ms": {width: 0.01 * width for width in entry.prices_ms}})
        for entry in table.entries
    )
    return table.model_copy(update={"entries": entries})


def probability_of_the_large_kernel(
    path: Path, *, period_px: int, seed: int, recipe_name: str = "swift"
) -> float:
    """What a search has learned after six epochs."""
    table = equal_table()
    recipe = choose_search_recipe(
        recipe_name,
        noise="gaussian:0.02",
        changes={"epochs": 6, "batch_size": 16, "seed": seed},
    )
    budget = Budget.of(table, table.range.at(0.5))
    images = Stripes(256, period_px=period_px)
    found = search(path, recipe, budget, images, data=TINY_DATA)
    (slot,) = found.choices
    choice, probability = found.choices[slot], found.epochs[-1].probabilities[slot][LARGE.name]
    assert choice is not None
    assert (choice.candidate == LARGE.name) == (probability > 0.5)
    return probability


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 2))]
)
@pytest.mark.parametrize("recipe_name", ["swift", pytest.param("tf-nas", marks=pytest.mark.slow)])
def test_the_kernel_that_can_solve_the_task_is_preferred(
    recipe_name: str, seed: int, tmp_path: Path
) -> None:
    """At the same latency, a kernel of 5 px is preferred to one that cannot tell the classes."""
    path = tmp_path / "search"
    assert (
        probability_of_the_large_kernel(path, period_px=4, seed=seed, recipe_name=recipe_name) > 0.8
    )


@pytest.mark.slow
def test_a_larger_kernel_is_not_preferred_without_need(tmp_path: Path) -> None:
    """The preference above comes from the task: where both kernels solve it, it is gone."""
    assert probability_of_the_large_kernel(tmp_path / "search", period_px=2, seed=0) < 0.6
