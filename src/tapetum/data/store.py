"""Images on disk as one part of a dataset has them in memory, for several processes to share.

Decoded once, mapped into the memory of each process, and read by all of them from one copy::

    FOLDER/
      pixels.bin     the decoded images of a folder one after another, or
      images.npy     (n, c, h, w) float32, with noisy.npy, labels.npy and boxes.npy where they exist
      stored.json    what they are; written last
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from tapetum.data.augmentation import Augmentation
from tapetum.data.dataset import ImageDataset, Samples, Subset
from tapetum.data.layout import ImageFile
from tapetum.data.loading import DecodedFile, Decoding, Pixels
from tapetum.data.views import FolderDataset
from tapetum.errors import DataError
from tapetum.records import Record, write_atomically
from tapetum.runtime import Preparation

__all__ = ["MOST_BYTES", "open_stored", "store_images"]

MOST_BYTES = 4 * 1024**3
"""Decoded images of a folder beyond this are left to their files; of others so many are taken."""

_INDEX, _PIXELS = "stored.json", "pixels.bin"
_DISK_SHARE = 2  # at most one part in so many of the free disk
_AT_ONCE = 256  # images that are made at once


class _Place(Record):
    """Where an array lies in the file of pixels."""

    offset: int
    shape: tuple[int, int, int]
    dtype: Literal["uint8", "uint16"]

    @classmethod
    def at(cls, offset: int, array: NDArray[Any]) -> "_Place":
        """Return the place of an array (c, h, w) that begins there."""
        return cls.model_validate(
            {"offset": offset, "shape": array.shape, "dtype": array.dtype.name}
        )

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the array, a view of the file."""
        size_bytes = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        part = pixels[self.offset : self.offset + size_bytes]
        return part.view(self.dtype).reshape(self.shape)


class _File(Record):
    """A decoded file of a folder; it has no places where there was no room for it."""

    file: ImageFile
    is_colour: bool
    decoding: Decoding
    clean: _Place | None = None
    noisy: _Place | None = None


class _Stored(Record):
    """What a folder of stored images holds; arrays where it lists no files."""

    format: Literal["tapetum-images"] = "tapetum-images"
    class_names: tuple[str, ...]
    source: str
    channels: int
    files: tuple[_File, ...] | None = None
    preparation: Preparation | None = None
    size_px: int | None = None
    augmentation: Augmentation | None = None


class _ArrayDataset(ImageDataset):
    """Images that are always the same."""

    def __init__(self, facts: _Stored, arrays: Samples) -> None:
        self.channels, self.class_names = facts.channels, facts.class_names
        self.source = facts.source
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays.images)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Return copies of the images of some indices."""
        del epoch, seed, train
        rows = np.asarray(indices, dtype=np.int64)
        parts = self._arrays._asdict().items()
        taken: dict[str, Any] = {n: None if part is None else part[rows] for n, part in parts}
        return Samples(**taken)


def store_images(
    images: ImageDataset,
    folder: Path,
    *,
    with_changes: bool = True,
    most_bytes: int = MOST_BYTES,
) -> int:
    """Write images to a folder, unless they are there already.

    Args:
        images: Training or validation images.
        folder: New folder for them.
        with_changes: Whether the random changes of a training must stay possible; otherwise the
            images are kept as validation sees them.
        most_bytes: Room for decoded images; half of the free disk at most.

    Returns:
        Number of images: all, or those that :func:`open_stored` will have where there is no room.

    Raises:
        DataError: A file cannot be read any more, or not one image has room.
    """
    if (folder / _INDEX).exists():
        return len(open_stored(folder))
    folder.mkdir(parents=True, exist_ok=True)
    room_bytes = min(most_bytes, shutil.disk_usage(folder).free // _DISK_SHARE)
    base, indices = _base(images)
    if with_changes and isinstance(base, FolderDataset):
        stored = _write_pixels(base, indices, folder, room_bytes)
    else:
        stored = _write_arrays(images, folder, room_bytes)
    stored.write(folder / _INDEX)
    return len(open_stored(folder))


def open_stored(folder: Path) -> ImageDataset:
    """Return the images that :func:`store_images` wrote; their pixels stay on the disk until used.

    Raises:
        InputError: There are none, or the files are damaged.
    """
    stored = _Stored.read(folder / _INDEX)
    if stored.files is None:
        arrays: dict[str, Any] = {name: _mapped(_npy(folder, name)) for name in Samples._fields}
        return _ArrayDataset(stored, Samples(**arrays))
    assert stored.preparation is not None  # noqa: S101  (files have both)
    assert stored.size_px is not None  # noqa: S101
    pixels = np.zeros(0, np.uint8)
    if (folder / _PIXELS).stat().st_size:
        pixels = np.memmap(folder / _PIXELS, np.uint8, mode="r")
    dataset = FolderDataset(
        [_decoded(file, pixels) for file in stored.files],
        class_names=stored.class_names,
        preparation=stored.preparation,
        size_px=stored.size_px,
        source=stored.source,
    )
    return dataset.augmented(stored.augmentation or dataset.augmentation)


def _base(images: ImageDataset) -> tuple[ImageDataset, list[int]]:
    """Return the dataset that some images were taken from, and their indices in it."""
    if not isinstance(images, Subset):
        return images, list(range(len(images)))
    base, indices = _base(images.images)
    return base, [indices[index] for index in images.indices]


def _write_pixels(
    images: FolderDataset, indices: Sequence[int], folder: Path, room_bytes: int
) -> _Stored:
    files: list[_File] = []

    def parts() -> Iterator[bytes]:
        offset = 0
        for one in (images.images[index] for index in indices):
            pixels = one.pixels() if offset < room_bytes else None
            arrays = [part for part in pixels or () if part is not None]
            if sum(part.nbytes for part in arrays) > room_bytes - offset:
                arrays = []
            places = []
            for part in arrays:
                places.append(_Place.at(offset, part))
                content = part.tobytes() + b"\0" * (part.nbytes % 2)  # 16-bit values stay aligned
                offset += len(content)
                yield content
            files.append(_file(one, *places))

    write_atomically(folder / _PIXELS, parts())
    return _Stored(
        class_names=images.class_names,
        source=images.source,
        channels=images.channels,
        files=tuple(files),
        preparation=images.preparation,
        size_px=images.size_px,
        augmentation=images.augmentation,
    )


def _file(one: DecodedFile, clean: _Place | None = None, noisy: _Place | None = None) -> _File:
    noisy_path = None if one.file.noisy_path is None else one.file.noisy_path.absolute()
    file = one.file._replace(path=one.file.path.absolute(), noisy_path=noisy_path)
    return _File(
        file=file, is_colour=one.is_colour, decoding=one.decoding, clean=clean, noisy=noisy
    )


def _decoded(stored: _File, pixels: NDArray[np.uint8]) -> DecodedFile:
    kept = None
    if stored.clean is not None:
        noisy = None if stored.noisy is None else stored.noisy.of(pixels)
        kept = Pixels(stored.clean.of(pixels), noisy)
    return DecodedFile(stored.file, stored.is_colour, stored.decoding, kept)


def _write_arrays(images: ImageDataset, folder: Path, room_bytes: int) -> _Stored:
    """Write the arrays of as many images as have room, evenly spread over all.

    They are written in place: without the index, which comes last, they do not count.
    """
    first = _seen(images, [0])
    count = min(len(images), room_bytes // sum(part.nbytes for part in first if part is not None))
    if not count:
        raise DataError(f"there is no room for an image in {folder}", "free some disk space")
    arrays = {
        name: open_memmap(_npy(folder, name), "w+", part.dtype, (count, *part.shape[1:]))
        for name, part in first._asdict().items()
        if part is not None
    }
    chosen = images.spread(count)
    for start in range(0, count, _AT_ONCE):
        end = min(start + _AT_ONCE, count)
        for name, part in _seen(images, chosen[start:end])._asdict().items():
            if part is not None:
                arrays[name][start:end] = part
    for array in arrays.values():
        array.flush()
    return _Stored(class_names=images.class_names, source=images.source, channels=images.channels)


def _seen(images: ImageDataset, indices: Sequence[int]) -> Samples:
    """Return images as validation sees them."""
    return images.take(indices, epoch=0, seed=0, train=False)


def _npy(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _mapped(path: Path) -> NDArray[Any] | None:
    return np.load(path, mmap_mode="r") if path.exists() else None
