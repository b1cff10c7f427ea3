"""What training and validation see of a file: the whole image, or windows at its resolution."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tapetum.data import Augmentation
from tapetum.data.layout import ImageFile
from tapetum.data.loading import Decoding, load_all
from tapetum.data.views import FolderDataset
from tapetum.images import read_image
from tapetum.runtime import Preparation

Samples = NDArray[Any]
NO_CHANGES = Augmentation(mirror="off", crop_scale=1)


def values(height: int, width: int, *, seed: int = 0, white: int = 255) -> Samples:
    """Random samples, (h, w), of 8 or 16 bits."""
    kind = np.uint8 if white == 255 else np.uint16
    return np.random.default_rng(seed).integers(0, white + 1, (height, width), kind)


def files_of(folder: Path, stored: list[Samples], class_name: str | None = "a") -> list[ImageFile]:
    """Writes images, and describes them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index, samples in enumerate(stored):
        Image.fromarray(samples).save(folder / f"{index}.png")
        files.append(ImageFile(folder / f"{index}.png", None, class_name))
    return files


def dataset_of(
    files: list[ImageFile], *, size_px: int, channels: int = 1, **preparation: Any
) -> FolderDataset:
    """A dataset of files, as a folder of them is opened."""
    whole = files[0].class_name is not None and files[0].box is None
    loaded, skipped = load_all(files, Decoding(), kept_bytes=2**30)
    assert not skipped
    return FolderDataset(
        loaded,
        class_names=tuple(sorted({file.class_name for file in files if file.class_name})),
        preparation=Preparation(
            size_px=size_px if whole else None, channels=channels, **preparation
        ),
        size_px=size_px,
        source="a test",
    )


def training(images: FolderDataset, *, epoch: int = 0, seed: int = 0) -> NDArray[np.float32]:
    """What a dataset gives for training."""
    return images.take(range(len(images)), epoch=epoch, seed=seed, train=True).images


@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
@pytest.mark.parametrize(
    "stored",
    [
        values(20, 20),
        values(32, 32),
        values(90, 60),
        values(40, 70, white=65535),
        np.stack([values(48, 33, seed=channel) for channel in range(3)], axis=2),
        np.stack([values(30, 40, seed=channel) for channel in range(4)], axis=2),
    ],
    ids=["smaller", "equal", "larger", "16 bits", "RGB", "alpha"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_validation_is_the_prepared_image(
    stored: Samples, resize: str, channels: int, tmp_path: Path
) -> None:
    """Validation sees, to the bit, what a device makes of the same file."""
    (file,) = files_of(tmp_path, [stored])
    images = dataset_of([file], size_px=32, channels=channels, resize=resize)
    preparation = Preparation(size_px=32, channels=channels, resize=resize)
    expected = preparation.resized(preparation.colours(read_image(file.path)))
    for _ in range(2):  # read first, then from memory
        found = images.take([0], epoch=0, seed=0, train=False).images[0]
        np.testing.assert_array_equal(found, expected)


def test_training_without_changes_is_validation(tmp_path: Path) -> None:
    """With whole images and no changes, training sees the prepared image too."""
    images = dataset_of(files_of(tmp_path, [values(50, 80)]), size_px=24).augmented(NO_CHANGES)
    prepared = images.take([0], epoch=0, seed=0, train=False).images
    np.testing.assert_allclose(training(images), prepared, atol=1e-6)


def test_training_sees_regions_with_the_proportions_of_the_image(tmp_path: Path) -> None:
    """A ramp shows size and place of the region: at least the stated share, anywhere."""
    across = np.tile(np.linspace(0, 255, 64), (32, 1)).round().astype(np.uint8)
    down = np.tile(np.linspace(0, 255, 32)[:, None], (1, 64)).round().astype(np.uint8)
    stored = [np.stack([across, down, across], axis=2)] * 60
    images = dataset_of(files_of(tmp_path, stored), size_px=32, channels=3)
    views = training(images.augmented(Augmentation(mirror="off", crop_scale=0.25)))
    width = views[:, 0, 16, -1] - views[:, 0, 16, 0]
    height = views[:, 1, -1, 16] - views[:, 1, 0, 16]
    np.testing.assert_allclose(width, height, atol=0.06)
    assert width.min() > 0.4
    assert width.min() < 0.65
    assert width.max() > 0.9
    assert np.ptp(views[:, 0].mean(axis=(1, 2))) > 0.2


def test_unlabelled_images_keep_their_resolution(tmp_path: Path) -> None:
    """A training image without label is a window of the stored one."""
    stored = values(24, 30)
    images = dataset_of(files_of(tmp_path, [stored] * 6, None), size_px=16)
    windows = np.lib.stride_tricks.sliding_window_view(stored / np.float32(255), (16, 16))
    windows = windows.reshape(-1, 16, 16)
    for view in training(images)[:, 0]:
        assert np.abs(windows - view).max(axis=(1, 2)).min() < 1e-6


def test_a_recipe_may_cut_smaller_windows(tmp_path: Path) -> None:
    """Of images without labels; others, and validation, keep the training size."""
    stored = [values(40, 50)] * 4
    wanted = Augmentation(mirror="off", window_px=24)
    unlabelled = dataset_of(files_of(tmp_path, stored, None), size_px=32).augmented(wanted)
    assert training(unlabelled).shape[2:] == (24, 24)
    assert unlabelled.take([0], epoch=0, seed=0, train=False).images.shape[2:] == (32, 32)
    labelled = dataset_of(files_of(tmp_path, stored), size_px=32).augmented(wanted)
    assert training(labelled).shape[2:] == (32, 32)
    assert wanted.window_of(16, has_labels=False) == 16


def test_small_unlabelled_images_are_enlarged(tmp_path: Path) -> None:
    """An image below the size is enlarged, so that every image has the size."""
    images = dataset_of(files_of(tmp_path, [values(20, 33)] * 3, None), size_px=32)
    prepared = images.take([0], epoch=0, seed=0, train=False).images
    assert training(images).shape[2:] == prepared.shape[2:] == (32, 32)


def paired(folder: Path, class_name: str | None) -> list[ImageFile]:
    """Clean images with twins that are brighter by 100."""
    clean = [values(40, 56, seed=index) // 2 for index in range(8)]
    twins = files_of(folder / "noisy", [one + 100 for one in clean], class_name)
    files = files_of(folder / "clean", clean, class_name)
    return [file._replace(noisy_path=twin.path) for file, twin in zip(files, twins, strict=True)]


@pytest.mark.parametrize("class_name", [None, "a"])
@pytest.mark.parametrize("train", [True, False])
def test_twins_are_changed_alike(class_name: str | None, train: bool, tmp_path: Path) -> None:
    """A noisy image is cut, turned and resampled with its clean twin."""
    changes = Augmentation(mirror="on", vertical_flip=True, quarter_turns=True)
    images = dataset_of(paired(tmp_path, class_name), size_px=24).augmented(changes)
    taken = images.take(range(8), epoch=0, seed=0, train=train)
    assert taken.noisy is not None
    np.testing.assert_allclose(taken.noisy, taken.images + 100 / 255, atol=1e-5)


def test_labelled_pairs_are_seen_whole_and_at_their_own_resolution(tmp_path: Path) -> None:
    """The label needs the whole image and the denoiser the true noise: training has both."""
    images = dataset_of(paired(tmp_path, "a"), size_px=24).augmented(NO_CHANGES)
    prepared = images.take(range(8), epoch=0, seed=0, train=False).images
    whole = [np.allclose(*pair, atol=1e-5) for pair in zip(training(images), prepared, strict=True)]
    assert 1 <= sum(whole) <= 7


def boxed(folder: Path) -> list[ImageFile]:
    """Images with one bright box each, one of them near the corner and one larger than 24 px."""
    boxes = ((2.0, 3.0, 12.0, 15.0), (40.0, 30.0, 52.0, 38.0), (10.0, 4.0, 40.0, 36.0))
    stored = []
    for box in boxes:
        left, top, right, bottom = map(int, box)
        canvas = np.full((40, 56), 20, np.uint8)
        canvas[top:bottom, left:right] = 220
        stored.append(canvas)
    files = files_of(folder, stored, "a")
    return [file._replace(box=box) for file, box in zip(files, boxes, strict=True)]


@pytest.mark.parametrize("train", [True, False])
def test_boxes_follow_the_image(train: bool, tmp_path: Path) -> None:
    """Whatever window is cut and however it is turned, the box has the bright pixels in it."""
    changes = Augmentation(mirror="on", vertical_flip=True, quarter_turns=True)
    images = dataset_of(boxed(tmp_path), size_px=24).augmented(changes)
    for epoch in range(6):
        taken = images.take(range(3), epoch=epoch, seed=0, train=train)
        assert taken.boxes is not None
        assert taken.labels is not None
        assert taken.boxes.shape == (3, 1, 4)
        assert taken.labels.shape == (3, 1)
        for view, box in zip(taken.images[:, 0], taken.boxes[:, 0], strict=True):
            left, top, right, bottom = np.rint(box).astype(int)
            inside = np.zeros((24, 24), bool)
            inside[top:bottom, left:right] = True
            assert (inside == (view > 0.5)).mean() > 0.9


def test_a_sample_is_the_file(tmp_path: Path) -> None:
    """Scores see the file at its own resolution, with its label, its twin and its box."""
    file = boxed(tmp_path)[1]
    sample = dataset_of([file], size_px=24).sample(0)
    np.testing.assert_array_equal(sample.image.pixels, read_image(file.path).pixels)
    assert sample.labels is not None
    assert sample.boxes is not None
    assert (sample.labels.tolist(), sample.boxes.tolist()) == ([0], [[40, 30, 52, 38]])


def test_every_frame_can_be_an_image(tmp_path: Path) -> None:
    """A file with several frames gives the frame that is asked for."""
    frames = [Image.fromarray(np.full((32, 32), 40 * number, np.uint8)) for number in range(3)]
    frames[0].save(tmp_path / "stack.tif", save_all=True, append_images=frames[1:])
    files = [ImageFile(tmp_path / "stack.tif", None, "a", frame=number) for number in range(3)]
    images = dataset_of(files, size_px=32)
    found = images.take(range(3), epoch=0, seed=0, train=False).images.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found, np.array([0, 40, 80]) / 255, atol=1e-6)


@pytest.mark.parametrize("class_name", [None, "a"])
def test_random_views_depend_on_seed_epoch_and_index(
    class_name: str | None, tmp_path: Path
) -> None:
    """Views are the same for the same seed, epoch and index, whatever is taken beside."""
    stored = [values(40, 48, seed=index) for index in range(8)]
    images = dataset_of(files_of(tmp_path, stored, class_name), size_px=24)
    images = images.augmented(Augmentation(mirror="on", brightness=0.2))
    first = training(images)
    alone = images.take([3], epoch=0, seed=0, train=True).images
    np.testing.assert_array_equal(alone[0], first[3])
    np.testing.assert_array_equal(training(images), first)
    assert (training(images, epoch=1) != first).any(axis=(1, 2, 3)).sum() >= 5
    assert (training(images, seed=1) != first).any(axis=(1, 2, 3)).sum() >= 5


def test_mirroring_happens_in_training_only_and_where_it_is_on(tmp_path: Path) -> None:
    """About half of the training images are mirrored, none in validation, none when off."""
    ramp = np.tile(np.arange(32, dtype=np.uint8), (32, 1))
    images = dataset_of(files_of(tmp_path, [ramp] * 50, None), size_px=32)

    def mirrored(views: NDArray[np.float32]) -> int:
        return int((views[:, 0, 0, 0] > views[:, 0, 0, -1]).sum())

    on = images.augmented(Augmentation(mirror="on"))
    assert 12 <= mirrored(training(on)) <= 38
    assert mirrored(on.take(range(50), epoch=0, seed=0, train=False).images) == 0
    assert mirrored(training(images.augmented(Augmentation(mirror="off")))) == 0


def test_auto_is_decided_by_the_names_before_the_images(tmp_path: Path) -> None:
    """The reason is kept with the decision, and a decision of the user stays."""
    files = files_of(tmp_path / "l", [values(20, 20)] * 3, "left")
    files += files_of(tmp_path / "r", [values(20, 20)] * 3, "right")
    images = dataset_of(files, size_px=16)
    decided = images.augmented(Augmentation()).augmentation
    assert decided.mirror == "off"
    assert "'left'" in decided.reason
    assert images.augmented(Augmentation(mirror="on")).augmentation.mirror == "on"


def test_images_without_labels_may_be_mirrored(tmp_path: Path) -> None:
    """There is no label that a mirror could make wrong."""
    images = dataset_of(files_of(tmp_path, [values(20, 20)] * 2, None), size_px=16)
    assert images.augmented(Augmentation()).augmentation.mirror == "on"
