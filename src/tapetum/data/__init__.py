"""Datasets of images: folders and composed digits, opened by :func:`open_dataset`, without torch.

:class:`ImageDataset` is one part of a dataset; :func:`tapetum.training.training_batches` adds noise
and returns tensors.
"""

from tapetum.data import digits
from tapetum.data.dataset import Dataset, DatasetInfo, ImageDataset, Samples
from tapetum.data.open import open_dataset

__all__ = [
    "Dataset",
    "DatasetInfo",
    "ImageDataset",
    "Samples",
    "digits",
    "open_dataset",
]
