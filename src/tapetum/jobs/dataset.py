"""Which architecture fits a dataset."""

from collections.abc import Sequence
from pathlib import Path

from tapetum.arch import Architecture, Described, architecture_names, find_architecture
from tapetum.data import Dataset
from tapetum.errors import ArchitectureError, DataError, nearest

__all__ = ["architecture_for", "require_fit"]


def architecture_for(name: str, dataset: Dataset) -> Architecture:
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
            channels=dataset.info.channels,
            num_classes=max(2, len(dataset.info.class_names)),
            boxes=dataset.info.has_boxes,
        )
    else:
        remedy = f"{nearest(name, architecture_names())}; or give a .json file"
        raise ArchitectureError(f"there is no architecture {name!r}", remedy)
    require_fit(architecture, dataset)
    return architecture


def require_fit(
    architecture: Described, dataset: Dataset, *, class_names: Sequence[str] = ()
) -> None:
    """Refuses an architecture that cannot be used on these images, all faults at once.

    Args:
        architecture: What the network is.
        dataset: To train on, or to score.
        class_names: What the network has learnt to say; empty where it has yet to learn.

    Raises:
        DataError: The images have other names.
        ArchitectureError: Channels, classes or boxes differ.
    """
    theirs = dataset.info.class_names
    if class_names and tuple(class_names) != theirs:
        raise DataError(
            f"the network names {', '.join(class_names)} but the images have "
            f"{', '.join(theirs) or 'no class folders'}",
            "give images of the same classes",
        )
    channels, classes = dataset.info.channels, dataset.info.class_names
    faults = []
    if architecture.image_channels != channels:
        faults.append(f"it takes {architecture.image_channels} channels, they have {channels}")
    if architecture.classifies:
        if not classes:
            faults.append("it names images, but they have no class folders")
        elif architecture.num_classes != len(classes):
            faults.append(f"it knows {architecture.num_classes} names, they have {len(classes)}")
        if architecture.classifies_boxes != dataset.info.has_boxes:
            faults.append("one of them has boxes and the other has not")
    if faults:
        raise ArchitectureError(
            f"{architecture.name} does not fit the images: {'; '.join(faults)}",
            "choose another architecture, such as a denoiser for images without classes",
        )
