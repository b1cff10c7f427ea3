"""Datasets of images: folders and composed digits, opened by :func:`open_dataset`, without torch.

:class:`ImageDataset` is one part of a dataset; :func:`tapetum.training.training_batches` adds noise
and returns tensors.
"""

from tapetum.data import digits
from tapetum.data.augmentation import Augmentation
from tapetum.data.dataset import Dataset, DatasetInfo, ImageDataset, Sample, Samples
from tapetum.data.folder import describe_folder
from tapetum.data.open import DataOptions, open_dataset
from tapetum.data.splitlist import SplitList
from tapetum.data.store import open_stored, store_images

__all__ = [
    "Augmentation",
    "DataOptions",
    "Dataset",
    "DatasetInfo",
    "ImageDataset",
    "Sample",
    "Samples",
    "SplitList",
    "describe_folder",
    "digits",
    "open_dataset",
    "open_stored",
    "store_images",
]
