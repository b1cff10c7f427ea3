"""A folder of images as a dataset.

Opening a folder decodes every file once, so that unreadable files are known before the training
starts. Decoded images stay in memory, up to a limit; the others are read again when needed.
"""

from collections.abc import Sequence
from pathlib import Path

from tapetum.data.dataset import Dataset, DatasetInfo, Skipped
from tapetum.data.layout import Layout
from tapetum.data.loading import DecodedFile, Progress, header_size_px, load_all
from tapetum.data.parts import find_layout
from tapetum.data.splitting import split
from tapetum.data.views import FolderDataset
from tapetum.errors import DataError
from tapetum.runtime import Preparation, Resize

__all__ = ["open_folder"]

SMALLEST_PX = 16
"""The smallest size of images: SSIM needs 11 px, and networks halve the size several times."""

LARGEST_DEFAULT_PX = 256
"""The largest default size: larger images train slowly on a CPU."""

_KEPT_BYTES = 2 * 1024**3
_KEPT_RATIO = 2  # of the size: labelled images are kept this large, so that crops stay sharp


def open_folder(
    root: Path,
    *,
    seed: int,
    size_px: int | None = None,
    channels: int | None = None,
    resize: Resize = "squash",
    val_fraction: float = 0.2,
    kept_bytes: int = _KEPT_BYTES,
    score_all: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Open a folder of images in one of the layouts of :mod:`tapetum.data.layout`.

    Args:
        root: The folder.
        seed: Random seed of the split, where the folder has no validation part.
        size_px: Height and width of the images; by default the shortest side of all, rounded down
            to a multiple of 8, and at most 256.
        channels: 1 or 3; by default 3 if any image has colour, else 1.
        resize: How a labelled image becomes square; see :class:`tapetum.runtime.Preparation`.
        val_fraction: Share of each class that validates, where the folder has no validation part.
        kept_bytes: Memory for decoded images, in bytes; the others are read when needed.
        score_all: Whether the validation part holds all images, for scoring.
        progress: Called after each file with the number of files done and the number of all files.

    Raises:
        DataError: There is no such folder, no readable image, a class without one, or an impossible
            request.
    """
    _check_request(size_px, channels, val_fraction)
    layout = find_layout(root)
    is_cut = layout.is_paired or not layout.class_names
    largest_px = None if is_cut else _KEPT_RATIO * (size_px or LARGEST_DEFAULT_PX)
    files = [*layout.train, *(layout.val or ())]
    loaded, unreadable = load_all(
        files, largest_px=largest_px, kept_bytes=kept_bytes, progress=progress
    )
    size_px = size_px or _common_size_px(loaded)
    loaded, too_small = _large_enough(loaded, size_px) if layout.is_paired else (loaded, [])
    skipped = (*layout.left_out, *unreadable, *too_small)
    train, val = split(layout, loaded, skipped, val_fraction=val_fraction, seed=seed)
    channels = channels or (3 if any(image.is_colour for image in loaded) else 1)
    preparation = Preparation(
        size_px=size_px if layout.class_names else None, channels=channels, resize=resize
    )
    how = "as given" if layout.val is not None else f"chosen with seed {seed}"

    def part(images: list[DecodedFile], source: str) -> FolderDataset:
        return FolderDataset(
            images,
            class_names=layout.class_names,
            preparation=preparation,
            size_px=size_px,
            source=source,
        )

    info = DatasetInfo(
        source=str(root.resolve()),
        description=f"{root}: {len(train):,} training and {len(val):,} validation images "
        f"({how}), {_kind(layout)}, {'grey' if channels == 1 else 'RGB'}, {size_px} x {size_px} px",
        size_px=size_px,
        channels=channels,
        preparation=preparation,
        class_names=layout.class_names,
        num_train=len(train),
        num_validation=len(val),
        seed=seed,
        typical_px=_typical_px(loaded),
        is_paired=layout.is_paired,
    )
    training = part(train, f"{len(train):,} training images of {root} ({how})")
    if score_all:
        return Dataset(training, part([*train, *val], f"all images of {root.name}"), info, skipped)
    validation = part(val, f"{len(val):,} validation images of {root} ({how})")
    return Dataset(training, validation, info, skipped)


def _check_request(size_px: int | None, channels: int | None, val_fraction: float) -> None:
    faults = []
    if size_px is not None and size_px < SMALLEST_PX:
        faults.append(f"a size of {size_px} px is below {SMALLEST_PX} px")
    if channels not in (None, 1, 3):
        faults.append(f"images have 1 channel (grey) or 3 (RGB), not {channels}")
    if not 0 < val_fraction < 1:
        faults.append(f"a validation share of {val_fraction:g} is not between 0 and 1")
    if faults:
        raise DataError("; ".join(faults), "change these arguments")


def _common_size_px(loaded: Sequence[DecodedFile]) -> int:
    """Return the shortest side of all, rounded down to a multiple of 8, within our bounds."""
    shortest_px = min((image.shorter_side_px for image in loaded), default=SMALLEST_PX)
    return min(max(shortest_px // 8 * 8, SMALLEST_PX), LARGEST_DEFAULT_PX)


def _typical_px(loaded: Sequence[DecodedFile]) -> tuple[int, int]:
    """Return height and width of the file with the median number of pixels."""
    sizes = sorted((header_size_px(one.file) for one in loaded), key=lambda size: size[0] * size[1])
    return sizes[len(sizes) // 2]


def _large_enough(
    loaded: Sequence[DecodedFile], size_px: int
) -> tuple[list[DecodedFile], list[Skipped]]:
    """Split off the pairs that are smaller than ``size_px``; twins are never enlarged."""
    small = [
        (image.file.path, f"it is {image.width} x {image.height} px, below {size_px} px")
        for image in loaded
        if image.shorter_side_px < size_px
    ]
    return [image for image in loaded if image.shorter_side_px >= size_px], small


def _kind(layout: Layout) -> str:
    num_classes = len(layout.class_names)
    labels = f"{num_classes} {'class' if num_classes == 1 else 'classes'}"
    return f"{labels if num_classes else 'no labels'}{', paired' if layout.is_paired else ''}"
