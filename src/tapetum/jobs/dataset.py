"""Which images a job is about, and which architecture fits them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tapetum.arch import (
    Architecture,
    Described,
    architecture_names,
    find_architecture,
)
from tapetum.data import Concatenated, DigitCrops, ImageDataset, open_digits, open_folder
from tapetum.errors import ArchitectureError, DataError, nearest, require_effect
from tapetum.progress import ProgressCallback
from tapetum.records import Identity

__all__ = [
    "DIGITS",
    "DIGIT_CROPS",
    "OpenedDataset",
    "architecture_for",
    "open_dataset",
    "require_fit",
]

DIGITS = "digits"
DIGIT_CROPS = "digit-crops"
DIGIT_IMAGE_PX = 96
TRAIN_COUNT, TEST_COUNT = 30_000, 2_000


@dataclass(frozen=True)
class OpenedDataset:
    """Opened images, and what identifies them in a request.

    Attributes:
        train: For training.
        validation: Never trained on.
        identity: Where they come from, how many, which split: what a resumed run compares.
        skipped: Files that could not be read, each with its reason.
        boxes: Whether labels belong to boxes.
        paired: Whether noisy twins were given, so that no noise is added.
    """

    train: ImageDataset
    validation: ImageDataset
    identity: Identity
    skipped: tuple[tuple[Path, str], ...] = ()
    boxes: bool = False
    paired: bool = False


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
    score_all: bool = False,
    progress: ProgressCallback | None = None,
) -> OpenedDataset:
    """Opens a folder of images, or composes the two-digit images of the controlled study.

    Args:
        data: A folder; ``digits``; or ``digit-crops``, the two digits of each such image as
            images of their own, for classifiers alone.
        seed: Of the split, or of the composition.
        data_root: Where MNIST's idx files lie; for digits.
        download: Whether MNIST may be fetched; for digits.
        train_count: Two-digit training images; for digits, 30,000 where null.
        test_count: Two-digit validation images; for digits, 2,000 where null.
        size_px: Height and width for training; a folder decides by itself where null.
        channels: 1 or 3; a folder decides by itself where null.
        score_all: Whether every image of a folder is for scoring, and not a part of it.
        progress: Is told of the images read.

    Raises:
        DataError: There is nothing to learn from, or an argument that has no effect on it.
    """
    if data in (DIGITS, DIGIT_CROPS):
        side_px = DIGIT_IMAGE_PX if data == DIGITS else DigitCrops.size_px
        other_size = size_px not in (None, side_px)
        idle = {"--size": other_size, "--channels": channels not in (None, 1)}
        require_effect(idle, where=f"on {data}", kind=DataError)
        training, test, _ = open_digits(
            data_root,
            download=download,
            train_count=TRAIN_COUNT if train_count is None else train_count,
            test_count=TEST_COUNT if test_count is None else test_count,
            seed=seed,
        )
        sets: tuple[ImageDataset, ImageDataset] = (training, test)
        if data == DIGIT_CROPS:
            sets = (DigitCrops(training), DigitCrops(test))
        identity = _identity(data, *sets, side_px, seed)
        return OpenedDataset(*sets, identity, boxes=data == DIGITS)
    counts = {"--train-count": train_count is not None, "--test-count": test_count is not None}
    require_effect(counts, where="on a folder", kind=DataError)
    root = Path(data)
    if not root.is_dir():
        raise DataError(
            f"there is no folder {data!r}",
            "give a folder of images, or the word 'digits' or 'digit-crops'",
        )
    tell = None if progress is None else partial(progress, message="reading images")
    split = open_folder(root, seed=seed, size_px=size_px, channels=channels, progress=tell)
    identity = _identity(str(root.resolve()), split.train, split.val, split.train.size_px, seed)
    paired = split.val.take([0], epoch=0, seed=0, train=False).noisy is not None
    validation: ImageDataset = split.val
    if score_all:
        validation = Concatenated(split.train, split.val, source=f"all images of {root.name}")
    return OpenedDataset(split.train, validation, identity, tuple(split.skipped), paired=paired)


def architecture_for(name: str, images: OpenedDataset) -> Architecture:
    """The architecture of a name or a JSON file, made to fit the images.

    Raises:
        ArchitectureError: No architecture has this name, or it does not fit.
        InputError: The file cannot be read.
    """
    if name.endswith(".json"):
        architecture = Architecture.read(Path(name))
    elif name in architecture_names():
        architecture = find_architecture(
            name,
            channels=images.train.channels,
            num_classes=max(2, len(images.train.class_names)),
            boxes=images.boxes,
        )
    else:
        remedy = f"{nearest(name, architecture_names())}; or give a .json file"
        raise ArchitectureError(f"there is no architecture {name!r}", remedy)
    require_fit(architecture, images)
    return architecture


def require_fit(
    architecture: Described, images: OpenedDataset, *, class_names: Sequence[str] = ()
) -> None:
    """Refuses an architecture that cannot be used on these images, all faults at once.

    Args:
        architecture: What the network is.
        images: To train on, or to score.
        class_names: What the network has learnt to say; empty where it has yet to learn.

    Raises:
        DataError: The images have other names.
        ArchitectureError: Channels, classes or boxes differ.
    """
    theirs = images.validation.class_names
    if class_names and tuple(class_names) != theirs:
        raise DataError(
            f"the network names {', '.join(class_names)} but the images have "
            f"{', '.join(theirs) or 'no class folders'}",
            "give images of the same classes",
        )
    channels, classes = images.train.channels, images.train.class_names
    faults = []
    if architecture.image_channels != channels:
        faults.append(f"it takes {architecture.image_channels} channels, they have {channels}")
    if architecture.classifies:
        if not classes:
            faults.append("it names images, but they have no class folders")
        elif architecture.num_classes != len(classes):
            faults.append(f"it knows {architecture.num_classes} names, they have {len(classes)}")
        if architecture.classifies_boxes != images.boxes:
            faults.append("one of them has boxes and the other has not")
    if faults:
        raise ArchitectureError(
            f"{architecture.name} does not fit the images: {'; '.join(faults)}",
            "choose another architecture, such as a denoiser for images without classes",
        )


def _identity(
    source: str, training: ImageDataset, validation: ImageDataset, size_px: int, seed: int
) -> Identity:
    return {
        "source": source,
        "description": training.source,
        "size_px": size_px,
        "num_train": len(training),
        "num_validation": len(validation),
        "seed": seed,
    }
