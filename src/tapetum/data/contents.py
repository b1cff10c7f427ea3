"""The readable images of a folder, before any is decoded: frames, white level, training size."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tapetum.data.boxes import inside
from tapetum.data.layout import Ask, ImageFile, Layout, quoted
from tapetum.data.names import renaming
from tapetum.data.parts import find_layout, require_images
from tapetum.data.sizes import TrainingSize, training_size
from tapetum.data.survey import Surveyed, frames_of, survey
from tapetum.data.threads import Progress
from tapetum.errors import DataError
from tapetum.images import FoundWhite, LeftOut, find_white_level

__all__ = ["Contents", "read_contents"]


class Contents(NamedTuple):
    """The readable images of a folder.

    The layout has each frame of a file for itself. ``white`` is the stored value that 1.0 stands
    for in deep files; None for that of their type.  ``brightest`` is the largest value of files of
    16 bits, where every one of them was looked at.
    """

    ask: Ask
    layout: Layout
    seen: dict[Path, Surveyed]
    size: TrainingSize
    white: float | None
    brightest: float | None = None

    @property
    def has_boxes(self) -> bool:
        """Whether labels belong to boxes instead of whole images."""
        return any(one.box is not None for one in self.layout.images)

    @property
    def has_whole_labels(self) -> bool:
        """Whether labels belong to whole images, so that training sees the prepared image."""
        return bool(self.layout.class_names) and not self.has_boxes


def read_contents(root: Path, ask: Ask, size_px: int | None, looking: Progress | None) -> Contents:
    """Find the layout of a folder, look at its files, and choose the training size."""
    ask = ask.checked()

    layout = find_layout(root, ask, looking=looking)
    layout = _with_known_classes(layout, ask) if ask.class_names else _without_lone_class(layout)
    seen, lost = survey(layout.images, progress=looking)
    layout = inside(frames_of(layout, seen, lost), seen)
    size = training_size([seen[one.path].shorter_side_px for one in layout.images], size_px)
    found = _white_level(ask, seen)
    notes = () if found.reason is None else (found.reason,)
    layout = layout._replace(notes=(*layout.notes, *notes))
    if layout.is_paired:
        layout = _without_small(layout, seen, size.size_px)
        remedy = "give twins that can be read and have one size"
        require_images(layout.images, root, layout.left_out, remedy)
    require_images(layout.images, root, layout.left_out)
    return Contents(ask, layout, seen, size, found.white, found.brightest)


def _white_level(ask: Ask, seen: Mapping[Path, Surveyed]) -> FoundWhite:
    """Return the white level that is requested or that the deep files share."""
    deep = [path for path, one in seen.items() if one.facts.bit_depth > 8]
    if ask.white == "auto":
        return find_white_level(deep)
    white = None if ask.white is None else float(ask.white)
    is_used = white is not None and deep
    return FoundWhite(
        white, f"white is {white:g} in files of more than 8 bits" if is_used else None
    )


def _without_lone_class(layout: Layout) -> Layout:
    """Return a layout without labels, and with a note on that, where all images have the same."""
    if len(layout.class_names) != 1:
        return layout
    only = quoted(layout.class_names)
    note = f"all images are of the class {only}, so there are no labels to learn"
    layout = layout.changed(
        lambda files: dict.fromkeys(one._replace(class_name=None, box=None) for one in files)
    )
    return layout._replace(class_names=(), notes=(*layout.notes, note))


def _with_known_classes(layout: Layout, ask: Ask) -> Layout:
    """Return a layout with the classes of a trained network."""
    if not layout.class_names:
        return layout
    names = renaming(layout.class_names, ask.class_names)
    unknown = [name for name, known in names.items() if known is None]
    if unknown:
        raise DataError(
            f"the network classifies {quoted(ask.class_names)}, but the folder has the class "
            f"{quoted(unknown)}",
            "give a folder with the classes of the network",
        )
    layout = layout.changed(
        lambda files: (one._replace(class_name=names[str(one.class_name)]) for one in files)
    )
    return layout._replace(class_names=ask.class_names)


def _without_small(layout: Layout, seen: Mapping[Path, Surveyed], size_px: int) -> Layout:
    """Leave out the pairs that are smaller than the training size; twins are never enlarged."""

    def is_small(one: ImageFile) -> bool:
        return seen[one.path].shorter_side_px < size_px

    lost = [
        LeftOut(path, f"it is {seen[path].size}, below {size_px} px")
        for path in sorted({one.path for one in layout.images if is_small(one)})
    ]
    return layout.changed(lambda files: (one for one in files if not is_small(one)), lost)
