"""A recipe is adapted to the images of a folder, and each change is said."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tapetum.data import Dataset, open_dataset
from tapetum.errors import DataError, InputError
from tapetum.jobs.suit import augmentation_of, suit
from tapetum.search import choose_search_recipe
from tapetum.training import Recipe

RECIPE = Recipe.named("images")


def folder_of(root: Path, count: int, names: tuple[str, ...] = ("cat", "dog")) -> Dataset:
    """A folder with ``count`` training images and two for validation, opened."""
    for part, total in (("train", count), ("val", 2)):
        for index in range(total):
            place = root / part / names[index % len(names)]
            place.mkdir(parents=True, exist_ok=True)
            values = np.random.default_rng(index).integers(0, 256, (20, 20), np.uint8)
            Image.fromarray(values).save(place / f"{index}.png")
    return open_dataset(str(root), seed=0)


@pytest.mark.parametrize(
    ("count", "chosen", "expected"),
    [(6, None, 4), (3, None, 3), (24, None, 4), (100, None, 12), (6, 64, 6), (24, 16, 16)],
)
def test_a_batch_that_fits_is_taken(
    count: int, chosen: int | None, expected: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Small folders get small batches, so that an epoch has some steps; a chosen size stays."""
    dataset = folder_of(tmp_path, count)
    recipe = RECIPE.adjusted(epochs=2)
    recipe = recipe if chosen is None else recipe.adjusted(batch_size=chosen)
    with caplog.at_level(logging.WARNING):
        suited = suit(recipe, dataset, batch_size=chosen, augmentation=None)
    assert suited.batch_size == expected
    assert dataset.train.num_batches(suited.batch_size) >= 1
    assert (f"batches of {expected} images" in caplog.text) == (expected != recipe.batch_size)


def test_a_training_counted_in_steps_has_the_batches_of_its_recipe(tmp_path: Path) -> None:
    """A small folder has few steps a pass, but the number of steps is the same."""
    dataset = folder_of(tmp_path, 34)
    for recipe in (RECIPE, RECIPE.adjusted(minutes=1)):
        suited = suit(recipe, dataset, batch_size=None, augmentation=None)
        assert suited.batch_size == RECIPE.batch_size


def test_a_large_folder_keeps_the_recipe(tmp_path: Path) -> None:
    """With enough images nothing is changed."""
    suited = suit(RECIPE, folder_of(tmp_path, 256), batch_size=None, augmentation=None)
    assert suited.batch_size == RECIPE.batch_size


def test_the_smaller_part_of_a_search_counts(tmp_path: Path) -> None:
    """A search learns its choices from a share of the images, which has to fill a batch."""
    dataset = folder_of(tmp_path, 40)
    recipe = choose_search_recipe("swift", changes={"batch_size": 32})
    assert recipe.held_out == 0.2
    assert suit(recipe, dataset, batch_size=32, augmentation=None).batch_size == 8


def test_one_image_is_too_few(tmp_path: Path) -> None:
    """Batch normalisation needs two."""
    with pytest.raises(DataError, match="1 training image"):
        suit(RECIPE, folder_of(tmp_path, 1, ("cat",)), batch_size=None, augmentation=None)


@pytest.mark.parametrize(
    ("names", "mirror"), [(("left", "right"), "off"), (("a", "b"), "off")], ids=["sides", "letters"]
)
def test_the_mirror_is_decided_and_said(
    names: tuple[str, ...], mirror: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The recipe of the run says what was decided and why."""
    with caplog.at_level(logging.WARNING):
        suited = suit(RECIPE, folder_of(tmp_path, 8, names), batch_size=None, augmentation=None)
    assert suited.augmentation.mirror == mirror
    assert suited.augmentation.reason
    assert suited.augmentation.reason in caplog.text


def test_the_check_for_a_mirror_is_a_step(tmp_path: Path) -> None:
    """It takes seconds, and only where nobody has chosen."""
    dataset, said = folder_of(tmp_path, 8), list[str]()
    for mirror in ("auto", "off"):
        recipe = augmentation_of(RECIPE, {"mirror": mirror})
        fields = {"batch_size": None, "augmentation": None}
        suit(recipe, dataset, **fields, progress=lambda _, __, what: said.append(what))
    assert said == 2 * ["checking whether images may be mirrored"]


def test_the_choice_of_the_user_stays(tmp_path: Path) -> None:
    """No check overrules it, and it has no other reason."""
    given: dict[str, Any] = {"mirror": "on", "brightness": 0.1, "crop_scale": None}
    recipe = augmentation_of(RECIPE, given)
    dataset = folder_of(tmp_path, 8, ("left", "right"))
    found = suit(recipe, dataset, batch_size=None, augmentation=given).augmentation
    assert (found.mirror, found.reason, found.brightness) == ("on", "", 0.1)
    assert found.crop_scale == RECIPE.augmentation.crop_scale


def _under_light(
    root: Path, names: tuple[str, ...], *, validation: float, size_px: int = 20
) -> Dataset:
    """Draw images of a mean of one half for training, and of another one for validation."""
    generator = np.random.default_rng(0)
    for part, level in {"train": 0.5, "val": validation}.items():
        for name in names:
            (root / part / name).mkdir(parents=True)
            for index in range(20):
                values = generator.normal(255 * level, 20, (size_px, size_px))
                values = values.clip(0, 255).astype(np.uint8)
                Image.fromarray(values).save(root / part / name / f"{index}.png")
    return open_dataset(str(root), seed=0)


@pytest.mark.parametrize("given", [None, 0.2])
def test_the_brightness_is_changed_where_labels_meet_another_light(
    given: float | None, tmp_path: Path
) -> None:
    """Elsewhere it costs some accuracy; who asks for it gets it all the same."""
    options: dict[str, Any] = {"batch_size": None, "augmentation": {"brightness": given}}
    recipe = augmentation_of(RECIPE, options["augmentation"])
    found = {
        name: suit(recipe, dataset, **options).augmentation.brightness
        for name, dataset in {
            "other": _under_light(tmp_path / "other", ("a", "b"), validation=0.3),
            "same": _under_light(tmp_path / "same", ("a", "b"), validation=0.5),
            "no labels": _under_light(tmp_path / "flat", (".",), validation=0.3),
        }.items()
    }
    assert found == {"other": given or RECIPE.augmentation.brightness} | dict.fromkeys(
        ("same", "no labels"), given or 0.0
    )
    assert RECIPE.augmentation.brightness > 0


@pytest.mark.parametrize(
    ("size_px", "names", "expected"),
    [(96, ("a", "b"), RECIPE.half_size), (94, ("a", "b"), 0.0), (96, (".",), 0.0)],
)
def test_large_images_with_labels_are_halved_at_first(
    size_px: int, names: tuple[str, ...], expected: float, tmp_path: Path
) -> None:
    """Of small ones too little would be left, and denoisers learn from windows."""
    dataset = _under_light(tmp_path, names, validation=0.5, size_px=size_px)
    assert suit(RECIPE, dataset, batch_size=None, augmentation=None).half_size == expected
    assert RECIPE.half_size > 0


def test_an_impossible_change_is_refused() -> None:
    """The message names the field."""
    with pytest.raises(InputError, match="crop_scale"):
        augmentation_of(RECIPE, {"crop_scale": 1.5})


def test_digits_are_never_changed() -> None:
    """They keep the recipe as it is, and options without effect are refused."""
    dataset = open_dataset("digits", seed=0, train_count=80, test_count=2)
    recipe = Recipe.named("quick")
    assert suit(recipe, dataset, batch_size=None, augmentation=None) == recipe
    with pytest.raises(InputError, match="no effect on digits"):
        suit(recipe, dataset, batch_size=None, augmentation={"mirror": "on"})


def uneven_folder(root: Path, counts: dict[str, int], size_px: int = 20) -> Dataset:
    """A folder with so many training images of each class, and one of each for validation."""
    for name, count in counts.items():
        for index in range(count + 1):
            place = root / ("train" if index else "val") / name
            place.mkdir(parents=True, exist_ok=True)
            values = np.random.default_rng(index).integers(0, 256, (size_px, size_px), np.uint8)
            Image.fromarray(values).save(place / f"{index}.png")
    return open_dataset(str(root), seed=0)


@pytest.mark.parametrize(
    ("counts", "batch_size", "balance"),
    [((8, 8), 4, "none"), ((12, 4), 4, "loss"), ((23, 1), 4, "sampling"), ((23, 1), 24, "loss")],
)
def test_uneven_classes_are_balanced_and_said(
    counts: tuple[int, int],
    batch_size: int,
    balance: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By the loss where most batches hold the smallest class, else by sampling."""
    dataset = uneven_folder(tmp_path, dict(zip(("cat", "dog"), counts, strict=True)))
    with caplog.at_level(logging.WARNING):
        suited = suit(
            RECIPE.adjusted(batch_size=batch_size),
            dataset,
            batch_size=batch_size,
            augmentation=None,
        )
    assert suited.balance == balance
    assert bool(suited.class_weights) == (balance != "none")
    assert ("classes are uneven" in caplog.text) == (balance != "none")
    assert ("75 % to 25 %" in caplog.text) == (counts == (12, 4))


def test_what_the_user_asks_of_uneven_classes_is_done(tmp_path: Path) -> None:
    """Without balance all images count alike; a denoiser has no labels to balance."""
    dataset = uneven_folder(tmp_path, {"cat": 12, "dog": 3})
    given = {"batch_size": None, "augmentation": None}
    assert suit(RECIPE.adjusted(balance="none"), dataset, **given).class_weights == ()
    assert suit(RECIPE.adjusted(balance="sampling"), dataset, **given).sampling_weights
    assert suit(RECIPE, dataset, **given, classifies=False).balance == "none"


@pytest.mark.parametrize("balance", ["loss", "sampling"])
def test_a_balance_without_classes_is_refused(balance: str, tmp_path: Path) -> None:
    """Of a denoiser, of images without labels and of digits, which are drawn evenly."""
    digits = open_dataset("digits", seed=0, train_count=80, test_count=2)
    given = {"batch_size": None, "augmentation": None}
    labelled = uneven_folder(tmp_path / "labelled", {"cat": 12, "dog": 3})
    plain = folder_of(tmp_path / "plain", 6, names=("",))
    recipe = RECIPE.adjusted(balance=balance)
    for dataset, classifies in ((labelled, False), (plain, True), (digits, True)):
        with pytest.raises(InputError, match=f"the balance '{balance}' has no effect"):
            suit(recipe, dataset, **given, classifies=classifies)


def test_pairs_also_learn_from_the_logarithm_of_the_error(tmp_path: Path) -> None:
    """By the recipe of a folder, and it is in the recipe of the run; other images do not."""
    for part, total in (("train", 6), ("val", 2)):
        for twin in ("noisy", "clean"):
            for index in range(total):
                place = tmp_path / "pairs" / part / twin
                place.mkdir(parents=True, exist_ok=True)
                values = np.random.default_rng(index).integers(0, 256, (20, 20), np.uint8)
                Image.fromarray(values).save(place / f"{index}.png")
    pairs = open_dataset(str(tmp_path / "pairs"), seed=0)
    given: dict[str, Any] = {"batch_size": None, "augmentation": None}
    assert suit(RECIPE, pairs, **given).loss.log_mse > 0
    own = RECIPE.adjusted(name="own")
    assert suit(own, pairs, **given).loss == own.loss
    assert suit(RECIPE, folder_of(tmp_path / "images", 6), **given).loss == RECIPE.loss
