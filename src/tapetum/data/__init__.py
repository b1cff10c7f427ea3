"""Images to learn from: composed digits, folders, and batches of either with noise.

:class:`ImageDataset` is what all sets offer; :func:`open_digits` and :func:`open_folder` make them;
:func:`training_batches` and :func:`evaluation_batches` add noise and hand out tensors.
"""

from tapetum.data.batches import Batch, evaluation_batches, steps_per_epoch, training_batches
from tapetum.data.dataset import Concatenated, ImageDataset, Samples, Subset
from tapetum.data.digits import (
    Blend,
    DigitCrops,
    DigitDataset,
    DigitSource,
    find_digits,
    open_digits,
)
from tapetum.data.folder import FolderDataset, FolderSplit, open_folder

__all__ = [
    "Batch",
    "Blend",
    "Concatenated",
    "DigitCrops",
    "DigitDataset",
    "DigitSource",
    "FolderDataset",
    "FolderSplit",
    "ImageDataset",
    "Samples",
    "Subset",
    "evaluation_batches",
    "find_digits",
    "open_digits",
    "open_folder",
    "steps_per_epoch",
    "training_batches",
]
