"""Read the images of one part of a dataset: classes, pairs, or neither.

Every decision that is not obvious is noted; a part that can be read in two ways is refused.
"""

from dataclasses import replace

from tapetum.data.layout import (
    AS_CLASSES,
    Findings,
    ImageFile,
    PartFiles,
    as_classes,
    doubt,
    examples,
    quoted,
)
from tapetum.data.masks import without_masks
from tapetum.data.names import class_words, meaning, same_name
from tapetum.data.tree import Node
from tapetum.data.twins import pairs_by_name, pairs_in_classes, pairs_of_folders, sides_of
from tapetum.errors import DataError
from tapetum.images import display_name

__all__ = ["descend", "read_part"]

_NO_CLASS = "it lies next to class folders, so it has no class"
_NO_LABELS = ("images without labels", "add --layout flat")


def descend(node: Node, found: Findings) -> Node:
    """Return the folder that is meant where only one folder lies in a folder."""
    while not node.files and len(node.children) == 1:
        ((name, child),) = node.children.items()
        if not _is_above(name, child, node, found):
            break
        node = child
    return node


def _is_above(name: str, child: Node, node: Node, found: Findings) -> bool:
    """Return whether an only folder is no class but one folder more to go down."""
    what = meaning(name)
    if found.knows(name):
        return False
    if what.is_plain or same_name(name) == same_name(node.name):
        return True
    if what.part is not None:
        return meaning(node.name).part == what.part
    return bool(child.children) and not child.files


def read_part(node: Node, found: Findings) -> PartFiles:
    """Return the images of a part."""
    node = descend(without_masks(descend(node, found), found), found)
    layout = found.ask.layout
    if layout == "flat" or (node.is_leaf and layout != "pairs"):
        return _flat(node, found)
    sides = sides_of(node, found)
    if sides is not None:
        # A side itself has no pairs.  Who requests pairs, has no classes.
        inner = "flat" if layout == "pairs" else None
        labelled = read_part(sides[1], replace(found, ask=found.ask._replace(layout=inner)))
        return pairs_of_folders(*sides, labelled, found)
    paired = pairs_by_name(node, found) if layout == "pairs" else None
    if paired is not None:
        return paired
    return _leaves(node, found) if layout == "leaves" else _classes(node, found)


def _flat(node: Node, found: Findings) -> PartFiles:
    """Return images without labels, paired where their names say so."""
    files = list(node.all_files())
    if found.ask.layout != "flat":
        paired = pairs_by_name(node, found)
        if paired is not None:
            return paired
        classes = class_words(file.stem for file in files)
        if classes:
            found.notes.append(
                f"file names look like the classes {quoted(classes)}: put them into folders, or "
                "give a table with --labels"
            )
    return PartFiles(tuple(node.image(file) for file in files))


def _leaves(node: Node, found: Findings) -> PartFiles:
    """Return images whose innermost folder is their class."""
    files = []
    for place in node.places()[1:]:
        sub = place.path.parent.relative_to(node.path).as_posix()
        group = display_name(sub) if sub != "." else ""
        files += [ImageFile(file, None, place.name, group=group) for file in place.files]
    found.leave_out(node.files, _NO_CLASS)
    return PartFiles.labelled(files)


def _classes(node: Node, found: Findings) -> PartFiles:
    """Return images whose class is the folder directly in the part."""
    _refuse_unreadable_classes(node, found)
    classes = {name: without_masks(child, found) for name, child in node.children.items()}
    if found.ask.layout != "classes":
        paired = pairs_in_classes(node, classes, found)
        if paired is not None:
            found.leave_out(node.files if paired.class_names else (), _NO_CLASS)
            return paired
        if not found.ask.class_names:
            _refuse_other_folders(Node(node.name, node.path, node.files, classes), found)
    found.leave_out(node.files, _NO_CLASS)
    files = (
        child.image(file, name) for name, child in classes.items() for file in child.all_files()
    )
    _note_spaces(node, found)
    has_folders = [name for name, child in classes.items() if child.children]
    if has_folders and found.ask.group_by is None:
        found.notes.append(
            f"folders inside {quoted(has_folders)} are no classes of their own: if each is a lot, "
            "a patient or a film, --group-by folder keeps it on one side of the split; if each is "
            "a class, add --layout leaves"
        )
    return PartFiles(tuple(files), tuple(sorted(classes)))


def _note_spaces(node: Node, found: Findings) -> None:
    """Note class folders with spaces around their names, which the classes go without."""
    files = (file for child in node.children.values() for file in child.all_files())
    names = {display_name(file.parts[len(node.path.parts)]) for file in files}
    spaced = [name for name in names if name != name.strip()]
    if spaced:
        found.notes.append(f"the classes are named without the spaces around {quoted(spaced)}")


def _refuse_unreadable_classes(node: Node, found: Findings) -> None:
    """Refuse a class whose files are all left out; an empty folder is noted."""
    left_out = {entry.path for entry in found.left_out}
    with_images = {child.path.name for child in node.children.values()}
    for folder in sorted(node.path.iterdir()):
        if folder.name in with_images or folder in left_out or not folder.is_dir():
            continue
        lost = [entry for entry in found.left_out if folder in entry.path.parents]
        lost = [entry for entry in lost if not entry.path.name.startswith(".")]
        if lost:
            raise DataError(
                f"the class {display_name(folder.name)!r} has no readable image{examples(lost)}",
                f"repair its images, or remove {display_name(folder)}",
            )
        if not any(path.is_file() for path in folder.rglob("*")):
            found.leave_out([folder], "it is an empty folder, so it is no class")


def _refuse_other_folders(node: Node, found: Findings) -> None:
    """Refuse folders that are hardly classes."""
    reading, choice = as_classes(node.children)
    children, meanings = node.children.values(), [meaning(name) for name in node.children]
    if len(node.files) > sum(child.count() for child in children):
        number = f"the {len(node.files):,} images beside them are left out"
        raise doubt(node.path, (f"{reading} and {number}", choice), _NO_LABELS)
    if any(what.is_plain for what in meanings) or all(what.is_counted for what in meanings):
        raise doubt(node.path, (reading, choice), _NO_LABELS)
    inner = [set(child.children) for child in children]
    shared = set.intersection(*inner) if len(inner) > 1 else set()
    is_repeated = len(shared) > 1 and 2 * len(shared) >= len(set.union(*inner))
    has_files = any(child.files for child in children)
    if is_repeated and found.ask.group_by is None and not has_files:
        raise doubt(
            node.path,
            (
                f"the classes are {quoted(node.children)}, and {quoted(shared)} lots, patients or "
                "films in each",
                "add --group-by folder, which keeps each on one side of the split (or "
                f"{AS_CLASSES}, which divides them)",
            ),
            (f"the classes are {quoted(shared)}, in each of them", "add --layout leaves"),
            ("the folders are parts of the dataset", "rename them to 'train' and 'val'"),
        )
