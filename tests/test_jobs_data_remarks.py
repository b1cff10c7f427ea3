"""What a folder lacks is told with figures: images, or those like the ones that validate."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from folders import draw_tree
from tapetum.data import open_dataset
from tapetum.errors import InputError
from tapetum.jobs import fit
from tapetum.jobs.data_remarks import data_remarks, other_light


def test_small_numbers_are_named(tmp_path: Path) -> None:
    """In all, of the smallest class, and of the images that are scored."""
    dataset = open_dataset(str(draw_tree(tmp_path / "photos", {"a": 30, "b": 5})), seed=0)
    told, labels = data_remarks(dataset, "benchmark"), dataset.train.labels
    assert labels is not None
    assert f"{len(dataset.train)}, where 100 or more" in told[0]
    assert f"of a class: b {int((labels == 1).sum())}, where" in told[1]
    count = len(dataset.validation)
    points = round(100 / count**0.5)
    assert f"{count}, so an accuracy is uncertain by about {points} points" in told[2]


def _drawn(root: Path, levels: dict[str, tuple[float, float]], count: int = 30) -> Path:
    """Images of a mean level by class, in training and in validation, each a little different."""
    generator = np.random.default_rng(0)
    for name, each in levels.items():
        for part, level in zip(("train", "val"), each, strict=True):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                own = level * generator.uniform(0.9, 1.1)
                values = generator.normal(255 * own, 20, (24, 24)).clip(0, 255).astype(np.uint8)
                Image.fromarray(values).save(root / part / name / f"{index}.png")
    return root


def test_a_class_under_another_light_is_named(tmp_path: Path) -> None:
    """With the difference, the largest first; classes under the same light are not."""
    levels = {"dent": (0.5, 0.3), "rust": (0.4, 0.41), "seam": (0.4, 0.5)}
    dataset = open_dataset(str(_drawn(tmp_path, levels)), seed=0)
    (told,) = [text for text in data_remarks(dataset, "benchmark") if "brightness" in text]
    assert re.search(r"dent (3[6-9]|4[0-4])% darker, seam (2[1-9])% brighter;", told)
    assert "rust" not in told
    assert other_light(dataset) is other_light(dataset)  # computed once


def test_little_light_or_few_images_are_no_difference(tmp_path: Path) -> None:
    """A class that varies as much by itself is not named, nor is one with some images."""
    dataset = open_dataset(str(_drawn(tmp_path, {"a": (0.5, 0.3), "b": (0.5, 0.5)}, 6)), seed=0)
    assert not any("brightness" in text for text in data_remarks(dataset, "benchmark"))


def test_bits_that_are_rounded_away_are_said(tmp_path: Path) -> None:
    """By the protocol of cameras, of files with more than 8 bits that are no pairs, and first."""
    for index in range(3):
        path = tmp_path / "deep" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        values = np.linspace(0, 4000 + index, 32 * 32).astype(np.uint16).reshape(32, 32)
        Image.fromarray(values).save(path)
    deep = open_dataset(str(tmp_path / "deep"), seed=0)
    assert "rounded to 8 bits (--protocol camera), but 3 of" in data_remarks(deep, "camera")[0]
    plain = open_dataset(str(draw_tree(tmp_path / "plain", {".": 3})), seed=0)
    for dataset, protocol in ((deep, "benchmark"), (plain, "camera")):
        assert not any("rounded" in text for text in data_remarks(dataset, protocol))


def test_a_preference_for_labels_that_are_not_there_is_refused(tmp_path: Path) -> None:
    """It would change nothing, and nobody would know."""
    draw_tree(tmp_path / "photos", {".": 12})
    with pytest.raises(InputError, match=re.escape("--prefer label has no effect")):
        fit(tmp_path / "photos", tmp_path / "out", target_ms=2, prefer="label")
    assert not (tmp_path / "out").exists()
