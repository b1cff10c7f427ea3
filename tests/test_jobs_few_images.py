"""A folder with few images is told so, with figures."""

import re
from pathlib import Path

import pytest

from folders import draw_tree
from tapetum.data import open_dataset
from tapetum.errors import InputError
from tapetum.jobs import fit
from tapetum.jobs.few_images import few_images


def test_small_numbers_are_named(tmp_path: Path) -> None:
    """In all, of the smallest class, and of the images that are scored."""
    dataset = open_dataset(str(draw_tree(tmp_path / "photos", {"a": 30, "b": 5})), seed=0)
    told, labels = list(few_images(dataset)), dataset.train.labels
    assert labels is not None
    assert f"{len(dataset.train)}, where 100 or more" in told[0]
    assert f"of a class: b {int((labels == 1).sum())}, where" in told[1]
    count = len(dataset.validation)
    points = round(100 / count**0.5)
    assert f"{count}, so an accuracy is uncertain by about {points} points" in told[2]


def test_a_preference_for_labels_that_are_not_there_is_refused(tmp_path: Path) -> None:
    """It would change nothing, and nobody would know."""
    draw_tree(tmp_path / "photos", {".": 12})
    with pytest.raises(InputError, match=re.escape("--prefer label has no effect")):
        fit(tmp_path / "photos", tmp_path / "out", target_ms=2, prefer="label")
    assert not (tmp_path / "out").exists()
