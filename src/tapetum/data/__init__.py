"""Datasets of images: folders and composed digits, opened by :func:`open_dataset`.

:class:`ImageDataset` is one part of a dataset; :func:`training_batches` and
:func:`evaluation_batches` add noise and return tensors.
"""

from tapetum.data import digits
from tapetum.data.batches import Batch, evaluation_batches, training_batches
from tapetum.data.dataset import Dataset, DatasetInfo, ImageDataset, Samples
from tapetum.data.open import open_dataset

__all__ = [
    "Batch",
    "Dataset",
    "DatasetInfo",
    "ImageDataset",
    "Samples",
    "digits",
    "evaluation_batches",
    "open_dataset",
    "training_batches",
]
