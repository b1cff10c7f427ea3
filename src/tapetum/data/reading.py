"""Read the images of one part of a dataset: classes, pairs, or neither.

Every decision that is not obvious is noted; a part that can be read in two ways is refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tapetum.data.layout import Findings, ImageFile, PartFiles, doubt, examples, quoted
from tapetum.data.names import class_words, meaning, same_name
from tapetum.data.pairing import SURE, Pairs, is_mask_of, likeness, pair_files, pair_folders
from tapetum.data.tree import Node
from tapetum.errors import DataError
from tapetum.images import display_name

__all__ = ["descend", "read_part", "sides_of", "without_masks"]

_NO_CLASS = "it lies next to class folders, so it has no class"
_UNSURE = 0.5  # correlation below which images are surely no twins
_MOST = 0.8  # share of files that must be twins, where nothing but names says so


def descend(node: Node, found: Findings) -> Node:
    """Return the folder that is meant where only one folder lies in a folder, and say so."""
    while not node.files and len(node.children) == 1:
        ((name, child),) = node.children.items()
        if not _is_above(name, child, node, found):
            break
        node = child
    return node


def _is_above(name: str, child: Node, node: Node, found: Findings) -> bool:
    """Return whether an only folder is no class but one folder more to go down."""
    what = meaning(name)
    if _is_known(name, found):
        return False
    if what.is_plain or same_name(name) == same_name(node.name):
        return True
    if what.part is not None:
        return meaning(node.name).part == what.part
    return bool(child.children) and not child.files


def _is_known(name: str, found: Findings) -> bool:
    """Return whether a trained network has a class of this name."""
    return same_name(name) in {same_name(known) for known in found.ask.class_names}


def read_part(node: Node, found: Findings) -> PartFiles:
    """Return the images of a part."""
    node = without_masks(descend(node, found), found)
    node = descend(node, found)
    layout = found.ask.layout
    if layout == "flat" or (node.is_leaf and layout != "pairs"):
        return _flat(node, found)
    sides = sides_of(node, found)
    if sides is not None:
        return _paired(sides, found)
    if layout == "pairs":
        return _flat_pairs(node, found)
    if layout == "leaves":
        return _leaves(node, found)
    return _classes(node, found)


def without_masks(node: Node, found: Findings) -> Node:
    """Return a folder without the folders and files of masks; each one is noted."""
    if found.ask.layout in ("classes", "pairs"):
        return node
    masks, kept = set(), set()
    names = {name: meaning(name) for name in node.children}
    has_noisy = any(what.side == "noisy" and not what.is_weak for what in names.values())
    for name, what in names.items():
        others = [theirs for other, theirs in names.items() if other != name]
        is_clean_side = what.side == "clean" and has_noisy and len(names) == 2
        if not (what.is_mask or what.may_be_mask) or is_clean_side or not (others or node.files):
            kept.add(name)
        elif what.is_mask or not others or all(theirs.is_plain for theirs in others):
            if what.side == "clean" and not what.is_mask and found.ask.layout != "flat":
                raise _doubt_masks(node, name)
            masks.add(name)
        elif _is_known(name, found) or _denies(name, names):
            kept.add(name)
        elif found.ask.layout == "flat":
            masks.add(name)
        else:
            raise doubt(
                node.path,
                (f"{name!r} is a class like {quoted(set(names) - {name})}", "add --layout classes"),
                (f"{name!r} holds masks of the others", f"move {name!r} out of the folder"),
            )
    for name in sorted(masks):
        child = node.children[name]
        found.leave_out([child.path], f"its {child.count():,} image(s) are masks by its name")
    stems = frozenset(file.stem for file in node.files)
    mask_files = [file for file in node.files if is_mask_of(file, stems)]
    found.leave_out(mask_files, "it is a mask of another image by its name")
    files = [file for file in node.files if file not in set(mask_files)]
    return Node(node.name, node.path, files, node.subset(kept).children)


def _denies(name: str, names: Mapping[str, object]) -> bool:
    """Return whether another name is the opposite, such as ``no_mask`` of ``mask``."""
    return any(
        {"no", "non", "not", "without", "un"} & set(meaning(other).rest) and name != other
        for other in names
    )


def _doubt_masks(node: Node, name: str) -> DataError:
    others = quoted(set(node.children) - {name}) or "the images"
    return doubt(
        node.path,
        (f"{others} is noisy and {name!r} its clean truth", "add --layout pairs"),
        (f"{name!r} holds masks or other labels of {others}", "add --layout flat"),
    )


def sides_of(node: Node, found: Findings) -> tuple[Node, Node] | None:
    """Return the folders of noisy and of clean images, if there are such."""
    is_forced = found.ask.layout == "pairs"
    if found.ask.layout not in (None, "pairs", "parts", "pooled") or len(node.children) < 2:
        return None
    names = {name: meaning(name) for name in node.children}
    noisy = [name for name, what in names.items() if what.side == "noisy"]
    clean = [name for name, what in names.items() if what.side == "clean"]
    if is_forced and not noisy and len(clean) == 1:
        noisy = [name for name in names if name not in clean]
    if len(noisy) != 1 or len(clean) != 1:
        return None
    sides = node.children[noisy[0]], node.children[clean[0]]
    if is_forced:
        return sides
    others = set(names) - {noisy[0], clean[0]}
    is_weak = names[noisy[0]].is_weak or names[clean[0]].is_weak
    if others or node.files:
        if is_weak:
            return None
        raise _doubt_pairs(node, noisy[0], clean[0], "there is more beside them")
    pairs = pair_folders(
        list(sides[0].all_files()), sides[0].path, list(sides[1].all_files()), sides[1].path
    )
    if not pairs.is_convincing:
        if is_weak:
            return None
        raise _doubt_pairs(node, noisy[0], clean[0], "their file names do not fit together")
    alike = likeness(pairs) if is_weak else 1.0
    if alike < _UNSURE:
        return None
    if alike < SURE:
        raise _doubt_pairs(node, noisy[0], clean[0], "their images are only somewhat alike")
    return sides


def _doubt_pairs(node: Node, noisy: str, clean: str, why: str) -> DataError:
    return doubt(
        node.path,
        (f"{noisy!r} and {clean!r} are noisy and clean twins, but {why}", "add --layout pairs"),
        (f"{quoted(set(node.children))} are classes", "add --layout classes"),
    )


def _paired(sides: tuple[Node, Node], found: Findings) -> PartFiles:
    """Return twins of two folders, with the classes that lie in both."""
    noisy, clean = sides
    inner = replace(found, ask=found.ask._replace(layout=None))  # the side itself has no pairs
    labelled = read_part(clean, inner)
    pairs = pair_folders(
        list(noisy.all_files()), noisy.path, [file.path for file in labelled.files], clean.path
    )
    twins = dict(pairs.twins)
    found.leave_out(pairs.lone_clean, f"it has no noisy twin in {display_name(noisy.path)}")
    found.leave_out(pairs.lone_noisy, f"it has no clean twin in {display_name(clean.path)}")
    files = tuple(
        file._replace(noisy_path=twins[file.path]) for file in labelled.files if file.path in twins
    )
    found.notes.append(
        f"{noisy.path.name!r} holds the noisy and {clean.path.name!r} the clean images"
    )
    return PartFiles(files, labelled.class_names, is_paired=True)


def _flat(node: Node, found: Findings) -> PartFiles:
    """Return images without labels, paired where their names say so."""
    files = list(node.all_files())
    if found.ask.layout == "flat":
        return PartFiles(tuple(_file(file, node, None) for file in files))
    pairs = pair_files(files)
    if not pairs.twins:
        classes = class_words(file.stem for file in files)
        if classes:
            found.notes.append(
                f"file names look like the classes {quoted(classes)}: put them into folders, or "
                "give a table with --labels"
            )
        return PartFiles(tuple(_file(file, node, None) for file in files))
    if 2 * len(pairs.twins) < _MOST * len(files):
        raise doubt(
            node.path,
            (
                f"{len(pairs.twins):,} pairs by their names, without the others",
                "add --layout pairs",
            ),
            (f"{len(files):,} clean images", "add --layout flat"),
        )
    return _named_pairs(pairs, node, found, None)


def _named_pairs(pairs: Pairs, node: Node, found: Findings, class_name: str | None) -> PartFiles:
    reason = "it has no twin by its name"
    found.leave_out([*pairs.lone_clean, *pairs.lone_noisy], reason)
    return PartFiles(
        tuple(
            _file(clean, node, class_name)._replace(noisy_path=noisy)
            for clean, noisy in pairs.twins
        ),
        is_paired=True,
    )


def _flat_pairs(node: Node, found: Findings) -> PartFiles:
    """Return the pairs by names of a folder and the folders in it."""
    by_folder = [pair_files(place.files) for place in _places(node)]
    pairs = Pairs(
        tuple(twins for one in by_folder for twins in one.twins),
        tuple(file for one in by_folder for file in one.lone_clean),
        tuple(file for one in by_folder for file in one.lone_noisy),
    )
    if not pairs.twins:
        raise DataError(
            f"{display_name(node.path)} has no pairs of a noisy and a clean image",
            "name them 'a_noisy.png' and 'a_clean.png', or use folders 'noisy' and 'clean'",
        )
    return _named_pairs(pairs, node, found, None)


def _places(node: Node) -> list[Node]:
    return [node, *(place for child in node.children.values() for place in _places(child))]


def _leaves(node: Node, found: Findings) -> PartFiles:
    """Return images whose innermost folder is their class."""
    files = []
    for place in _places(node):
        if place is not node:
            sub = place.path.parent.relative_to(node.path).as_posix()
            group = display_name(sub) if sub != "." else ""
            files += [ImageFile(file, None, place.name, group=group) for file in place.files]
    found.leave_out(node.files, _NO_CLASS)
    return PartFiles(tuple(files), tuple(sorted({str(file.class_name) for file in files})))


def _classes(node: Node, found: Findings) -> PartFiles:
    """Return images whose class is the folder directly in the part."""
    _refuse_unreadable_classes(node, found)
    classes = {name: without_masks(child, found) for name, child in node.children.items()}
    paired = _paired_classes(node, classes, found)
    if paired is not None:
        return paired
    if found.ask.layout != "classes" and not found.ask.class_names:
        _refuse_other_folders(Node(node.name, node.path, node.files, classes), found)
    found.leave_out(node.files, _NO_CLASS)
    files = tuple(
        _file(file, child, name) for name, child in classes.items() for file in child.all_files()
    )
    has_folders = [name for name, child in classes.items() if child.children]
    if has_folders and found.ask.group_by is None:
        found.notes.append(
            f"folders inside {quoted(has_folders)} are no classes of their own (--layout leaves "
            "makes them classes, --group-by folder keeps each on one side of the split)"
        )
    return PartFiles(files, tuple(sorted(classes)))


def _paired_classes(node: Node, classes: dict[str, Node], found: Findings) -> PartFiles | None:
    """Return the pairs in folders whose files are named as twins; None where they are not."""
    if found.ask.layout == "classes":
        return None
    pairs = {name: pair_files(list(child.all_files())) for name, child in classes.items()}
    paired = [name for name, one in pairs.items() if one.twins]
    if not paired:
        return None
    if any(2 * len(pairs[name].twins) < _MOST * classes[name].count() for name in classes):
        names = quoted(paired)
        raise doubt(
            node.path,
            (f"files in {names} are pairs by their names", "add --layout pairs"),
            ("classes of clean images", "add --layout classes"),
        )
    if len(classes) == 1 or all(len(one.twins) == 1 for one in pairs.values()):
        found.notes.append("files are pairs by their names, and folders are no classes")
        return _flat_pairs(node, found)
    found.leave_out(node.files, _NO_CLASS)
    parts = [_named_pairs(pairs[name], classes[name], found, name) for name in classes]
    files = tuple(file for part in parts for file in part.files)
    return PartFiles(files, tuple(sorted(classes)), is_paired=True)


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
    names = {name: meaning(name) for name in node.children}
    all_classes = (f"{quoted(set(names))} are classes", "add --layout classes")
    no_labels = ("images without labels", "add --layout flat")
    if len(node.files) > sum(child.count() for child in node.children.values()):
        number = f"the {len(node.files):,} images beside them are left out"
        raise doubt(node.path, (f"{all_classes[0]} and {number}", all_classes[1]), no_labels)
    if any(what.is_plain for what in names.values()) or all(
        what.is_counted for what in names.values()
    ):
        raise doubt(node.path, all_classes, no_labels)
    inner = [set(child.children) for child in node.children.values()]
    shared = set.intersection(*inner) if len(inner) > 1 else set()
    is_repeated = len(shared) > 1 and 2 * len(shared) >= len(set.union(*inner))
    if (
        is_repeated
        and found.ask.group_by is None
        and not any(child.files for child in node.children.values())
    ):
        raise doubt(
            node.path,
            (f"the classes are {quoted(set(names))}", "add --layout classes, or --group-by folder"),
            (f"the classes are {quoted(shared)}, in each of them", "add --layout leaves"),
        )


def _file(file: Path, node: Node, class_name: str | None) -> ImageFile:
    """Return an image whose group is the outermost folder below a class or part."""
    inside = file.parts[len(node.path.parts) :]  # folders of one name may be several on the disk
    group = display_name(inside[0]) if len(inside) > 1 else ""
    return ImageFile(file, None, class_name, group=group)
