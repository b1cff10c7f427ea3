"""Leave out masks: files and folders that say what is in other images, by their names."""

from pathlib import Path

from tapetum.data.layout import AS_CLASSES, Findings, doubt, quoted
from tapetum.data.names import Meaning, meaning, words
from tapetum.data.tree import Node
from tapetum.errors import DataError

__all__ = ["without_masks"]

_OF_FILES = ("mask", "masks", "seg", "segmentation", "annotation")
_NOT = frozenset({"no", "non", "not", "without", "un"})


def without_masks(node: Node, found: Findings) -> Node:
    """Return a folder without the folders and files of masks; each one is noted."""
    if found.ask.layout in ("classes", "pairs"):
        return node
    meanings = {name: meaning(name) for name in node.children}
    masks = {name for name in meanings if _is_mask(name, meanings, node, found)}
    for name in sorted(masks):
        child = node.children[name]
        found.leave_out([child.path], f"its {child.count():,} image(s) are masks by its name")
    stems = frozenset(file.stem for file in node.files)
    mask_files = [file for file in node.files if _is_mask_of(file, stems)]
    found.leave_out(mask_files, "it is a mask of another image by its name")
    files = [file for file in node.files if file not in set(mask_files)]
    return Node(node.name, node.path, files, node.subset(meanings.keys() - masks).children)


def _is_mask(name: str, meanings: dict[str, Meaning], node: Node, found: Findings) -> bool:
    """Return whether a folder holds masks of its neighbours or of the images beside it.

    Raises:
        DataError: It may as well be a class, or the clean side of pairs.
    """
    what = meanings[name]
    others = [theirs for other, theirs in meanings.items() if other != name]
    has_noisy = any(theirs.side == "noisy" and not theirs.is_weak for theirs in others)
    is_clean_side = what.side == "clean" and has_noisy and len(others) == 1
    if not (what.is_mask or what.may_be_mask) or is_clean_side or not (others or node.files):
        return False
    if what.is_mask or all(theirs.is_plain for theirs in others):
        if what.side == "clean" and not what.is_mask and found.ask.layout != "flat":
            raise _doubt_of_clean(node, name)
        return True
    if found.knows(name) or any(_NOT & set(theirs.rest) for theirs in others):
        return False
    if found.ask.layout == "flat":
        return True
    raise doubt(
        node.path,
        (f"{name!r} is a class like {quoted(meanings.keys() - {name})}", AS_CLASSES),
        (f"{name!r} holds masks of the others", f"move {name!r} out of the folder"),
    )


def _doubt_of_clean(node: Node, name: str) -> DataError:
    others = quoted(node.children.keys() - {name}) or "the images"
    return doubt(
        node.path,
        (f"{others} is noisy and {name!r} its clean truth", "add --layout pairs"),
        (f"{name!r} holds masks or other labels of {others}", "add --layout flat"),
    )


def _is_mask_of(file: Path, stems: frozenset[str]) -> bool:
    """Return whether a file is called like a mask of another file, such as ``a_mask.png``."""
    given = words(file.stem)
    while given and given[-1].isdigit():
        given = given[:-1]
    if not given or given[-1] not in _OF_FILES:
        return False
    stem = file.stem[: file.stem.casefold().rindex(given[-1])].rstrip("_-. ")
    return stem in stems
