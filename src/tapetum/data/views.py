"""Images of a folder as a dataset: what training, validation and scoring see of each file.

*Labels of whole images* come from the prepared image, which shows all of it
(:class:`tapetum.runtime.Preparation`). Validation sees just that. Training sees the same function
of a random region with the proportions of the image; the recipe says how small it may be.

*Unlabelled and paired images, and images with boxes*, keep their own resolution, since resampling
would change their texture and average away the noise of a given twin. Training sees random windows
of ``size_px``, or, where a pair is labelled, such a window as often as the prepared image. The
recipe may ask for smaller windows of images without labels. Smaller images are enlarged.

Scores come from files at full resolution (:meth:`FolderDataset.sample`), as a device sees them.
"""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.data.augmentation import Augmentation, Orientation
from tapetum.data.dataset import ImageDataset, Sample, Samples
from tapetum.data.layout import ImageFile
from tapetum.data.loading import DecodedFile
from tapetum.data.mirroring import MOST_IMAGES, THUMBNAIL_PX, check_mirror, reason_of_names
from tapetum.data.regions import Region, part, window
from tapetum.data.threads import in_threads
from tapetum.images import DecodedImage, as_colour, display_name, read_image, resample
from tapetum.noise import generator_for
from tapetum.runtime import Preparation

__all__ = ["FolderDataset"]

_KEPT_BYTES = 512 * 1024**2  # of prepared validation images, so that files are read once
_CROP_KEY = 1  # a key of its own, so that crops and noise are independent

_Pixels = NDArray[np.float32]
_Stored = NDArray[Any]  # integers, of which the largest of the type is white, or floats


class _View(NamedTuple):
    """An image as a network is trained on it, with its noisy twin and its box."""

    clean: _Pixels
    noisy: _Pixels | None
    boxes: _Pixels | None


class FolderDataset(ImageDataset):
    """Images of a folder.

    All of them are labelled or none, all of them paired or none, all of them with a box or none.
    :meth:`take` returns images of ``size_px``; the preparation has that of labelled ones.
    """

    def __init__(
        self,
        images: Sequence[DecodedFile],
        *,
        class_names: tuple[str, ...],
        preparation: Preparation,
        size_px: int,
        source: str,
    ) -> None:
        self.class_names = class_names
        self.channels = preparation.channels
        self.size_px = size_px
        self.source = source
        self.preparation = preparation
        self.images = tuple(images)
        self._base = os.path.commonpath([one.file.path.parent for one in images] or [Path()])
        self._labels = _labels(self.images, class_names)
        self._augmentation = Augmentation(mirror="off")
        self._mirror: Augmentation | None = None  # what was decided for ``auto``
        self._kept: dict[int, _View] = {}
        self._room_bytes = _KEPT_BYTES

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The label of each image, or of its box; None without labels."""
        return self._labels

    def augmented(self, augmentation: Augmentation) -> "FolderDataset":
        """Return the dataset with other random changes; see :meth:`ImageDataset.augmented`."""
        if augmentation.mirror == "auto":
            if self._mirror is None:
                self._mirror = self._decide_mirror()
            decided = {"mirror": self._mirror.mirror, "reason": self._mirror.reason}
            augmentation = augmentation.model_copy(update=decided)
        changed = copy.copy(self)
        changed._augmentation = augmentation
        return changed

    @property
    def augmentation(self) -> Augmentation:
        """The random changes of training images."""
        return self._augmentation

    def groups(self) -> list[tuple[str, str | None]]:
        """Return group and class name of each image; see :meth:`ImageDataset.groups`."""
        files = (one.file for one in self.images)
        return [(file.group or str(file.path), file.class_name) for file in files]

    def sample(self, index: int) -> Sample:
        """Return an image as its file has it; see :meth:`ImageDataset.sample`."""
        file = self.images[index].file
        return Sample(
            image=self._read(file, file.path),
            noisy=None if file.noisy_path is None else self._read(file, file.noisy_path),
            labels=None if self._labels is None else self._labels[index : index + 1],
            boxes=_boxes(file),
            name=self._name(file),
        )

    def _name(self, file: ImageFile) -> str:
        """Return the name of a file below the folder of all images."""
        name = display_name(os.path.relpath(file.path, self._base))
        return f"{name} [{file.frame}]" if file.frame else name

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Return the images of some indices; see :meth:`ImageDataset.take`."""

        def view(index: int) -> _View:
            if not train:
                return self._prepared(index)
            return self._changed(index, generator_for(seed, epoch, index, _CROP_KEY))

        kept = [self.images[i].kept is not None if train else i in self._kept for i in indices]
        views = [view(index) for index in indices] if all(kept) else in_threads(view, indices)
        labels = None if self._labels is None else self._labels[np.asarray(indices)]
        boxes = [one.boxes for one in views if one.boxes is not None]
        twins = [one.noisy for one in views if one.noisy is not None]
        return Samples(
            images=np.stack([one.clean for one in views]),
            noisy=np.stack(twins) if twins else None,
            labels=labels[:, np.newaxis] if labels is not None and boxes else labels,
            boxes=np.stack(boxes) if boxes else None,
        )

    def _prepared(self, index: int) -> _View:
        """Return an image as a device prepares it, from memory where there is room for it."""
        if index in self._kept:
            return self._kept[index]
        sample, prepare = self.sample(index), self.preparation
        clean = prepare.colours(sample.image)
        noisy = None if sample.noisy is None else prepare.colours(sample.noisy)
        height, width = clean.shape[1:]
        region = Region(0, 0, width, height)
        if prepare.size_px is None:
            box = self.images[index].file.box
            region = window(height, width, size_px=self.size_px, box=box)
        view = self._view(region, clean, noisy, sample.boxes, Orientation(), self.size_px)
        self._room_bytes -= sum(part.nbytes for part in view if part is not None)
        if self._room_bytes >= 0:
            self._kept[index] = view
        return view

    def _changed(self, index: int, generator: np.random.Generator) -> _View:
        """Return a random view of an image."""
        stored, changes = self.images[index], self._augmentation
        clean, noisy = stored.pixels()
        height, width = clean.shape[1:]
        size_px = changes.window_of(self.size_px, has_labels=bool(self.class_names))
        if self._is_cut(stored.file, generator):
            box = stored.file.box
            region = window(height, width, size_px=size_px, box=box, generator=generator)
        else:
            region = part(height, width, smallest=changes.crop_scale, generator=generator)
        orientation = changes.draw(generator)
        view = self._view(region, clean, noisy, _boxes(stored.file), orientation, size_px)
        gain = changes.draw_gain(generator, float(view.clean.max()))
        return view._replace(
            clean=view.clean * gain, noisy=None if view.noisy is None else view.noisy * gain
        )

    def _is_cut(self, file: ImageFile, generator: np.random.Generator) -> bool:
        """Whether training sees a window of an image instead of the prepared image."""
        if self.preparation.size_px is None:
            return True
        return file.noisy_path is not None and bool(generator.integers(2))

    def _view(
        self,
        region: Region,
        clean: _Stored,
        noisy: _Stored | None,
        boxes: _Pixels | None,
        orientation: Orientation,
        size_px: int,
    ) -> _View:
        """Return a region of an image and its twin as squares, and its box in them."""

        def square(stored: _Stored) -> _Pixels:
            values = as_colour(_floats(region.cut(stored)), self.channels)
            if self.preparation.size_px is None:
                values = resample(values, height=size_px, width=size_px)
            return orientation.image(self.preparation.resized(values))

        if boxes is not None:
            boxes = orientation.boxes(region.boxes(boxes, size_px), size_px)
        return _View(square(clean), None if noisy is None else square(noisy), boxes)

    def _read(self, file: ImageFile, path: Path) -> DecodedImage:
        return read_image(path, frame=file.frame, white=self.preparation.white)

    def _decide_mirror(self) -> Augmentation:
        """Decide whether images may be mirrored, with the reason."""
        if not self.class_names:
            return Augmentation(mirror="on", reason="there are no labels that it could change")
        reason = reason_of_names(self.class_names)
        if reason:
            return Augmentation(mirror="off", reason=reason)
        chosen = self.spread(MOST_IMAGES)
        assert self._labels is not None  # noqa: S101  (there are classes)
        found = check_mirror(
            np.stack([self._thumbnail(index) for index in chosen]), self._labels[chosen]
        )
        return Augmentation(mirror="off" if found.reason else "on", reason=found.describe())

    def _thumbnail(self, index: int) -> _Pixels:
        stored = self.images[index]
        clean, box = stored.pixels().clean, stored.file.box
        if box is not None:
            left, top, right, bottom = (round(edge) for edge in box)
            clean = clean[:, top : max(bottom, top + 1), left : max(right, left + 1)]
        values = as_colour(_floats(clean), self.channels)
        return resample(values, height=THUMBNAIL_PX, width=THUMBNAIL_PX)


def _labels(
    images: Sequence[DecodedFile], class_names: tuple[str, ...]
) -> NDArray[np.int64] | None:
    if not class_names:
        return None
    numbers = {name: number for number, name in enumerate(class_names)}
    names = [image.file.class_name for image in images]
    return np.array([numbers[name] for name in names if name is not None], dtype=np.int64)


def _boxes(file: ImageFile) -> _Pixels | None:
    """Return the box of a file, (1, 4)."""
    return None if file.box is None else np.array([file.box], np.float32)


def _floats(stored: _Stored) -> _Pixels:
    """Return stored values on the scale 0 to 1."""
    if stored.dtype.kind == "f":
        return stored.astype(np.float32, copy=False)
    return stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
