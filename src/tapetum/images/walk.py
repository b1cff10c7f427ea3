"""Find the image files in a folder; everything that is left out has a reason.

Files are recognised by their content, whatever their ending.  Links are followed, but each folder
is visited once.  Hidden files, folders that operating systems and storage devices add, and folders
with results of Tapetum are left out.  Pipes and devices are never opened.
"""

import json
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, PlainSerializer

from tapetum.errors import DataError
from tapetum.images.readers import is_image_signature

__all__ = ["AnyPath", "LeftOut", "display_name", "path_of_name", "scan", "should_be_image"]

_SYSTEM_FOLDERS = frozenset(
    {"@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "$recycle.bin"}
    | {"recycler", "recycled", "found.000", "lost+found", "system volume information", "__macosx"}
    | {"network trash folder", "temporary items", "thevolumesettingsfolder", "__pycache__"}
)
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
_TEMPORARY = ("~", ".bak", ".tmp", ".part", ".partial", ".crdownload", ".download")
_IMAGE_SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_OUR_ROWS = ("predictions", (".json", ".jsonl", ".parquet"))
_HEAD_BYTES = 4096  # enough to recognise results of ours


class LeftOut(NamedTuple):
    """A file or folder that is not used, and the reason."""

    path: Path
    reason: str


def scan(
    folder: Path, *, without: Sequence[Path] = (), only: Callable[[Path], bool] | None = None
) -> Iterator[Path | LeftOut]:
    """Yield the image files of a folder and its sub-folders, and what is left out with the reason.

    The order is fixed by the names. The memory is that of the names in one folder and its parents.

    Args:
        folder: The folder.
        without: Files and folders to leave out.
        only: Which files to look at; the others are passed over before they are opened.

    Raises:
        DataError: There is no such folder, or it cannot be read.
    """
    if not os.path.lexists(folder):
        raise DataError(f"there is no folder {display_name(folder)}", "give a folder of images")
    try:
        status = folder.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise DataError(f"{display_name(folder)} is a file, not a folder", "give a folder")
        names = _names(folder)
    except OSError as error:
        raise DataError(
            f"cannot read {display_name(folder)}: {error.strerror or error}",
            "check the path and its permissions",
        ) from error
    excluded = frozenset(path.resolve() for path in without)
    visited = {(status.st_dev, status.st_ino): folder}
    guard = _Guard(folder.resolve(), visited, excluded)
    yield from _scan(folder, names, guard, only)


def _as_json(path: Path) -> str:
    """Return the text of a path; that of one which is no text begins with a null character."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return f"\0{os.fsencode(path).hex()}"
    return str(path)


def _from_json(value: object) -> object:
    if isinstance(value, str) and value.startswith("\0"):
        return os.fsdecode(bytes.fromhex(value[1:]))
    return value


AnyPath = Annotated[Path, BeforeValidator(_from_json), PlainSerializer(_as_json, when_used="json")]
"""A path in a record; its name need not be UTF-8, as JSON is."""


def display_name(path: Path | str) -> str:
    """Return a path or name for people and JSON: NFC, with bytes outside of UTF-8 escaped.

    Characters that would control a terminal are escaped, too.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        f"\\x{ord(character):02x}" if unicodedata.category(character) == "Cc" else character
        for character in unicodedata.normalize("NFC", text)
    )


def path_of_name(name: str) -> Path:
    """Return the path whose :func:`display_name` was kept; where there is none, the name as a path.

    A folder that was copied from another system may have its accents as characters of their own.
    """
    found = Path(name)
    if found.exists() or found.parent == found:
        return found
    parent = path_of_name(os.fspath(found.parent))
    with suppress(OSError):
        for entry in parent.iterdir():
            if display_name(entry.name) == found.name:
                return entry
    return parent / found.name


def should_be_image(path: Path) -> bool:
    """Return whether a file has the ending of an image, so that it is damaged if it is none."""
    if path.suffix.lower() not in _IMAGE_SUFFIXES or not path.is_file():
        return False
    return _system_reason(path.name, is_folder=False) is None


def _system_reason(name: str, *, is_folder: bool) -> str | None:
    """Return why a name is left out whatever its content, None if it is not."""
    plain = name.casefold().rstrip()
    if name.startswith("."):
        return "it is hidden"
    if is_folder:
        return "it is a system folder" if plain in _SYSTEM_FOLDERS else None
    if name.casefold() in _SYSTEM_FILES:
        return "it is a system file"
    if plain.endswith(_TEMPORARY) or name.startswith("~$"):
        return "it is a backup or an unfinished file"
    return None


@dataclass
class _Guard:
    """What has been visited and what must not be."""

    root: Path
    visited: dict[tuple[int, int], Path]
    without: frozenset[Path] = field(default_factory=frozenset)

    def reason(self, path: Path, status: os.stat_result) -> str | None:
        """Return why a folder is not visited; otherwise note that it is."""
        if path.is_symlink():
            inside = self._seen_elsewhere(path.resolve())
            if inside is not None:
                where = "the folder itself" if inside == Path() else display_name(inside)
                return f"it is a link to {where}, so its images are found without it"
        first = self.visited.setdefault((status.st_dev, status.st_ino), path)
        if first is not path:
            return f"it is the same folder as {display_name(first)}"
        return None

    def _seen_elsewhere(self, target: Path) -> Path | None:
        """Return a link's target, relative to the root, if the walk reaches it without the link."""
        if not target.is_relative_to(self.root):
            return None
        inside = target.relative_to(self.root)
        hidden = any(_system_reason(part, is_folder=True) for part in inside.parts)
        return None if hidden or target in self.without else inside


def _scan(
    folder: Path, names: list[str], guard: _Guard, only: Callable[[Path], bool] | None
) -> Iterator[Path | LeftOut]:
    stack = [map(folder.joinpath, names)]  # no recursion, so that no depth of folders is too much
    while stack:
        path = next(stack[-1], None)
        if path is None:
            stack.pop()
            continue
        entry = _judge(path, guard, only)
        if isinstance(entry, list):
            stack.append(map(path.joinpath, entry))
        elif entry is not None:
            yield entry


def _judge(
    path: Path, guard: _Guard, only: Callable[[Path], bool] | None
) -> Path | LeftOut | list[str] | None:
    """Return an image file, the names in a folder to visit, or why the path is left out.

    None stands for a file that is not wanted.
    """
    try:
        status = path.stat()
        is_folder = stat.S_ISDIR(status.st_mode)
        if only is not None and not is_folder and not only(path):
            return None
        reason = _system_reason(path.name, is_folder=is_folder)
        if reason is None and guard.without and path.resolve() in guard.without:
            reason = "it is left out on request"
        if reason is not None:
            return LeftOut(path, reason)
        if not is_folder:
            reason = _file_reason(path, status)
            return path if reason is None else LeftOut(path, reason)
        reason = guard.reason(path, status) or _our_result(path)
        return _names(path) if reason is None else LeftOut(path, reason)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself, in Path.resolve
        return LeftOut(path, _failure(path, error))


def _failure(path: Path, error: OSError | RuntimeError) -> str:
    if path.is_symlink() and not isinstance(error, PermissionError):
        return f"it is a broken link to {display_name(os.readlink(path))}"
    return f"it cannot be read: {getattr(error, 'strerror', None) or error}"


def _file_reason(path: Path, status: os.stat_result) -> str | None:
    """Return why a file is no image, without opening pipes and devices."""
    if not stat.S_ISREG(status.st_mode):
        return "it is a pipe, a socket or a device, not a file"
    if not status.st_size:
        return "it is empty"
    if is_image_signature(_head(path)):  # raises where it cannot be read
        return None
    if path.suffix.lower() in _ARCHIVES:
        return "it is an archive; unpack it to use its images"
    return "its content is not an image of a known format"


def _our_result(folder: Path) -> str | None:
    """Return why a folder is a result of ours: predictions, or the folder of long work."""
    stem, suffixes = _OUR_ROWS
    for name in _names(folder):
        path = folder / name
        if name.startswith(stem) and name.endswith(suffixes) and _holds_predictions(path):
            return "it holds results of 'tapetum predict'"
        if name == "request.json" and b'"tapetum-' in _head(path):
            kind = _kind_of_work(path)
            return f"it holds results of Tapetum{f' ({kind})' if kind else ''}"
    return None


def _holds_predictions(path: Path) -> bool:
    head = _head(path)
    return head.startswith(b"PAR1") or b'"image"' in head or head.strip() == b"[]"


def _kind_of_work(path: Path) -> str:
    try:
        found = json.loads(path.read_bytes())["format"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return display_name(str(found)).removeprefix("tapetum-")


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _names(folder: Path) -> list[str]:
    """Return the names in a folder in an order that does not depend on the file system."""
    return sorted(os.listdir(folder), key=lambda name: (unicodedata.normalize("NFC", name), name))
