"""Read pairs of noisy and clean images: two folders, or names in one folder.

Names that make pairs sometimes and classes at other times make pairs only where the images agree.
"""

from collections.abc import Sequence

from tapetum.data.layout import (
    AS_CLASSES,
    Findings,
    ImageFile,
    PartFiles,
    as_classes,
    doubt,
    quoted,
)
from tapetum.data.names import meaning
from tapetum.data.pairing import SURE, Pairs, likeness, pair_files, pair_folders
from tapetum.data.tree import Node
from tapetum.errors import DataError
from tapetum.images import display_name

__all__ = ["pairs_by_name", "pairs_in_classes", "pairs_of_folders", "sides_of"]

_UNSURE = 0.5  # correlation below which images are surely no twins
_MOST = 0.8  # share of files that must be twins, where nothing but names says so
_AS_PAIRS = "add --layout pairs"
_ALIKE = "their images are only somewhat alike"


def sides_of(node: Node, found: Findings) -> tuple[Node, Node] | None:
    """Return the folders of noisy and of clean images, if there are such.

    Raises:
        DataError: The folders may as well be classes.
    """
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
    is_weak = names[noisy[0]].is_weak or names[clean[0]].is_weak
    why = _objection(node, *sides, is_weak=is_weak)
    if why is None:
        return sides
    if not is_weak or why == _ALIKE:
        twins = f"{noisy[0]!r} and {clean[0]!r} are noisy and clean twins, but {why}"
        raise doubt(node.path, (twins, _AS_PAIRS), as_classes(node.children))
    return None


def _objection(node: Node, noisy: Node, clean: Node, *, is_weak: bool) -> str | None:
    """Return what speaks against two folders being the sides of pairs."""
    if len(node.children) > 2 or node.files:
        return "there is more beside them"
    pairs = pair_folders(list(noisy.all_files()), noisy.path, list(clean.all_files()), clean.path)
    if not pairs.is_convincing:
        return "their file names do not fit together"
    alike = likeness(pairs) if is_weak else 1.0
    if alike >= SURE:
        return None
    return _ALIKE if alike >= _UNSURE else "their images show different things"


def pairs_of_folders(noisy: Node, clean: Node, labelled: PartFiles, found: Findings) -> PartFiles:
    """Return the images of the clean folder, as they were read, with their noisy twins."""
    pairs = pair_folders(
        list(noisy.all_files()), noisy.path, [file.path for file in labelled.files], clean.path
    )
    twins = dict(pairs.twins)
    found.leave_out(pairs.lone_clean, f"it has no noisy twin in {display_name(noisy.path)}")
    found.leave_out(pairs.lone_noisy, f"it has no clean twin in {display_name(clean.path)}")
    found.notes.append(
        f"{noisy.path.name!r} holds the noisy and {clean.path.name!r} the clean images"
    )
    _note_classes(labelled.class_names, found)
    files = (
        file._replace(noisy_path=twins[file.path]) for file in labelled.files if file.path in twins
    )
    return PartFiles(tuple(files), labelled.class_names, is_paired=True)


def pairs_by_name(node: Node, found: Findings) -> PartFiles | None:
    """Return the images of a folder whose names say noisy or clean; None where there are none.

    Raises:
        DataError: There are pairs, and many other images.
    """
    if found.ask.layout == "pairs":
        pairs = [pair_files(place.files) for place in node.places()]
        if not any(one.twins for one in pairs):
            raise DataError(
                f"{display_name(node.path)} has no pairs of a noisy and a clean image",
                "name them 'a_noisy.png' and 'a_clean.png', or use folders 'noisy' and 'clean'",
            )
        return _paired(pairs, node, found)
    one = pair_files(list(node.all_files()))
    if not one.twins:
        return None
    if not _is_most(one, node):
        raise doubt(
            node.path,
            (f"{len(one.twins):,} pairs by their names, without the others", _AS_PAIRS),
            (f"{node.count():,} clean images", "add --layout flat"),
        )
    return _paired([one], node, found)


def pairs_in_classes(node: Node, classes: dict[str, Node], found: Findings) -> PartFiles | None:
    """Return the pairs in folders whose files are named as twins; None where they are not.

    Raises:
        DataError: There are pairs, and many other images.
    """
    pairs = {name: pair_files(list(child.all_files())) for name, child in classes.items()}
    with_pairs = [name for name, one in pairs.items() if one.twins]
    if not with_pairs:
        return None
    if not all(_is_most(pairs[name], child) for name, child in classes.items()):
        raise doubt(
            node.path,
            (f"files in {quoted(with_pairs)} are pairs by their names", _AS_PAIRS),
            ("classes of clean images", AS_CLASSES),
        )
    if len(classes) == 1 or all(len(one.twins) == 1 for one in pairs.values()):
        found.notes.append("files are pairs by their names, and folders are no classes")
        return _paired([pair_files(place.files) for place in node.places()], node, found)
    _note_classes(tuple(classes), found)
    parts = [_paired([pairs[name]], child, found, name) for name, child in classes.items()]
    files = tuple(file for part in parts for file in part.files)
    return PartFiles(files, tuple(sorted(classes)), is_paired=True)


def _note_classes(names: Sequence[str], found: Findings) -> None:
    """Note that folders of pairs were taken for classes, and how to read them otherwise."""
    if len(names) > 1 and not found.ask.class_names:
        how = _AS_PAIRS if found.ask.group_by else f"{_AS_PAIRS} --group-by folder"
        found.notes.append(f"{as_classes(names)[0]}; if they are clips or scenes, {how}")


def _is_most(pairs: Pairs, node: Node) -> bool:
    return 2 * len(pairs.twins) >= _MOST * node.count()


def _paired(
    pairs: Sequence[Pairs], node: Node, found: Findings, class_name: str | None = None
) -> PartFiles:
    for one in pairs:
        found.leave_out([*one.lone_clean, *one.lone_noisy], "it has no twin by its name")
    files: list[ImageFile] = []
    for clean, noisy in (twins for one in pairs for twins in one.twins):
        files.append(node.image(clean, class_name)._replace(noisy_path=noisy))
    return PartFiles(tuple(files), is_paired=True)
