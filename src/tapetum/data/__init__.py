"""Pictures to learn from: composed digits, folders, and batches of either with noise.

:class:`PictureSet` is what all sets offer; :func:`open_digits` and :func:`open_folder` make them;
:func:`training_batches` and :func:`evaluation_batches` add noise and hand out tensors.
"""

from tapetum.data.batches import Batch, evaluation_batches, steps_per_epoch, training_batches
from tapetum.data.digits import (
    Blend,
    DigitCrops,
    DigitPictures,
    DigitSource,
    find_digits,
    open_digits,
)
from tapetum.data.folder import FolderPictures, FolderSplit, open_folder
from tapetum.data.pictures import Clean, Joined, PictureSet, Selection

__all__ = [
    "Batch",
    "Blend",
    "Clean",
    "DigitCrops",
    "DigitPictures",
    "DigitSource",
    "FolderPictures",
    "FolderSplit",
    "Joined",
    "PictureSet",
    "Selection",
    "evaluation_batches",
    "find_digits",
    "open_digits",
    "open_folder",
    "steps_per_epoch",
    "training_batches",
]
