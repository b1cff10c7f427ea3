"""A folder of images as a dataset.

Opening a folder looks at every file, then decodes each one once, so that unreadable files are known
before the training starts.  Decoded images stay in memory, up to a limit; the others are read again
when needed.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tapetum.data.boxes import boxed, inside
from tapetum.data.contents import Contents, read_contents
from tapetum.data.dataset import Dataset, DatasetInfo
from tapetum.data.layout import Ask, ImageFile, Layout
from tapetum.data.loading import DecodedFile, Decoding, Progress, load_all
from tapetum.data.sides import Sides, divide, drawn_sides
from tapetum.data.sizes import SMALLEST_PX
from tapetum.data.splitlist import SplitList, digest_of, list_split
from tapetum.data.summary import FolderSummary, summarise
from tapetum.data.survey import look
from tapetum.data.views import FolderDataset
from tapetum.errors import DataError
from tapetum.images import display_name
from tapetum.runtime import Preparation, Resize, Split

__all__ = ["VAL_FRACTION", "describe_folder", "open_folder"]

VAL_FRACTION = 0.2
"""Share of the images that validates where the folder has no validation part."""

_KEPT_BYTES = 2 * 1024**3
_KEPT_RATIO = 2  # of the size: labelled images are kept this large, so that crops stay sharp


def open_folder(
    root: Path,
    *,
    seed: int,
    size_px: int | None = None,
    channels: int | None = None,
    resize: Resize = "squash",
    val_fraction: float = VAL_FRACTION,
    kept_bytes: int = _KEPT_BYTES,
    score_all: bool = False,
    ask: Ask | None = None,
    listed: SplitList | None = None,
    progress: Progress | None = None,
    looking: Progress | None = None,
) -> Dataset:
    """Open a folder of images in one of the layouts of :mod:`tapetum.data.layout`.

    Args:
        root: The folder.
        seed: Seed of the split, where the folder has no validation part.
        size_px: Height and width of the images; by default :mod:`tapetum.data.sizes` decides.
        channels: 1 or 3; by default 3 if any image has colour, else 1.
        resize: How a labelled image becomes square; see :class:`tapetum.runtime.Preparation`.
        val_fraction: Share of the images that validates, where the folder has no validation part.
        kept_bytes: Memory for decoded images, in bytes; the others are read when needed.
        score_all: Whether the validation part holds all images, for scoring.
        ask: How the folder is requested to be read, with the classes of a trained network.
        listed: The files of a training; what trained then never validates.
        progress: Called after each decoded image with the number done and the number of all.
        looking: Called likewise after each file that was looked at.

    Raises:
        DataError: There is no such folder, no readable image, a class without one, a reading in
            doubt, or an impossible request.
    """
    _check_request(size_px, channels, val_fraction)
    contents = read_contents(root, ask or Ask(), size_px, looking)
    layout, size = contents.layout, contents.size
    has_boxes = any(one.box is not None for one in contents.images)
    is_cut = layout.is_paired or has_boxes or not layout.class_names
    decoding = Decoding(None if is_cut else _KEPT_RATIO * size.size_px, contents.white)
    loaded, unreadable = load_all(
        contents.images, decoding, kept_bytes=kept_bytes, progress=progress
    )
    loaded, outside = inside(loaded)
    contents = contents.without([*unreadable, *outside], [one.file for one in loaded])
    channels = channels or (3 if any(image.is_colour for image in loaded) else 1)
    side_px = size.size_px if layout.class_names and not has_boxes else None
    preparation = Preparation(
        size_px=side_px, channels=channels, resize=resize, white=contents.white
    )
    sides = divide(contents, seed, val_fraction, listed=listed, score_all=score_all)
    train, val = (_chosen(loaded, side) for side in (sides.train, sides.validation))
    if has_boxes:
        train, val = boxed(train), boxed(val)
    names = layout.class_names
    part = partial(FolderDataset, class_names=names, preparation=preparation, size_px=size.size_px)
    lists = list_split(layout, contents.seen, sides.train, sides.validation, seed=seed)
    return Dataset(
        part(train, source=f"{len(train):,} training images of {root} ({sides.how})"),
        part(val, source=f"{len(val):,} validation images of {root} ({sides.how})"),
        _info(contents, preparation, sides, _rule(contents, val_fraction, lists)),
        tuple(contents.left_out),
        summary=_summary(contents, sides),
        split_list=lists,
    )


def _info(contents: Contents, preparation: Preparation, sides: Sides, split: Split) -> DatasetInfo:
    """Return the facts that identify a dataset."""
    layout, size_px = contents.layout, contents.size.size_px
    colour = "grey" if preparation.channels == 1 else "RGB"
    return DatasetInfo(
        source=display_name(layout.root.resolve()),
        description=f"{display_name(layout.root.resolve())}: {len(sides.train):,} training and "
        f"{len(sides.validation):,} validation images ({sides.how}), {_kind(layout)}, {colour}, "
        f"{size_px} x {size_px} px",
        size_px=size_px,
        channels=preparation.channels,
        preparation=preparation,
        class_names=layout.class_names,
        num_train=len(sides.train),
        num_validation=len(sides.validation),
        seed=split.seed,
        split=split,
        typical_px=_typical_px(contents),
        has_boxes=any(one.box is not None for one in contents.images),
        is_paired=layout.is_paired,
    )


def _rule(contents: Contents, val_fraction: float, lists: SplitList) -> Split:
    """Return how the folder was divided."""
    ask = contents.ask
    return Split(
        seed=lists.seed,
        val_fraction=None if contents.layout.val is not None else val_fraction,
        group_by=ask.group_by,
        layout=ask.layout,
        labels=None if ask.labels is None else display_name(ask.labels),
        num_files=len(lists.train) + len(lists.validation),
        files_sha256=digest_of(lists),
    )


def describe_folder(
    root: Path,
    *,
    seed: int = 0,
    size_px: int | None = None,
    labels: Path | None = None,
    layout: str | None = None,
    group_by: str | None = None,
    white: float | str | None = "auto",
    looking: Progress | None = None,
) -> FolderSummary:
    """Return what a folder holds and how it is understood, without decoding all of it.

    Example:
        >>> from tapetum.data import describe_folder
        >>> describe_folder(Path("photos")).train.num_images  # doctest: +SKIP
        80

    Args:
        root: The folder.
        seed: Seed of the split.
        size_px: The training size; by default that of the images.
        labels: A table of labels; by default one that lies in the folder.
        layout: How to read a folder that can be read in two ways.
        group_by: ``folder`` or a regular expression on the relative path.
        white: Stored value that 1.0 stands for in files of more than 8 bits; ``auto`` finds it.
        looking: Called after each file with the number done and the number of all.

    Raises:
        DataError: There is no such folder, no readable image, or a reading in doubt.
    """
    _check_request(size_px, None, VAL_FRACTION)
    contents = read_contents(root, Ask(layout, labels, group_by, white=white), size_px, looking)
    sides = drawn_sides(contents, seed, VAL_FRACTION)
    return _summary(contents, sides)


def _summary(contents: Contents, sides: Sides) -> FolderSummary:
    return summarise(
        contents.layout,
        contents.seen,
        sides.train,
        sides.validation,
        size=contents.size,
        values=look(contents.images, contents.seen, contents.white),
        split=sides.how,
        notes=sides.notes,
        left_out=contents.left_out,
    )


def _chosen(loaded: Sequence[DecodedFile], side: Sequence[ImageFile]) -> list[DecodedFile]:
    names = set(side)
    return [one for one in loaded if one.file in names]


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


def _typical_px(contents: Contents) -> tuple[int, int]:
    """Return height and width of the file with the median number of pixels."""
    facts = [contents.seen[one.path].facts for one in contents.images]
    sizes = sorted(((one.height_px, one.width_px) for one in facts), key=lambda hw: hw[0] * hw[1])
    return sizes[len(sizes) // 2]


def _kind(layout: Layout) -> str:
    num_classes = len(layout.class_names)
    labels = f"{num_classes} {'class' if num_classes == 1 else 'classes'}"
    return f"{labels if num_classes else 'no labels'}{', paired' if layout.is_paired else ''}"
