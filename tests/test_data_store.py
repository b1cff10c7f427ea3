"""Images that several processes share through one file."""

import os
from pathlib import Path

import numpy as np
import pytest

from folders import draw_pairs, draw_tree
from tapetum.data import Augmentation, ImageDataset, open_dataset, open_stored, store_images
from tapetum.errors import DataError
from tiny_training import Squares


def _assert_same(one: ImageDataset, other: ImageDataset, *, train: bool) -> None:
    assert (len(one), one.class_names, one.channels) == (
        len(other),
        other.class_names,
        other.channels,
    )
    indices = [2, 0, len(one) - 1]
    parts, others = (data.take(indices, epoch=3, seed=1, train=train) for data in (one, other))
    for part, same in zip(parts, others, strict=True):
        assert (part is None) == (same is None)
        assert part is None or np.array_equal(part, same)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of five images."""
    return draw_tree(tmp_path / "photos", {"cat": 5, "dog": 5})


def test_a_stored_folder_makes_the_same_random_changes(folder: Path, tmp_path: Path) -> None:
    """Crops and mirrors come from the stored pixels as from the files."""
    train = open_dataset(str(folder), seed=0).train.augmented(Augmentation(mirror="on"))
    assert store_images(train, tmp_path / "kept") == len(train)
    _assert_same(train, open_stored(tmp_path / "kept"), train=True)


def test_stored_images_need_their_files_no_more(folder: Path, tmp_path: Path) -> None:
    """They are decoded once."""
    train = open_dataset(str(folder), seed=0).train
    store_images(train, tmp_path / "kept")
    for file in folder.rglob("*.png"):
        file.unlink()
    _assert_same(train, open_stored(tmp_path / "kept"), train=True)


def test_what_has_no_room_is_read_from_its_files(folder: Path, tmp_path: Path) -> None:
    """The others are the same whether they are in the file or not."""
    train = open_dataset(str(folder), seed=0).train
    each = train.take([0], epoch=0, seed=0, train=False).images.size  # one byte a value
    assert store_images(train, tmp_path / "kept", most_bytes=2 * each) == len(train)
    assert 0 < (tmp_path / "kept" / "pixels.bin").stat().st_size <= 2 * each
    _assert_same(train, open_stored(tmp_path / "kept"), train=True)


def test_pairs_keep_their_noisy_twins(tmp_path: Path) -> None:
    """Both images of a pair are stored."""
    root = draw_pairs(tmp_path / "pairs", "noisy/{}.png", "clean/{}.png", count=6)
    train = open_dataset(str(root), seed=0).train
    store_images(train, tmp_path / "kept")
    _assert_same(train, open_stored(tmp_path / "kept"), train=True)


@pytest.mark.parametrize("with_boxes", [False, True])
def test_images_of_any_dataset_are_stored_as_arrays(with_boxes: bool, tmp_path: Path) -> None:
    """With their labels and boxes, also for a part of them."""
    images = Squares(12, with_boxes=with_boxes).subset([3, 1, 7, 5])
    store_images(images, tmp_path / "kept")
    _assert_same(images, open_stored(tmp_path / "kept"), train=False)


def test_images_are_kept_as_validation_sees_them(folder: Path, tmp_path: Path) -> None:
    """Without random changes an image is prepared once."""
    held_out = open_dataset(str(folder), seed=0).validation.subset([0, 1, 1])
    store_images(held_out, tmp_path / "kept", with_changes=False)
    _assert_same(held_out, open_stored(tmp_path / "kept"), train=False)


def test_as_many_arrays_are_stored_as_have_room(tmp_path: Path) -> None:
    """They are spread over all images; room for none is refused."""
    images = Squares(12)
    room = 3 * (32 * 32 * 4 + 8)
    assert store_images(images, tmp_path / "kept", most_bytes=room) == 3
    _assert_same(images.subset([0, 4, 8]), open_stored(tmp_path / "kept"), train=False)
    with pytest.raises(DataError, match="no room"):
        store_images(images, tmp_path / "none", most_bytes=10)


def test_images_are_stored_once(folder: Path, tmp_path: Path) -> None:
    """What an interrupted command has left is written again, what is whole is not."""
    train = open_dataset(str(folder), seed=0).train
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "pixels.bin").write_bytes(b"half")
    store_images(train, tmp_path / "kept")
    before = (tmp_path / "kept" / "pixels.bin").stat().st_mtime_ns
    store_images(train, tmp_path / "kept")
    assert (tmp_path / "kept" / "pixels.bin").stat().st_mtime_ns == before
    _assert_same(train, open_stored(tmp_path / "kept"), train=True)


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_names_outside_of_utf8_are_stored(tmp_path: Path) -> None:
    """Their images are read from the files where there is no room for their pixels."""
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    train = open_dataset(str(draw_tree(Path(strange), {"cat": 5, "dog": 5})), seed=0).train
    each = train.take([0], epoch=0, seed=0, train=False).images.size
    store_images(train, tmp_path / "kept", most_bytes=2 * each)
    _assert_same(train, open_stored(tmp_path / "kept"), train=True)
