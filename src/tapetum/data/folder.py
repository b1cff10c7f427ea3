"""A folder of images as a dataset.

Opening a folder looks at every file, then decodes each one once, so that unreadable files are known
before the training starts.  Decoded images stay in memory, up to a limit; the others are read again
when needed.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

from tapetum.data.contents import Contents, read_contents
from tapetum.data.dataset import Dataset, DatasetInfo
from tapetum.data.layout import Ask, FolderOptions, ImageFile
from tapetum.data.loading import DecodedFile, Decoding, load_all
from tapetum.data.parts import require_images
from tapetum.data.sides import count_trained, divide, drawn_sides, listed_by_rule
from tapetum.data.sizes import SMALLEST_PX
from tapetum.data.splitlist import SplitList, digest_of, list_split
from tapetum.data.splitting import Sides
from tapetum.data.summarising import summarise, used_files
from tapetum.data.summary import FolderSummary, number_of_classes
from tapetum.data.threads import Progress
from tapetum.data.views import FolderDataset
from tapetum.errors import DataError
from tapetum.images import display_name
from tapetum.provenance import require_seed
from tapetum.runtime import Preparation, Resize, Split

__all__ = ["VAL_FRACTION", "describe_folder", "open_folder"]

VAL_FRACTION = 0.2
"""Share of the images that validates where the folder has no validation part."""

_KEPT_BYTES = 2 * 1024**3
_KEPT_RATIO = 2  # of the size: labelled images are kept this large, so that crops stay sharp
_DECODED_PX = 300_000_000  # a description decodes every image of a folder up to this size
_AGAIN = "copy the files again, or add images"  # there were some before their pixels were read
_NUM_NOTES = 3  # of what decoding guessed, clipped or dropped


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
    like: Split | None = None,
    progress: Progress | None = None,
    looking: Progress | None = None,
) -> Dataset:
    """Open a folder of images; most arguments are those of :func:`tapetum.data.open_dataset`.

    ``kept_bytes`` is the memory for decoded images; the others are read when needed.  ``progress``
    is called after each decoded image, ``looking`` after each file that was looked at.
    """
    _check_request(size_px, channels, val_fraction)
    contents = read_contents(root, ask or Ask(), size_px, looking)
    contents, loaded = _decoded(contents, kept_bytes, progress)
    if score_all:  # a training refuses later, with the names of its classes
        require_images(contents.layout.images, root, contents.layout.left_out, _AGAIN)
    preparation = Preparation(
        size_px=contents.size.size_px if contents.has_whole_labels else None,
        channels=channels or (3 if any(image.is_colour for image in loaded) else 1),
        resize=resize,
        white=contents.white,
    )
    sides = divide(contents, seed, val_fraction, listed=listed, score_all=score_all)
    lists = list_split(contents, sides, seed)
    if listed is None and like is not None:
        listed = listed_by_rule(contents, val_fraction, like)
    part = partial(
        FolderDataset,
        class_names=contents.layout.class_names,
        preparation=preparation,
        size_px=contents.size.size_px,
    )
    train, val = (_chosen(loaded, side) for side in (sides.train, sides.validation))
    return Dataset(
        part(train, source=f"{len(train):,} training images of {display_name(root)} ({sides.how})"),
        part(val, source=f"{len(val):,} validation images of {display_name(root)} ({sides.how})"),
        _info(contents, preparation, sides, _rule(contents, val_fraction, lists)),
        contents.layout.left_out,
        summary=summarise(contents, sides),
        split_list=lists,
        num_trained=0 if listed is None else count_trained(contents, sides.validation, listed),
    )


def describe_folder(
    root: Path,
    *,
    seed: int = 0,
    size_px: int | None = None,
    looking: Progress | None = None,
    **options: Unpack[FolderOptions],
) -> FolderSummary:
    """Return what a folder holds and how it is understood; a small folder is decoded for it.

    Options and errors are those of :func:`open_dataset`.

    Example:
        >>> from tapetum.data import describe_folder
        >>> describe_folder(Path("photos")).train.num_images  # doctest: +SKIP
        80
    """
    require_seed(seed)
    _check_request(size_px, None, VAL_FRACTION)
    contents = read_contents(root, Ask(**options), size_px, looking)
    num_px = sum(
        one.facts.height_px * one.facts.width_px * one.facts.num_frames
        for one in contents.seen.values()
    )
    is_small = num_px <= _DECODED_PX
    if is_small:
        contents, _ = _decoded(contents, 0, looking)
        require_images(contents.layout.images, root, contents.layout.left_out, _AGAIN)
    sides, refusal = _described_sides(contents, seed)
    found = summarise(contents, sides, all_decoded=is_small)
    found = found if refusal is None else found.refused(refusal)
    return found.model_copy(update={"files": used_files(contents.layout, sides)})


def _described_sides(contents: Contents, seed: int) -> tuple[Sides, DataError | None]:
    """Return the sides of a training, and the error with which it would be refused."""
    try:
        return divide(contents, seed, VAL_FRACTION, listed=None, score_all=False), None
    except DataError as error:
        return drawn_sides(contents.layout, seed, VAL_FRACTION), error


def _decoded(
    contents: Contents, kept_bytes: int, progress: Progress | None
) -> tuple[Contents, list[DecodedFile]]:
    """Decode every image; return them with the contents that are left, and what decoding noted."""
    is_whole = contents.has_whole_labels and not contents.layout.is_paired
    largest_px = _KEPT_RATIO * contents.size.size_px if is_whole else None
    layout = contents.layout
    loaded, unreadable = load_all(
        layout.images,
        Decoding(largest_px, contents.white),
        kept_bytes=kept_bytes,
        progress=progress,
    )
    kept = {one.file for one in loaded}
    layout = layout.changed(lambda files: (one for one in files if one in kept), unreadable)
    counts = Counter(note for one in loaded for note in one.notes)
    notes = [f"{note} ({count:,} image(s))" for note, count in counts.most_common(_NUM_NOTES)]
    layout = layout._replace(notes=(*layout.notes, *notes))
    return contents._replace(layout=layout), loaded


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


def _info(contents: Contents, preparation: Preparation, sides: Sides, split: Split) -> DatasetInfo:
    """Return the facts that identify a dataset."""
    layout, size_px = contents.layout, contents.size.size_px
    labels = number_of_classes(layout.class_names) or "no labels"
    kind = f"{labels}, paired" if layout.is_paired else labels
    colour = "grey" if preparation.channels == 1 else "RGB"
    return DatasetInfo(
        source=display_name(layout.root.resolve()),
        description=f"{display_name(layout.root.resolve())}: {len(sides.train):,} training and "
        f"{len(sides.validation):,} validation images ({sides.how}), {kind}, {colour}, "
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
        has_boxes=contents.has_boxes,
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


def _typical_px(contents: Contents) -> tuple[int, int]:
    """Return height and width of the file with the median number of pixels."""
    facts = [contents.seen[one.path].facts for one in contents.layout.images]
    sizes = sorted(((one.height_px, one.width_px) for one in facts), key=lambda hw: hw[0] * hw[1])
    return sizes[len(sizes) // 2]
