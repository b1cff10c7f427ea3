"""The readable images of a folder, before any is decoded."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tapetum.data.layout import Ask, ImageFile, Layout, examples, quoted
from tapetum.data.names import same_name
from tapetum.data.parts import find_layout
from tapetum.data.sizes import TrainingSize, training_size
from tapetum.data.survey import Surveyed, frames_of, survey
from tapetum.errors import DataError
from tapetum.images import FoundWhite, LeftOut, display_name, find_white_level

__all__ = ["Contents", "read_contents"]


class Contents(NamedTuple):
    """The readable images of a folder, each frame of them, and everything that is left out.

    ``white`` is the stored value that 1.0 stands for in deep files; None for that of their type.
    """

    ask: Ask
    layout: Layout
    seen: dict[Path, Surveyed]
    train: list[ImageFile]
    val: list[ImageFile] | None
    size: TrainingSize
    left_out: list[LeftOut]
    white: float | None

    @property
    def images(self) -> list[ImageFile]:
        """All images, those of the validation part last."""
        return [*self.train, *(self.val or ())]

    def without(self, lost: Sequence[LeftOut], kept: Sequence[ImageFile]) -> "Contents":
        """Return the contents with the images that could be decoded."""
        names = set(kept)
        return self._replace(
            train=[one for one in self.train if one in names],
            val=None if self.val is None else [one for one in self.val if one in names],
            left_out=[*self.left_out, *lost],
        )


def read_contents(
    root: Path, ask: Ask, size_px: int | None, looking: Callable[[int, int], None] | None
) -> Contents:
    """Find the layout of a folder, look at its files, and choose the training size.

    Args:
        root: The folder.
        ask: How it is requested to be read.
        size_px: The training size that was requested, if any.
        looking: Called after each file with the number done and the number of all.

    Raises:
        DataError: There is no such folder, no readable image, or a reading in doubt.
    """
    ask = ask.checked()

    def finding(number: int) -> None:
        if looking is not None:
            looking(number, number + 1)  # nobody knows how many there will be

    layout = _with_classes(find_layout(root, ask, finding=finding), ask)
    seen, lost = survey([*layout.train, *(layout.val or ())], progress=looking)
    train, more = frames_of(layout.train, seen)
    left_out = [*layout.left_out, *lost, *more]
    val = None
    if layout.val is not None:
        val, more = frames_of(layout.val, seen)
        left_out += more
    sides = [seen[one.path].shorter_side_px for one in [*train, *(val or ())]]
    size = training_size(sides, size_px)
    found = _white_level(ask, seen)
    if found.reason is not None:
        layout = layout._replace(notes=(*layout.notes, found.reason))
    contents = Contents(ask, layout, seen, train, val, size, left_out, found.white)
    if layout.is_paired:
        contents = _large_enough(contents)
    _require_images(contents)
    return contents


def _white_level(ask: Ask, seen: Mapping[Path, Surveyed]) -> FoundWhite:
    """Return the white level that is requested, or that the deep files share."""
    deep = [path for path, one in seen.items() if one.facts.bit_depth > 8]
    if ask.white == "auto":
        return find_white_level(deep)
    white = None if ask.white is None else float(ask.white)
    said = deep and white is not None
    return FoundWhite(white, f"white is {white:g}, as requested" if said else None)


def _with_classes(layout: Layout, ask: Ask) -> Layout:
    """Return a layout with the classes of a trained network, if there is one.

    Raises:
        DataError: The folder has a class that the network does not know.
    """
    if not ask.class_names or not layout.class_names:
        return layout
    ours = {same_name(name): name for name in ask.class_names}
    ours |= {name: name for name in ask.class_names}
    names = {name: ours.get(name) or ours.get(same_name(name)) for name in layout.class_names}
    unknown = sorted(name for name, known in names.items() if known is None)
    if unknown:
        raise DataError(
            f"the network classifies {quoted(ask.class_names)}, but the folder has the class "
            f"{quoted(unknown)}",
            "give a folder with the classes of the network",
        )

    def renamed(files: tuple[ImageFile, ...]) -> tuple[ImageFile, ...]:
        return tuple(one._replace(class_name=names[str(one.class_name)]) for one in files)

    return layout._replace(
        train=renamed(layout.train),
        val=None if layout.val is None else renamed(layout.val),
        class_names=ask.class_names,
    )


def _require_images(contents: Contents) -> None:
    if not contents.images:
        raise DataError(
            f"{display_name(contents.layout.root)} has no readable image"
            f"{examples(contents.left_out)}",
            "give a folder with images, such as CLASS/image.png",
        )


def _large_enough(contents: Contents) -> Contents:
    """Leave out the pairs that are smaller than the training size; twins are never enlarged."""
    size_px, seen = contents.size.size_px, contents.seen
    small = {one.path for one in contents.images if seen[one.path].shorter_side_px < size_px}
    lost = [
        LeftOut(
            path,
            f"it is {seen[path].facts.width_px} x {seen[path].facts.height_px} px, "
            f"below {size_px} px",
        )
        for path in sorted(small)
    ]
    return contents.without(lost, [one for one in contents.images if one.path not in small])
