"""The interface of image datasets, and the record that identifies one.

A dataset returns clean images by index; :mod:`tapetum.training.batches` adds the noise.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from tapetum.data.augmentation import Augmentation
from tapetum.data.splitlist import SplitList
from tapetum.data.splitting import draw, validating_groups
from tapetum.data.summary import FolderSummary
from tapetum.errors import DataError
from tapetum.images import DecodedImage, LeftOut
from tapetum.records import Record
from tapetum.runtime import Preparation, Split

__all__ = ["Dataset", "DatasetInfo", "ImageDataset", "Sample", "Samples", "Subset"]

_HOLD_OUT = "hold out"  # a key of its own, so that this and the validation are independent


class DatasetInfo(Record):
    """The facts that identify a dataset, stored with every request; a resumed run compares them.

    Attributes:
        source: ``digits``, ``digit-crops`` or the absolute path of a folder.
        description: A sentence for people, without a full stop.
        size_px: Height and width of the training images.
        channels: 1 (grey) or 3 (RGB).
        preparation: How a device has to prepare an image as the validation did.
        class_names: The name of each label, in order; empty without labels.
        num_train: Number of training images.
        num_validation: Number of validation images.
        seed: Seed of the split, or of the composition of digits.
        split: How a folder was divided, with a digest of its files; None for digits.
        typical_px: Height and width of the image file with the median number of pixels; None where
            it was not stored.
        has_boxes: Whether labels belong to boxes instead of whole images.
        is_paired: Whether each image has a noisy twin, so that no noise is added.
    """

    source: str
    description: str
    size_px: PositiveInt
    channels: PositiveInt
    preparation: Preparation
    class_names: tuple[str, ...] = ()
    num_train: int
    num_validation: int
    seed: int
    split: Split | None = None
    typical_px: tuple[PositiveInt, PositiveInt] | None = None
    has_boxes: bool = False
    is_paired: bool = False

    @property
    def image_px(self) -> tuple[int, int]:
        """Height and width of a typical image file."""
        return self.typical_px or (self.size_px, self.size_px)


class Samples(NamedTuple):
    """Clean images with their labels.

    Attributes:
        images: Shape (b, c, h, w), in [0, 1].
        noisy: The noisy twin of each image, same shape; None where noise is added later.
        labels: Shape (b,), or (b, k) for k boxes in each image; None without labels.
        boxes: Shape (b, k, 4): left, top, right, bottom in pixels; None where labels belong to
            whole images.
    """

    images: NDArray[np.float32]
    noisy: NDArray[np.float32] | None
    labels: NDArray[np.int64] | None
    boxes: NDArray[np.float32] | None


class Sample(NamedTuple):
    """One clean image at its own resolution, as a device receives it.

    Labels have the shape (1,), or (k,) for k boxes, and ``name`` is that of the file below all
    images; the rest is as in :class:`Samples`.
    """

    image: DecodedImage
    noisy: DecodedImage | None
    labels: NDArray[np.int64] | None
    boxes: NDArray[np.float32] | None
    name: str = ""


class ImageDataset(ABC):
    """The base of one part (training or validation) of a dataset.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        class_names: The name of each label; empty without labels.
        source: The origin of the images, in a sentence for people, without a full stop.
    """

    channels: int
    class_names: tuple[str, ...]
    source: str

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The label of each image, (n,); None without labels, or where images are composed."""
        return None

    @abstractmethod
    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Return the images of some indices.

        Args:
            indices: Each at least 0 and below the length.
            epoch: The number of the pass over the dataset, from 0.
            seed: Random seed of crops and flips.
            train: Whether to crop and flip at random; the result depends on seed, epoch and index
                alone.
        """

    def sample(self, index: int) -> Sample:
        """Return one image at its own resolution; here that of :meth:`take`."""
        images, noisy, labels, boxes = self.take([index], epoch=0, seed=0, train=False)
        return Sample(
            image=_decoded(images[0]),
            noisy=None if noisy is None else _decoded(noisy[0]),
            labels=None if labels is None else labels[0].reshape(-1),
            boxes=None if boxes is None else boxes[0],
        )

    def augmented(self, augmentation: Augmentation) -> "ImageDataset":
        """Return the dataset with other random changes; a mirror that is ``auto`` is decided.

        Composed images have no random changes: they are returned as they are.
        """
        del augmentation
        return self

    @property
    def augmentation(self) -> Augmentation | None:
        """The random changes of training images; None where there are none."""
        return None

    def groups(self) -> list[tuple[str, str | None]]:
        """Return group and class name of each image: images of a group belong on one side."""
        return [(str(index), None) for index in range(len(self))]

    def num_batches(self, batch_size: int) -> int:
        """Return the number of whole batches; the last incomplete batch is dropped.

        Raises:
            DataError: The dataset does not fill one batch.
        """
        if not 1 <= batch_size <= len(self):
            raise DataError(
                f"batches of {batch_size:,} cannot be made of {len(self):,} images",
                f"choose a batch size from 1 to {len(self):,}",
            )
        return len(self) // batch_size

    def subset(self, indices: Sequence[int]) -> "ImageDataset":
        """Return a dataset of some images, in the order of their indices."""
        return Subset(self, indices)

    def spread(self, most: int) -> list[int]:
        """Return the indices of at most so many images, evenly spread.

        The first ones of a folder would be of one class.
        """
        count = min(most, len(self))
        return [place * len(self) // count for place in range(count)]


@dataclass(frozen=True, eq=False)
class Dataset:
    """An opened dataset, which is equal to itself alone.

    Attributes:
        train: Training images.
        validation: Validation images, never trained on.
        info: The facts that identify the dataset.
        skipped: Files that are not used, each with the reason.
        summary: What the folder holds and how it was understood; None for digits.
        split_list: The files of both parts; None for digits.
        num_trained: Number of validation images that a network which is scored was trained on, as
            far as the files or the rule of its split tell.
    """

    train: ImageDataset
    validation: ImageDataset
    info: DatasetInfo
    skipped: tuple[LeftOut, ...] = ()
    summary: FolderSummary | None = None
    split_list: SplitList | None = None
    num_trained: int = 0

    def scored_on(self, count: int | None) -> "Dataset":
        """Return it with at most so many validation images, evenly spread; None keeps all."""
        images = self.validation
        if count is None or count >= len(images):
            return self
        return replace(self, validation=images.subset(images.spread(count)))

    def hold_out(self, fraction: float) -> tuple[ImageDataset, ImageDataset]:
        """Return two parts of the training images, the second of about a fraction of them.

        Images of one group, frames of one file and equal files lie on one side, which depends on
        the seed of the dataset and their own name or content alone. A class with one group trains.
        """
        files = () if self.split_list is None else self.split_list.train
        contents = {file.path: file.digest for file in files}
        found = [(contents.get(group, group), name) for group, name in self.train.groups()]

        def draw_again(group: str) -> float:
            return draw(self.info.seed, f"{_HOLD_OUT}\0{group}")

        validates, _ = validating_groups(found, fraction=fraction, draw=draw_again)
        sides: dict[bool, list[int]] = {False: [], True: []}
        for index, (group, _) in enumerate(found):
            sides[validates[group]].append(index)
        return self.train.subset(sides[False]), self.train.subset(sides[True])


class Subset(ImageDataset):
    """Some images of another dataset, in the order of their indices in it."""

    def __init__(self, images: ImageDataset, indices: Sequence[int]) -> None:
        self.channels = images.channels
        self.class_names = images.class_names
        self.source = images.source
        self.images = images
        self.indices = tuple(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Return some of these images; see :meth:`ImageDataset.take`."""
        chosen = [self.indices[index] for index in indices]
        return self.images.take(chosen, epoch=epoch, seed=seed, train=train)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The labels of these images."""
        labels = self.images.labels
        return None if labels is None else labels[list(self.indices)]

    def sample(self, index: int) -> Sample:
        """Return an image as its file has it; see :meth:`ImageDataset.sample`."""
        return self.images.sample(self.indices[index])

    def groups(self) -> list[tuple[str, str | None]]:
        """Return group and class name of each of these images."""
        groups = self.images.groups()
        return [groups[index] for index in self.indices]

    def augmented(self, augmentation: Augmentation) -> ImageDataset:
        """Return the same images with other random changes."""
        return Subset(self.images.augmented(augmentation), self.indices)

    @property
    def augmentation(self) -> Augmentation | None:
        """The random changes of training images; None where there are none."""
        return self.images.augmentation


def _decoded(pixels: NDArray[np.float32]) -> DecodedImage:
    return DecodedImage(pixels, None, 32, "grey" if len(pixels) == 1 else "rgb")
