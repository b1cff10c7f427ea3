"""Folders of images: layouts, parts, what is skipped, sizes, colour, crops."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tapetum.data import ImageDataset, threads
from tapetum.data.folder import open_folder
from tapetum.data.layout import Ask
from tapetum.data.views import FolderDataset
from tapetum.errors import DataError


def values(height: int, width: int, *, seed: int = 0, colour: bool = False) -> NDArray[np.uint8]:
    """Random samples, (h, w) or (h, w, 3)."""
    shape = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path: Path, samples: NDArray[np.uint8] | NDArray[np.uint16] | None = None) -> None:
    """Writes an image, of 32 x 32 random pixels where none is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = values(32, 32, seed=sum(path.name.encode())) if samples is None else samples
    Image.fromarray(samples).save(path)


def save_classes(root: Path, counts: dict[str, int]) -> None:
    """Writes images in the layout ``class/image``."""
    for name, count in counts.items():
        for index in range(count):
            save(root / name / f"{index:03}.png")


def validation(images: FolderDataset, indices: Sequence[int] | None = None) -> NDArray[np.float32]:
    """What a set hands out for validation."""
    chosen = range(len(images)) if indices is None else indices
    return images.take(chosen, epoch=0, seed=0, train=False).images


def training(images: FolderDataset, *, epoch: int = 0, seed: int = 0) -> NDArray[np.float32]:
    """What a set hands out for training."""
    return images.take(range(len(images)), epoch=epoch, seed=seed, train=True).images


@pytest.mark.parametrize("has_boxes", [False, True])
def test_images_of_one_class_have_no_labels(tmp_path: Path, has_boxes: bool) -> None:
    """A class that all share teaches nothing: they are images to denoise, each once."""
    save_classes(tmp_path, {"" if has_boxes else "screw": 5})
    if has_boxes:
        boxes = [f"{index:03}.png,screw,{left},2,20,22" for index in range(5) for left in (1, 3)]
        header = "file,label,left,top,right,bottom"
        (tmp_path / "labels.csv").write_text("\n".join([header, *boxes]))
    dataset = open_folder(tmp_path, seed=0)
    assert len(dataset.train) + len(dataset.validation) == 5
    assert dataset.info.class_names == ()
    assert not dataset.info.has_boxes
    assert dataset.train.labels is None
    assert dataset.summary is not None
    assert "so there are no labels to learn" in " ".join(dataset.summary.notes)


def test_a_network_keeps_its_classes_where_all_images_are_of_one(tmp_path: Path) -> None:
    """Its labels can be scored on them."""
    save_classes(tmp_path, {"nut": 3})
    ask = Ask(class_names=("bolt", "nut"))
    dataset = open_folder(tmp_path, seed=0, ask=ask, score_all=True)
    assert dataset.validation.class_names == ("bolt", "nut")
    assert dataset.validation.labels is not None
    assert dataset.validation.labels.tolist() == [1, 1, 1]


def test_given_parts_are_kept(tmp_path: Path) -> None:
    """Where train and val are given they are used as they are, with labels in sorted order."""
    save_classes(tmp_path / "train", {"rust": 3, "crack": 2})
    save_classes(tmp_path / "val", {"rust": 1, "crack": 2})
    split = open_folder(tmp_path, seed=0)
    assert (len(split.train), len(split.validation)) == (5, 3)
    assert split.info.class_names == ("crack", "rust")
    labels = split.train.take(range(5), epoch=0, seed=0, train=False).labels
    assert labels is not None
    assert labels.tolist() == [0, 0, 1, 1, 1]
    assert "as given" in split.info.description
    assert isinstance(split.train, ImageDataset)


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_other_names_of_the_validation_part(tmp_path: Path, name: str) -> None:
    """The validation part may also be called valid or validation."""
    save_classes(tmp_path / "train", {"a": 2})
    save_classes(tmp_path / name, {"a": 3})
    assert len(open_folder(tmp_path, seed=0).validation) == 3


def test_a_test_part_is_left_alone(tmp_path: Path) -> None:
    """A test part validates where there is no validation part, and is left alone otherwise."""
    save_classes(tmp_path / "train", {"a": 5})
    save_classes(tmp_path / "test", {"a": 7})
    assert len(open_folder(tmp_path, seed=0).validation) == 7
    save_classes(tmp_path / "val", {"a": 2})
    split = open_folder(tmp_path, seed=0)
    assert (len(split.train), len(split.validation)) == (5, 2)
    assert "set aside" in dict(split.skipped)[tmp_path / "test"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    """A folder called train among other classes is a class, not a part."""
    save_classes(tmp_path, {"train": 2, "bus": 2})
    assert open_folder(tmp_path, seed=0).info.class_names == ("bus", "train")


def test_each_class_is_split_by_the_seed(tmp_path: Path) -> None:
    """Without given parts the seed decides which images validate, and nothing does both."""
    save_classes(tmp_path, {"a": 30, "b": 30})
    splits = [open_folder(tmp_path, seed=seed, val_fraction=0.3) for seed in (0, 0, 1)]
    assert all(10 <= len(split.validation) <= 26 for split in splits)
    chosen = [{image.file.path for image in split.validation.images} for split in splits]
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]
    assert not chosen[0] & {image.file.path for image in splits[0].train.images}
    assert "seed 0" in splits[0].info.description


def test_every_class_is_in_both_parts(tmp_path: Path) -> None:
    """Even of two images one trains and one validates."""
    save_classes(tmp_path, {"a": 2, "b": 2})
    split = open_folder(tmp_path, seed=0, val_fraction=0.01)
    assert (len(split.train), len(split.validation)) == (2, 2)


def test_flat_folders_have_no_labels(tmp_path: Path) -> None:
    """Images without class folders come without labels."""
    for index in range(5):
        save(tmp_path / f"{index}.png")
    split = open_folder(tmp_path, seed=0)
    clean = split.train.take([0, 1], epoch=0, seed=0, train=True)
    assert clean.labels is None
    assert clean.noisy is None
    assert split.info.class_names == ()
    assert "no labels" in split.info.description


@pytest.mark.parametrize("classes", [("",), ("a", "b")])
def test_pairs_stay_together(tmp_path: Path, classes: tuple[str, ...]) -> None:
    """A noisy image comes with its clean twin, cropped and flipped alike, with its label."""
    for name in classes:
        for index in range(4):
            clean = values(40, 48, seed=index) // 2
            save(tmp_path / "clean" / name / f"{index}.png", clean)
            save(tmp_path / "noisy" / name / f"{index}.bmp", clean + 100)
    split = open_folder(tmp_path, seed=0, size_px=24)
    for train in (True, False):
        taken = split.train.take(range(len(split.train)), epoch=0, seed=0, train=train)
        assert taken.noisy is not None
        np.testing.assert_allclose(taken.noisy, taken.images + 100 / 255, atol=1e-6)
        assert (taken.labels is not None) == (classes != ("",))
    assert "paired" in split.info.description


def test_half_pairs_are_skipped(tmp_path: Path) -> None:
    """An image without a twin, with a broken, a smaller one or too small itself is skipped."""
    for index in range(5):
        for part in ("noisy", "clean"):
            save(tmp_path / part / f"{index}.png")
    save(tmp_path / "clean" / "alone.png")
    save(tmp_path / "noisy" / "lonely.png")
    (tmp_path / "noisy" / "0.png").write_bytes(b"broken")
    save(tmp_path / "noisy" / "1.png", values(31, 32))
    for part in ("noisy", "clean"):
        save(tmp_path / part / "small.png", values(20, 32))
    split = open_folder(tmp_path, seed=0, size_px=24)
    reasons = {path.name: reason for path, reason in split.skipped}
    assert len(split.train) + len(split.validation) == 3
    assert "no noisy twin" in reasons["alone.png"]
    assert "no clean twin" in reasons["lonely.png"]
    assert "no noisy twin" in reasons["0.png"]
    assert reasons["1.png"] == "it is 32 x 32 px, its noisy twin 32 x 31 px"
    assert reasons["small.png"] == "it is 32 x 20 px, below 24 px"


def test_unreadable_files_are_listed_and_skipped(tmp_path: Path) -> None:
    """Each file that cannot take part is listed with its reason, hidden files too."""
    save_classes(tmp_path, {"a": 3})
    (tmp_path / "a" / "empty.png").touch()
    (tmp_path / "a" / "text.jpg").write_text("hello")
    (tmp_path / "a" / "cut.png").write_bytes((tmp_path / "a" / "000.png").read_bytes()[:200])
    (tmp_path / "a" / "notes.txt").write_text("hello")
    (tmp_path / "a" / ".DS_Store").touch()
    (tmp_path / ".git").mkdir()
    save(tmp_path / "loose.png")
    split = open_folder(tmp_path, seed=0)
    reasons = {path.relative_to(tmp_path).as_posix(): reason for path, reason in split.skipped}
    assert len(split.train) + len(split.validation) == 3
    hidden = {name: reasons.pop(name) for name in ("a/.DS_Store", ".git")}
    assert set(hidden.values()) == {"it is hidden"}
    assert set(reasons) == {"a/empty.png", "a/text.jpg", "a/cut.png", "a/notes.txt", "loose.png"}
    assert reasons["a/empty.png"] == "it is empty"
    assert "not an image of a known format" in reasons["a/text.jpg"]
    assert "damaged" in reasons["a/cut.png"]
    assert "not an image of a known format" in reasons["a/notes.txt"]
    assert "next to class folders" in reasons["loose.png"]


def test_images_are_found_below_classes(tmp_path: Path) -> None:
    """Folders inside a class belong to it, and suffixes may be capital."""
    save_classes(tmp_path, {"b": 2})
    save(tmp_path / "a" / "monday" / "0.PNG")
    save(tmp_path / "a" / "tuesday" / "0.Jpg")
    split = open_folder(tmp_path, seed=0)
    assert (len(split.train), len(split.validation), split.info.class_names) == (2, 2, ("a", "b"))


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A root that is missing or a file is named."""
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        open_folder(tmp_path / "nowhere", seed=0)
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is a file"):
        open_folder(tmp_path / "a.png", seed=0)


def test_unreadable_class_is_an_error(tmp_path: Path) -> None:
    """A class whose files are all unreadable is named; an empty folder is only left out."""
    save_classes(tmp_path, {"a": 3, "c": 2})
    (tmp_path / "b").mkdir()
    assert "no class" in dict(open_folder(tmp_path, seed=0).skipped)[tmp_path / "b"]
    (tmp_path / "b" / "broken.png").touch()
    with pytest.raises(DataError, match=r"'b' has no readable image.*broken\.png \(it is empty\)"):
        open_folder(tmp_path, seed=0)


def test_a_class_may_be_missing_in_validation(tmp_path: Path) -> None:
    """A class that only training has is said; one that only validation has is in doubt."""
    save_classes(tmp_path / "train", {"a": 1, "b": 1})
    save_classes(tmp_path / "val", {"a": 1})
    assert len(open_folder(tmp_path, seed=0).validation) == 1
    save_classes(tmp_path / "val", {"c": 1})
    with pytest.raises(DataError, match=r"two ways.*without 'c'.*--layout parts.*--layout pooled"):
        open_folder(tmp_path, seed=0)


def test_no_readable_image_is_an_error(tmp_path: Path) -> None:
    """A folder without any readable image says so, and why its files were skipped."""
    with pytest.raises(DataError, match="has no readable image"):
        open_folder(tmp_path, seed=0)
    for index in range(5):
        (tmp_path / f"{index}.png").touch()
    with pytest.raises(DataError, match=r"0\.png \(it is empty\).* and 2 more"):
        open_folder(tmp_path, seed=0)


def test_one_image_cannot_be_split(tmp_path: Path) -> None:
    """A single image cannot train and validate."""
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match="no image for validation: of 1 readable"):
        open_folder(tmp_path, seed=0)


def test_parts_must_have_one_layout(tmp_path: Path) -> None:
    """Pairs for training and single images for validation do not go together."""
    for part in ("noisy", "clean"):
        save(tmp_path / "train" / part / "0.png")
    save(tmp_path / "val" / "0.png")
    with pytest.raises(DataError, match="only one of"):
        open_folder(tmp_path, seed=0)


def test_impossible_requests_are_refused_at_once(tmp_path: Path) -> None:
    """All faults of a request are named together, before any file is opened."""
    with pytest.raises(DataError, match=r"8 px .*not 2; .*share of 1 "):
        open_folder(tmp_path, seed=0, size_px=8, channels=2, val_fraction=1.0)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((50, 44, 90), 40), ((9, 40, 40), 40), ((9, 9, 40), 16), ((300, 290, 400), 256)],
)
def test_default_size_fits_all_but_an_odd_one(
    tmp_path: Path, sides: tuple[int, ...], expected: int
) -> None:
    """The default size is the shortest side but an odd one, in steps of 8, from 16 to 256."""
    for index, side in enumerate(sides):
        save(tmp_path / f"{index}.png", values(side, side + 13))
    split = open_folder(tmp_path, seed=0)
    assert split.train.size_px == expected
    assert training(split.train).shape[2:] == (expected, expected)


def test_the_typical_size_is_that_of_the_file(tmp_path: Path) -> None:
    """The median file by its pixels, as it is shown, however small images are kept."""
    for number, (height, width) in enumerate([(40, 60), (700, 900), (52, 48), (50, 90), (44, 44)]):
        save(tmp_path / "a" / f"{number}.png", values(height, width))
    for number in range(2):
        turned = Image.fromarray(values(48, 52))
        exif = turned.getexif()
        exif[0x0112] = 6  # a quarter turn
        turned.save(tmp_path / "a" / f"turned-{number}.png", exif=exif)
    save_classes(tmp_path, {"b": 3})
    assert open_folder(tmp_path, seed=0, size_px=16).info.typical_px == (52, 48)


def test_channels_follow_the_images(tmp_path: Path) -> None:
    """One channel where all are grey, even if stored as colour; three where any has colour."""
    for index in range(2):
        save(tmp_path / f"{index}.png", np.repeat(values(32, 32)[:, :, np.newaxis], 3, axis=2))
    assert open_folder(tmp_path, seed=0).info.channels == 1
    assert training(open_folder(tmp_path, seed=0, channels=3).train).shape[1] == 3
    save(tmp_path / "2.png", values(32, 32, colour=True))
    split = open_folder(tmp_path, seed=0)
    assert split.info.channels == 3
    assert training(split.train).shape[1:] == (3, 32, 32)
    assert training(open_folder(tmp_path, seed=0, channels=1).train).shape[1] == 1


def test_big_labelled_images_are_kept_small(tmp_path: Path) -> None:
    """A big image with a name is reduced to twice the size before it is kept."""
    for place in ("a/0", "a/1", "b/0", "b/1"):
        save(tmp_path / f"{place}.png", values(200, 300))
    split = open_folder(tmp_path, seed=0, size_px=32)
    assert split.train.images[0].pixels().clean.shape[1:] == (64, 96)


def test_full_memory_changes_nothing(tmp_path: Path) -> None:
    """Images that do not fit into memory are read again and come out the same."""
    save_classes(tmp_path, {"a": 6, "b": 4})
    kept = open_folder(tmp_path, seed=0, size_px=24)
    reread = open_folder(tmp_path, seed=0, size_px=24, kept_bytes=2500)
    assert sum(image.kept is not None for image in reread.train.images) <= 2
    np.testing.assert_array_equal(training(reread.train), training(kept.train))


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (3, 3), (64, 8)])
def test_threads_are_bounded(cores: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in a thread for each usable core, and never in more than 8."""
    asked: list[int] = []

    class Recorded(ThreadPoolExecutor):
        def __init__(self, workers: int) -> None:
            asked.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    monkeypatch.setattr(threads, "ThreadPoolExecutor", Recorded)
    assert threads.in_threads(str, [1, 2]) == ["1", "2"]
    assert asked == [expected]


def test_vanished_file_is_named(tmp_path: Path) -> None:
    """A file that vanishes after the folder was opened is named when it is needed."""
    save_classes(tmp_path, {"a": 2})
    split = open_folder(tmp_path, seed=0, kept_bytes=0)
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"00.\.png could be read before, but now No such file"):
        training(split.train)


def test_progress_counts_every_file(tmp_path: Path) -> None:
    """Progress is told after each file, unreadable ones too, up to the whole number."""
    save_classes(tmp_path, {"a": 3})
    content = (tmp_path / "a" / "000.png").read_bytes()
    (tmp_path / "a" / "broken.png").write_bytes(content[: len(content) // 2])
    told: list[tuple[int, int]] = []
    open_folder(tmp_path, seed=0, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_all_images_can_be_scored(tmp_path: Path) -> None:
    """For scoring every image validates, and a class may have one image alone."""
    save_classes(tmp_path, {"a": 4, "b": 1})
    whole = open_folder(tmp_path, seed=0, score_all=True)
    assert (len(whole.train), len(whole.validation)) == (0, 5)
    assert validation(whole.validation).shape[0] == 5


def test_a_folder_of_damaged_images_cannot_be_scored(tmp_path: Path) -> None:
    """Their headers are good, and their pixels are not there."""
    save_classes(tmp_path, {"a": 2, "b": 2})
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="copy the files again"):
        open_folder(tmp_path, seed=0, score_all=True)
