"""Find the parts of a folder and bring their classes together."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tapetum.data.labels_file import LabelsFile, find_labels, read_labels
from tapetum.data.layout import (
    Ask,
    Findings,
    ImageFile,
    Layout,
    PartFiles,
    as_classes,
    doubt,
    examples,
    quoted,
)
from tapetum.data.masks import without_masks
from tapetum.data.names import Part, meaning, renaming, same_name
from tapetum.data.reading import descend, read_part
from tapetum.data.splitting import group_of
from tapetum.data.threads import Progress
from tapetum.data.tree import Node, grow
from tapetum.errors import DataError
from tapetum.images import LeftOut, display_name, scan

__all__ = ["find_layout", "require_images"]

_TOLD_EVERY = 100  # images

Parts = dict[Part | None, Node]
Read = dict[Part | None, PartFiles]
_SPOKEN: dict[Part, str] = {"train": "training", "val": "validation", "test": "test"}


def find_layout(root: Path, ask: Ask | None = None, *, looking: Progress | None = None) -> Layout:
    """Sort the images of a folder into parts, classes and pairs.

    ``looking`` is called now and then; nobody knows how many images there will be.
    """
    ask = (ask or Ask()).checked()
    found = Findings(ask)
    files = _walked(root, found, looking)
    require_images(files, root, found.left_out)
    top = descend(grow(root, files), found)
    if top.path != root:
        inside = display_name(top.path.relative_to(root))
        found.notes.append(f"the images lie in the folder {inside!r} of it")
    if ask.labels is not None:
        read = _labelled(read_labels(ask.labels, files, top.path), top, found)
    else:
        found, read = _read(top, found, files)
    return _joined(root, top.path, read, found)


def _walked(root: Path, found: Findings, looking: Progress | None) -> tuple[Path, ...]:
    """Return the image files of a folder, and note what is left out."""
    files: list[Path] = []
    for entry in scan(root):
        if isinstance(entry, LeftOut):
            found.left_out.append(entry)
            continue
        files.append(entry)
        if looking is not None and len(files) % _TOLD_EVERY == 0:
            looking(0, 1)
    return tuple(files)


def require_images(
    images: Sequence[object],
    root: Path,
    left_out: Sequence[LeftOut],
    remedy: str = "give a folder with images, such as CLASS/image.png",
) -> None:
    """Refuse a folder without images."""
    if not images:
        raise DataError(
            f"{display_name(root)} has no readable image{examples(left_out)}",
            remedy,
        )


def _read(top: Node, found: Findings, files: tuple[Path, ...]) -> tuple[Findings, Read]:
    """Read every part, with the labels of a table in the folder where folders give none."""
    is_free = found.ask.layout is None
    table = find_labels(found, files, top.path) if is_free else None
    attempt = Findings(found.ask, list(found.notes), list(found.left_out))
    read: Read = {}
    try:
        for part, node in _parts(top, attempt).items():
            read[part] = read_part(node, attempt)
    except DataError:
        if table is None:
            raise
        return found, _labelled(table, top, found)
    if table is None or any(part.is_paired for part in read.values()):
        return attempt, read
    if any(part.class_names for part in read.values()):
        table.compare(read, top.path, attempt)
        return attempt, read
    return found, _labelled(table, top, found)


def _labelled(table: LabelsFile, top: Node, found: Findings) -> Read:
    """Return the images of a table in its parts, or else in those of the folder."""
    labelled = table.parts(found)
    whole = labelled.get(None)
    if whole is None:
        return labelled
    tree = grow(top.path, tuple(dict.fromkeys(file.path for file in whole.files)))
    try:
        nodes = _parts(tree, Findings(found.ask))
    except DataError:
        found.notes.append(f"folders are not clearly parts, so {table.name!r} is split at random")
        return labelled
    places = {file: name for name, node in nodes.items() for file in node.all_files()}
    parts: dict[Part | None, list[ImageFile]] = {}
    for file in whole.files:
        name = None if None in nodes else places.get(file.path, "train")
        parts.setdefault(name, []).append(file)
    return {name: PartFiles.labelled(files) for name, files in parts.items()}


def _parts(top: Node, found: Findings) -> Parts:
    """Return the folder of each part; the folder itself, under None, without parts."""
    if found.ask.layout == "classes":
        return {None: top}
    top = descend(without_masks(top, found), found)
    crossed = _crossed(top)
    if crossed:
        return crossed
    roles = {name: part for name in top.children if (part := meaning(name).part)}
    others = set(top.children) - set(roles)
    rests = {meaning(name).rest for name in roles}
    if not roles or len(rests) > 1:
        return {None: top}
    if others or top.files:
        return _parts_among(top, roles, others, found)
    _refuse_two_of_one_kind(top, roles)
    parts: Parts = {part: top.children[name] for name, part in roles.items()}
    if len(parts) == 1:
        return {None: next(iter(parts.values()))}
    if "train" not in parts and found.ask.layout != "pooled":
        raise doubt(
            top.path,
            (
                "it has a validation and a test part, but none for training",
                "give one of them, or rename a part to 'train'",
            ),
            ("all its images may be split anew", "add --layout pooled"),
        )
    return parts


def _refuse_two_of_one_kind(top: Node, roles: Mapping[str, Part]) -> None:
    for part in roles.values():
        names = {name for name, theirs in roles.items() if theirs == part}
        if len(names) > 1:
            ways = (
                (f"{name!r} is the {_SPOKEN[part]} part", f"move {quoted(names - {name})} away")
                for name in sorted(names)
            )
            renamed = ("each is a part of its own", "rename them to 'train', 'val' and 'test'")
            raise doubt(top.path, *ways, renamed)


def _parts_among(top: Node, roles: Mapping[str, Part], others: set[str], found: Findings) -> Parts:
    """Decide whether folders with names of parts, among other folders or images, are parts."""
    as_parts: Parts = {part: top.children[name] for name, part in roles.items()}
    are_leaves = all(top.children[name].is_leaf for name in roles)
    inner = {name for given in roles for name in top.children[given].children}
    if "train" not in as_parts and len(as_parts) == 1 and inner and inner <= others:
        part = next(iter(as_parts))
        found.notes.append(f"the folders beside {quoted(roles)} are the training part")
        return {"train": top.subset(others), part: as_parts[part]}
    if "train" in as_parts and len(as_parts) > 1 and not are_leaves:
        beside = [*(top.children[name].path for name in sorted(others)), *top.files]
        found.leave_out(beside, "it lies beside the parts of the dataset")
        return as_parts
    is_class = are_leaves and (set(as_parts) == {"train"} or _has_opposite(roles, others))
    if is_class and others:
        found.notes.append(f"the folder {quoted(roles)} is taken for a class, like its neighbours")
        return {None: top}
    rest = quoted(others) if others else f"{len(top.files):,} images"
    away = f"move {quoted(roles)} or {rest} out of the folder, or name the parts 'train' and 'val'"
    raise doubt(
        top.path,
        as_classes([*roles, *others]),
        (f"{quoted(roles)} holds a part of the dataset", away),
    )


def _has_opposite(roles: Mapping[str, Part], others: set[str]) -> bool:
    """Return whether another name is the opposite, such as ``invalid`` of ``valid``."""
    return any(same_name(other) == f"in{same_name(name)}" for name in roles for other in others)


def _crossed(top: Node) -> Parts:
    """Return parts that lie in the sides of pairs, or whose names say part and side at once."""
    names = {name: meaning(name) for name in top.children}
    parts: Parts = {}
    if all(what.part and what.side for what in names.values()):
        for name, what in names.items():
            node = parts.setdefault(what.part, Node(str(what.part), top.path))
            node.children[str(what.side)] = top.children[name]
        return parts if all(len(node.children) == 2 for node in parts.values()) else {}
    if {what.side for what in names.values()} != {"noisy", "clean"} or len(names) != 2:
        return {}
    for name, side in top.children.items():
        for inner, child in side.children.items():
            part = meaning(inner).part
            if part is None:
                return {}
            parts.setdefault(part, Node(part, top.path)).children[name] = child
    return parts if all(len(node.children) == 2 for node in parts.values()) else {}


def _joined(root: Path, base: Path, read: Read, found: Findings) -> Layout:
    """Bring the parts together: which of them trains, which validates, and their classes."""
    if found.ask.layout == "pooled" or None in read:
        read = {None: _pool(read)}
    train = read.get("train") or read.get(None)
    if train is None or (not train.files and not found.ask.class_names):
        raise DataError(
            f"{display_name(root)} has no image to train on{examples(found.left_out)}",
            "check its layout",
        )
    val = None if None in read else _validating(read, train, base, found)
    if val is not None:
        val = _alike(root, train, val, found)
    layout = Layout(
        root=root,
        base=base,
        train=train.files,
        val=None if val is None else val.files,
        class_names=train.class_names,
        is_paired=train.is_paired,
        notes=tuple(dict.fromkeys(found.notes)),
        left_out=tuple(found.left_out),
    )

    def grouped(files: Sequence[ImageFile]) -> list[ImageFile]:
        by = found.ask.group_by
        return [one._replace(group=group_of(layout.key(one.path), one.group, by)) for one in files]

    return _with_problem_of_groups(layout.changed(grouped), found.ask.group_by)


def _validating(read: Read, train: PartFiles, base: Path, found: Findings) -> PartFiles | None:
    """Return the part that validates: ``val``, else a ``test`` of the same kind as training."""
    val, test = read.get("val"), read.get("test")
    if test is None:
        return val
    if val is not None or _other_kind(train, test):
        used = (*train.files, *(() if val is None else val.files))
        _set_test_aside(test, used, base, found)
        return val
    found.notes.append("the test part validates, because there is no validation part")
    return test


def _with_problem_of_groups(layout: Layout, group_by: str | None) -> Layout:
    """Return the layout with a problem where ``--group-by`` has no effect or finds no group."""
    if group_by is None:
        return layout
    by_path = group_by != "folder"
    alone = [
        one
        for one in layout.images
        if one.group == (key := layout.key(one.path)) and not (by_path and re.search(group_by, key))
    ]
    if layout.val is not None:
        problem = f"--group-by {group_by} has no effect, because the folder has its own parts"
    elif alone:
        problem = (
            f"--group-by {group_by} finds no group for {len(alone):,} of "
            f"{len(layout.images):,} images, such as {layout.key(alone[0].path)!r}: each is a "
            "group of its own"
        )
    else:
        return layout
    return layout._replace(problems=(problem,))


def _set_test_aside(
    part: PartFiles, used: Sequence[ImageFile], base: Path, found: Findings
) -> None:
    """Leave out the folder of the test part, or each file where others are in that folder."""
    folder = base / part.files[0].path.relative_to(base).parts[0] if part.files else base
    is_inside = all(one.path.is_relative_to(folder) for one in part.files)
    if is_inside and not any(one.path.is_relative_to(folder) for one in used):
        reason = f"its {len(part.files):,} image(s) are the test part, set aside"
        found.leave_out([folder], reason)
    else:
        files = dict.fromkeys(file for one in part.files for file in one.files)
        found.leave_out(list(files), "it is in the test part, which is set aside")


def _pool(read: Read) -> PartFiles:
    parts = list(read.values())
    names = {name for part in parts for name in part.class_names}
    files = tuple(file for part in parts for file in part.files)
    return PartFiles(files, tuple(sorted(names)), all(part.is_paired for part in parts))


def _other_kind(train: PartFiles, val: PartFiles) -> str:
    """Return what one part has and the other has not; empty where both are of one kind."""
    if train.is_paired != val.is_paired:
        return "noisy and clean images"
    return "folders of classes" if bool(train.class_names) != bool(val.class_names) else ""


def _alike(root: Path, train: PartFiles, val: PartFiles, found: Findings) -> PartFiles:
    """Return the validation part with the names of classes that training has."""
    kind = _other_kind(train, val)
    if kind:
        problem = f"only one of the parts of {display_name(root)} has {kind}"
        raise DataError(problem, "give both parts one layout")
    names = renaming(val.class_names, train.class_names)
    unknown = {name for name, known in names.items() if known is None}
    if unknown and found.ask.layout != "parts":
        alone = f"training has images of {quoted(train.class_names)} alone"
        raise doubt(
            root,
            (f"{alone}, so validation goes without {quoted(unknown)}", "add --layout parts"),
            ("the images of all parts belong together and are split anew", "add --layout pooled"),
        )
    lost = [file.path for file in val.files if file.class_name in unknown]
    found.leave_out(lost, "training has no image of its class")
    missing = sorted(set(train.class_names) - set(names.values()))
    if missing:
        found.notes.append(f"validation has no image of the class {quoted(missing)}")
    files = tuple(
        file._replace(class_name=names[file.class_name] if file.class_name else None)
        for file in val.files
        if file.class_name not in unknown
    )
    return PartFiles(files, train.class_names, val.is_paired)
