"""Open a dataset, choose an architecture for it, and check that both fit."""

import inspect
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from tapetum.arch import Architecture, Described, open_architecture
from tapetum.data import DataOptions, Dataset, DatasetInfo, digits, open_dataset
from tapetum.errors import ArchitectureError, DataError, InputError, RunError
from tapetum.jobs.data_remarks import data_remarks
from tapetum.noise import Protocol
from tapetum.progress import shown_path

__all__ = [
    "SPLIT",
    "AskedPrecision",
    "DataOptions",
    "StartName",
    "architecture_for",
    "is_digits",
    "is_start_name",
    "lists_options",
    "named_architecture",
    "open_logged",
    "pair_of",
    "refuse_noise_of_pairs",
    "refuse_without_labels",
    "require_fit",
    "require_network",
    "require_wanted",
    "say",
]

PAIR = ("mobilenet-v3-small", "unet-s")  # that a user would pick by hand: for label and image
SPLIT = "split.json"  # of a run: the files that train and those that validate

F = TypeVar("F", bound=Callable[..., Any])

StartName = Literal["fresh", "auto", "efficientnet-lite0"]

AskedPrecision = Literal["fp32", "int8", "auto"]
"""What a user asks for; ``auto`` is int8 where it pays."""


def lists_options(job: F) -> F:
    """Let ``help`` show each option that a job takes as ``**options: Unpack[...]``."""
    signature = inspect.signature(job)
    *named, others = signature.parameters.values()
    (kind,) = get_args(others.annotation)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=..., annotation=hint)
        for name, hint in get_type_hints(kind).items()
    ]
    job.__signature__ = signature.replace(parameters=[*named, *options])  # type: ignore[attr-defined]
    return job


def say(text: str) -> None:
    """Print a line for the user; of the processes of torchrun the first one does."""
    if os.environ.get("RANK", "0") == "0":
        logging.getLogger("tapetum").warning("%s", text)


def open_logged(data: str | Path, *, learns_by: Protocol | None = None, **options: Any) -> Dataset:
    """Open a dataset as :func:`open_dataset` does, and print what a folder holds.

    Where a network learns from the images, by a protocol of noise, they may be too few.
    """
    dataset = open_dataset(str(data), **options)
    if dataset.summary is not None:
        for name, line in dataset.summary.facts(brief=True).items():
            say(f"{name}: {line}")
        for sentence in () if learns_by is None else data_remarks(dataset, learns_by):
            say(sentence)
    return dataset


def is_digits(data: str | Path) -> bool:
    """Return whether a dataset is composed from digits, in a form of its own."""
    return str(data) in (digits.DIGITS, digits.DIGIT_CROPS)


def architecture_for(architecture: str | Path | Architecture, dataset: Dataset) -> Architecture:
    """Return an architecture, with the channels and classes of a dataset where it has a name."""
    if not isinstance(architecture, Architecture):
        architecture = named_architecture(str(architecture), dataset.info)
    require_fit(architecture, dataset)
    return architecture


def is_start_name(start: str | Path | None) -> bool:
    """Return whether a start is one of the names, and no path."""
    return start in get_args(StartName)


def require_wanted(architecture: object, start: str | Path | None) -> None:
    """Refuse a training of no network: without an architecture, and without weights to start."""
    if architecture is None and (start is None or is_start_name(start)):
        raise InputError("no architecture is given", "name one, or give --start a run or a package")


def require_network(path: Path) -> None:
    """Refuse a path at which there is neither a run nor a package."""
    if not path.exists():
        what = "package" if path.suffix == ".tapetum" else "run or package"
        raise InputError(
            f"there is no {what} {shown_path(path)}",
            "check the path: give the folder of a finished run or fit, or a .tapetum file",
        )
    if path.is_dir() and not (path / "request.json").is_file():
        raise RunError(
            f"{shown_path(path)} is not the folder of a run or a fit: it has no request.json",
            "give a folder that 'tapetum train --out' or 'tapetum fit --out' has made, or a "
            ".tapetum file",
        )


def named_architecture(name: str, info: DatasetInfo) -> Architecture:
    """Return the architecture of a file, or of a name with channels and classes of a dataset."""
    num_classes = max(2, len(info.class_names))
    return open_architecture(
        name, channels=info.channels, num_classes=num_classes, boxes=info.has_boxes
    )


def pair_of(info: DatasetInfo) -> tuple[str, ...]:
    """Return the names of the pair for a dataset; the denoiser alone where it has no labels."""
    return PAIR if info.class_names else PAIR[1:]


def refuse_noise_of_pairs(dataset: Dataset, **given: object) -> None:
    """Refuse options of noise, by their names, on paired images, which bring their own."""
    named = [f"--{name}" for name, value in given.items() if value]
    if named and dataset.info.is_paired:
        raise InputError(
            f"{' and '.join(named)} has no effect on {dataset.info.source}: each of its clean "
            "images has a noisy one",
            "leave it out",
        )


def refuse_without_labels(
    dataset: Dataset, resize: str | None, augmentation: Mapping[str, Any] | None
) -> None:
    """Refuse options for labels of whole images where training cuts windows out of images."""
    given = {"--resize": resize, "--crop-scale": (augmentation or {}).get("crop_scale")}
    named = [name for name, value in given.items() if value is not None]
    if named and dataset.info.preparation.size_px is None:
        raise InputError(
            f"{' and '.join(named)} has no effect on {dataset.info.source}: its images have no "
            "labels of whole images",
            "leave it out",
        )


def require_fit(
    architecture: Described, dataset: Dataset, *, class_names: Sequence[str] = ()
) -> None:
    """Refuse an architecture that cannot be used on a dataset; the message names all faults."""
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
