"""The layouts of a folder: which file belongs to which part, class and noisy twin.

Four layouts, each with or without ``train`` and ``val`` (or ``valid``, ``validation``) above::

    CLASS/a.png                     labelled
    a.png                           unlabelled: for networks that only denoise
    noisy/a.png     clean/a.png     paired
    noisy/CLASS/... clean/CLASS/... paired and labelled

Only names are looked at here; :mod:`tapetum.data.loading` reads the files.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tapetum.data.dataset import Skipped
from tapetum.errors import DataError
from tapetum.runtime import image

__all__ = ["ImageFile", "Layout", "find_layout"]

_VALIDATION_NAMES = ("val", "valid", "validation")
_PART_NAMES = {"train", "test", *_VALIDATION_NAMES}
_PAIR_NAMES = ("noisy", "clean")


class ImageFile(NamedTuple):
    """A clean image with its noisy twin, None where noise is added later, and its class, if any."""

    path: Path
    noisy_path: Path | None
    class_name: str | None


class Layout(NamedTuple):
    """The files of a folder.

    Args:
        root: The folder.
        train: Training files; all files where ``val`` is None.
        val: Validation files; None where the folder has no validation part.
        class_names: All classes, sorted; empty without labels.
        is_paired: Whether images come with a noisy twin.
        skipped: Files that cannot be used because of their place or name.
    """

    root: Path
    train: tuple[ImageFile, ...]
    val: tuple[ImageFile, ...] | None
    class_names: tuple[str, ...]
    is_paired: bool
    skipped: tuple[Skipped, ...]


def find_layout(root: Path) -> Layout:
    """Sort the files of a folder into parts and classes.

    Raises:
        DataError: There is no such folder, or its parts do not fit together.
    """
    if not root.is_dir():
        kind = "a file" if root.exists() else "missing"
        raise DataError(
            f"{root} is {kind}, not a folder of images",
            "give a folder with files such as CLASS/image.png",
        )
    train_folder, val_folder = _parts(root)
    skipped: list[Skipped] = []
    train = _part(train_folder, skipped)
    val = None if val_folder is None else _part(val_folder, skipped)
    if val is not None and val_folder is not None:
        _check_same_kind((train_folder, train), (val_folder, val))
    return Layout(
        root=root,
        train=tuple(train.files),
        val=None if val is None else tuple(val.files),
        class_names=train.class_names,
        is_paired=train.is_paired,
        skipped=tuple(skipped),
    )


class _Part(NamedTuple):
    files: list[ImageFile]
    class_names: tuple[str, ...]
    is_paired: bool


def _parts(root: Path) -> tuple[Path, Path | None]:
    """Return the folders of training and validation images; the root itself without parts."""
    names = {folder.name for folder in _subfolders(root)}
    if "train" not in names or names - _PART_NAMES:  # a class may be called "train" among others
        return root, None
    given = [name for name in _VALIDATION_NAMES if name in names]
    return root / "train", root / given[0] if given else None


def _part(folder: Path, skipped: list[Skipped]) -> _Part:
    noisy_folder, clean_folder = (folder / name for name in _PAIR_NAMES)
    if {child.name for child in _subfolders(folder)} != set(_PAIR_NAMES):
        files, class_names = _labelled(folder, skipped)
        return _Part(files, class_names, is_paired=False)
    clean, class_names = _labelled(clean_folder, skipped)
    return _Part(_paired(clean, clean_folder, noisy_folder, skipped), class_names, is_paired=True)


def _labelled(folder: Path, skipped: list[Skipped]) -> tuple[list[ImageFile], tuple[str, ...]]:
    """Return the files of a folder with their class, and all classes; flat folders have none."""
    classes = _subfolders(folder)
    loose = _images(folder.iterdir(), skipped)
    if not classes:
        return [ImageFile(path, None, None) for path in loose], ()
    skipped.extend((path, "it lies next to class folders, so it has no class") for path in loose)
    files = [
        ImageFile(path, None, child.name)
        for child in classes
        for path in _images(child.rglob("*"), skipped)
    ]
    return files, tuple(child.name for child in classes)


def _paired(
    clean: Sequence[ImageFile], clean_folder: Path, noisy_folder: Path, skipped: list[Skipped]
) -> list[ImageFile]:
    """Return the clean files with a noisy twin: same place and name, whatever the suffix."""
    files = _images(noisy_folder.rglob("*"), skipped)
    twins = {path.relative_to(noisy_folder).with_suffix(""): path for path in files}
    paired = []
    for file in clean:
        twin = twins.pop(file.path.relative_to(clean_folder).with_suffix(""), None)
        if twin is None:
            skipped.append((file.path, f"it has no noisy twin in {noisy_folder}"))
        else:
            paired.append(file._replace(noisy_path=twin))
    skipped.extend((path, f"it has no clean twin in {clean_folder}") for path in twins.values())
    return paired


def _check_same_kind(train: tuple[Path, _Part], val: tuple[Path, _Part]) -> None:
    (train_folder, train_part), (val_folder, val_part) = train, val
    if train_part.is_paired != val_part.is_paired:
        raise DataError(
            f"only one of {train_folder} and {val_folder} has noisy and clean images",
            "give both parts the same layout",
        )
    for here, there, folder in (
        (train_part, val_part, val_folder),
        (val_part, train_part, train_folder),
    ):
        missing = sorted(set(here.class_names) - set(there.class_names))
        if missing:
            raise DataError(
                f"{folder} has no class {', '.join(map(repr, missing))}, but the other part has",
                "give both parts the same classes",
            )


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones and those that macOS adds."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__MACOSX"))
    )


def _images(paths: Iterable[Path], skipped: list[Skipped]) -> list[Path]:
    """Return the files with the suffix of an image; others are skipped, hidden ones silently."""
    images = []
    for path in sorted(path for path in paths if path.is_file()):
        if path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini"):
            continue  # made by file managers
        if path.suffix.lower() in image.IMAGE_SUFFIXES:
            images.append(path)
        else:
            skipped.append((path, f"{path.suffix or 'no suffix'} is not the suffix of an image"))
    return images
