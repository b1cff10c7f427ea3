"""The pair of networks that a user would pick by hand: one for the label, one for the image."""

from tapetum.arch import Architecture, find_architecture
from tapetum.data import DatasetInfo

__all__ = ["network_of_pair", "pair_of"]

PAIR = ("mobilenet-v3-small", "unet-s")


def pair_of(info: DatasetInfo) -> tuple[str, ...]:
    """Return the names of the pair for a dataset; the denoiser alone where it has no labels."""
    return PAIR if info.class_names else PAIR[1:]


def network_of_pair(name: str, info: DatasetInfo) -> Architecture:
    """Return one of these networks for a dataset."""
    num_classes = max(2, len(info.class_names))
    return find_architecture(
        name, channels=info.channels, num_classes=num_classes, boxes=info.has_boxes
    )
