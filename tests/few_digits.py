"""Sixteen images of digits, and what trains on them in two steps."""

import pytest

from tapetum.data import Dataset, open_dataset
from tapetum.training import Recipe

__all__ = ["FEW", "RECIPE", "SHORT", "dataset"]

FEW = {"train_count": 16, "test_count": 4}
RECIPE = Recipe.named("quick").adjusted(batch_size=8)
SHORT = {"steps": 2, "batch_size": 8, **FEW}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Sixteen images with two digits each."""
    return open_dataset("digits", seed=0, **FEW)
