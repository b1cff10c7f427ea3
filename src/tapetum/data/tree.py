"""The folders that contain images, as a tree."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tapetum.data.layout import ImageFile
from tapetum.images import display_name

__all__ = ["Node", "grow"]


@dataclass(eq=False)
class Node:
    """A folder with images in it or below it.

    Its name is in NFC and without spaces around it.  ``files`` are the images directly in it, and
    ``children`` the folders in it that contain images, by name.
    """

    name: str
    path: Path
    files: list[Path] = field(default_factory=list)
    children: dict[str, "Node"] = field(default_factory=dict)

    def all_files(self) -> Iterator[Path]:
        """Yield the images in this folder and below it."""
        for place in self.places():
            yield from place.files

    def count(self) -> int:
        """Return the number of images in this folder and below it."""
        return sum(1 for _ in self.all_files())

    def places(self) -> list["Node"]:
        """Return this folder and all below it."""
        return [self, *(place for child in self.children.values() for place in child.places())]

    def image(self, file: Path, class_name: str | None = None) -> ImageFile:
        """Return an image in this class or part; its group is the outermost folder below it."""
        inside = file.parts[len(self.path.parts) :]  # folders of one name may be several on disk
        group = display_name(inside[0]) if len(inside) > 1 else ""
        return ImageFile(file, None, class_name, group=group)

    @property
    def is_leaf(self) -> bool:
        """Whether no folder in it contains images."""
        return not self.children

    def subset(self, names: set[str]) -> "Node":
        """Return the folder with some of its children."""
        kept = {name: child for name, child in self.children.items() if name in names}
        return Node(self.name, self.path, self.files, kept)


def grow(root: Path, files: tuple[Path, ...]) -> Node:
    """Return the tree of some files below a folder.

    Names that differ only in Unicode form or in spaces around them are one folder.
    """
    top = Node(display_name(root.name), root)
    for file in files:
        node, here = top, root
        for part in file.relative_to(root).parts[:-1]:
            here = here / part
            name = display_name(part).strip() or display_name(part)
            node = node.children.setdefault(name, Node(name, here))
        node.files.append(file)
    return top
