"""Open a dataset: a folder of images, or the two-digit images of the controlled study."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tapetum.data.dataset import Dataset, DatasetInfo
from tapetum.data.digits import (
    DIGIT_CROPS,
    DIGITS,
    IMAGE_PX,
    DigitCrops,
    DigitDataset,
    open_digits,
)
from tapetum.data.folder import VAL_FRACTION, open_folder
from tapetum.data.layout import Ask
from tapetum.data.mnist import DIGIT_PX
from tapetum.data.splitlist import SplitList
from tapetum.errors import DataError
from tapetum.progress import ProgressCallback
from tapetum.provenance import require_seed
from tapetum.runtime import Preparation, Resize, Split

__all__ = ["open_dataset"]


def open_dataset(
    data: str,
    *,
    seed: int,
    data_root: Path | None = None,
    download: bool = False,
    train_count: int | None = None,
    test_count: int | None = None,
    size_px: int | None = None,
    channels: int | None = None,
    resize: Resize | None = None,
    labels: Path | None = None,
    layout: str | None = None,
    group_by: str | None = None,
    val_fraction: float | None = None,
    white: float | str | None = "auto",
    class_names: tuple[str, ...] = (),
    like: Split | None = None,
    listed: SplitList | None = None,
    score_all: bool = False,
    progress: ProgressCallback | None = None,
) -> Dataset:
    """Open a dataset.

    Args:
        data: A folder, or ``digits`` or ``digit-crops`` (:mod:`tapetum.data.digits`).
        seed: Seed of the split of a folder, or of the composition of digits.
        data_root: Folder with MNIST's idx files (digits only).
        download: Whether MNIST may be downloaded (digits only).
        train_count: Number of two-digit training images; default 30,000 (digits only).
        test_count: The same for validation; default 2,000.
        size_px: Height and width of the images; by default the folder decides.
        channels: 1 (grey) or 3 (RGB); by default the folder decides.
        resize: How a labelled image becomes square; see :class:`tapetum.runtime.Preparation`.
        labels: A table of labels (:mod:`tapetum.data.labels_file`); by default one in the folder.
        layout: How to read a folder that can be read in two ways (:mod:`tapetum.data.layout`).
        group_by: ``folder`` or a regular expression: what keeps images on one side of the split.
        val_fraction: Share that validates where the folder has no validation part; default 0.2.
        white: Stored value that 1.0 stands for in deep files; ``auto`` finds it.
        class_names: Classes of a trained network, by which a folder is read for scoring.
        like: How the folder of a training was divided; this one is read and divided alike.
        listed: The files of a training (``split.json`` of a run): what trained never validates.
        score_all: Whether the validation part holds all images of the folder, for scoring.
        progress: Called after each image file that was read.

    Raises:
        DataError: The dataset cannot be opened, or an argument has no effect on it.
    """
    require_seed(seed)
    asked = Ask(layout, None if labels is None else Path(labels), group_by, class_names, white)
    if data in (DIGITS, DIGIT_CROPS):
        given = {"size": size_px, "channels": channels, "resize": resize}
        _refuse_of_folders(data, asked, given)
        counts = {"train_count": train_count, "test_count": test_count}
        chosen: dict[str, Any] = {
            name: count for name, count in counts.items() if count is not None
        }
        digits = open_digits(data_root, download=download, seed=seed, **chosen)
        return _dataset_of_digits(data, *digits, seed=seed)
    _refuse("on a folder", train_count=train_count is not None, test_count=test_count is not None)
    root = _folder(data)
    if like is not None:
        asked, val_fraction = _alike(root, asked, val_fraction, like)
    dataset = open_folder(
        root,
        seed=seed,
        size_px=size_px,
        channels=channels,
        resize=resize or "squash",
        val_fraction=VAL_FRACTION if val_fraction is None else val_fraction,
        score_all=score_all,
        ask=asked,
        listed=listed,
        progress=None if progress is None else partial(progress, message="reading images"),
        looking=None if progress is None else partial(progress, message="looking at files"),
    )
    is_chosen = listed is not None or score_all
    return dataset if like is None or is_chosen else _compared(dataset, like)


def _folder(data: str) -> Path:
    if not Path(data).is_dir():
        remedy = "give a folder of images, or the word 'digits' or 'digit-crops'"
        raise DataError(f"there is no folder {data!r}", remedy)
    return Path(data)


def _alike(
    root: Path, asked: Ask, val_fraction: float | None, like: Split
) -> tuple[Ask, float | None]:
    """Return what is asked, with the answers of a training where nothing is asked."""
    labels = asked.labels
    if labels is None and like.labels is not None and Path(like.labels).is_relative_to(root):
        labels = Path(like.labels)
    asked = asked._replace(
        layout=asked.layout or like.layout,
        group_by=asked.group_by or like.group_by,
        labels=labels,
    )
    return asked, like.val_fraction if val_fraction is None else val_fraction


def _compared(dataset: Dataset, like: Split) -> Dataset:
    """Return a dataset with a note where its files are not those of a training."""
    split = dataset.info.split
    if split is None or dataset.summary is None or split.files_sha256 == like.files_sha256:
        return dataset
    note = (
        f"its {split.num_files:,} files are not exactly the {like.num_files:,} of the training; "
        "images that are still there keep their side of the split"
    )
    return replace(dataset, summary=dataset.summary.noted(note))


def _refuse_of_folders(data: str, asked: Ask, given: dict[str, Any]) -> None:
    """Refuse what has no effect on digits."""
    own = {"size": IMAGE_PX if data == DIGITS else DIGIT_PX, "channels": 1}
    idle = {name: value not in (None, own.get(name)) for name, value in given.items()}
    asks = {name: getattr(asked, name) is not None for name in ("labels", "layout", "group_by")}
    _refuse(f"on {data}", **idle, **asks, white=asked.white != "auto")


def _refuse(where: str, **given: bool) -> None:
    """Refuse options that would be ignored."""
    idle = [f"--{name.replace('_', '-')}" for name, is_given in given.items() if is_given]
    if idle:
        raise DataError(f"{', '.join(idle)} has no effect {where}", "leave it out")


def _dataset_of_digits(data: str, train: DigitDataset, test: DigitDataset, *, seed: int) -> Dataset:
    """Return two-digit images, or their single digits, with the facts that identify them."""
    has_boxes = data == DIGITS
    size_px = IMAGE_PX if has_boxes else DIGIT_PX
    parts = [part if has_boxes else DigitCrops(part) for part in (train, test)]
    info = DatasetInfo(
        source=data,
        description=parts[0].source,
        size_px=size_px,
        channels=1,
        preparation=Preparation(size_px=None if has_boxes else size_px, channels=1),
        class_names=train.class_names,
        num_train=len(parts[0]),
        num_validation=len(parts[1]),
        seed=seed,
        typical_px=(size_px, size_px),
        has_boxes=has_boxes,
    )
    return Dataset(parts[0], parts[1], info)
