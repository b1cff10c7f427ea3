"""Files that are never half-written.

A file is written under a temporary name beside its place and moved there in one step.  A kill at
any moment leaves either the old file or the new one.
"""

import csv
import errno
import hashlib
import io
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from tapetum.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment,unused-ignore]

__all__ = [
    "as_path",
    "hidden_beside",
    "is_part_file",
    "named_in_errors",
    "replaced",
    "require_free_name",
    "require_place",
    "write_atomically",
    "write_csv",
]

PART_SUFFIX = ".part"


def as_path(value: Any, what: str) -> Path:
    """Return the path that a caller gave; ``what`` is a noun with its article, in an error.

    Raises:
        InputError: It is neither a text nor a path.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(
            f"{what} is given by its path, not by {value!r:.60} of type {type(value).__name__}",
            "pass a str or a Path",
        )
    return Path(value)


def require_free_name(
    path: Path, *, overwrite: bool = False, kind: type[InputError] = InputError
) -> None:
    """Refuse to write over anything unasked, or where nothing can be written.

    Raises:
        InputError: Or rather ``kind``: only a file may be replaced.
    """
    if path.exists() and not (overwrite and path.is_file()):
        if path.is_dir():
            raise kind(f"{path} is a folder", "give the name of a file")
        more = ", or replace it with --overwrite" if path.is_file() else ""
        raise kind(f"{path} exists already", f"choose another name{more}")
    require_place(path.parent, kind)


def require_place(folder: Path, kind: type[InputError] = InputError) -> None:
    """Refuse a folder in which nothing can be written; one that is missing would be made."""
    place = folder.resolve()
    place = next(one for one in (place, *place.parents) if one.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        why = "this user may not write there" if place.is_dir() else "it is not a folder"
        raise kind(f"nothing can be written in {place}: {why}", "choose another --out")


def write_atomically(
    path: Path,
    content: bytes | Iterable[bytes],
    *,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write ``content`` to ``path`` in one step.

    Args:
        path: The file; see :func:`replaced`.
        content: All of its bytes, or its parts one after another; what they raise, is raised.
        check: Called with the complete file before it gets its name; if it raises, an older file
            stays.
    """
    with replaced(path, check=check) as file:
        for part in [content] if isinstance(content, bytes) else content:
            with named_in_errors(path):
                file.write(part)


@contextmanager
def replaced(path: Path, *, check: Callable[[Path], None] | None = None) -> Iterator[BinaryIO]:
    """Open a file for what is to stand at ``path``; it gets its name when all is written.

    A missing folder is created.  The bytes reach the disk before the name does.  The user's umask
    decides who may read the file.  If the block raises, an older file stays.

    Args:
        path: The file.
        check: Called with the complete file before it gets its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with named_in_errors(path):
        file, temporary = _open_part(path)
    with file:  # and its lock, until it has its name or is gone
        try:
            yield file
            with named_in_errors(path):
                file.flush()
                os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file
            if check is not None:
                check(temporary)
            os.replace(temporary, path)
        except BaseException:
            if fcntl is None:
                _close(file)  # Windows removes no open file; elsewhere the lock stays until then
            temporary.unlink(missing_ok=True)
            _close(file)
            raise


def _close(file: BinaryIO) -> None:
    """Close a file that is given up: a full disk would fail once more, without a name."""
    with suppress(OSError):
        file.close()


def hidden_beside(path: Path, ending: str) -> Path:
    """Return the place of a hidden file beside another one, always the same.

    Its name is short: that of the other one may be as long as the file system allows.
    """
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return path.with_name(f".{digest}{ending}")


def _open_part(path: Path) -> tuple[BinaryIO, Path]:
    """Open the temporary file of a target, empty, and return it with its path.

    Each target has one name for it, so that the next writer of the target takes over what a killed
    one has left behind.  A lock tells whether its writer lives; then another name is taken.
    """
    part = hidden_beside(path, PART_SUFFIX)
    while fcntl is not None:
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(part) and os.path.samestat(os.fstat(handle), os.stat(part)):
                os.truncate(handle, 0)
                return os.fdopen(handle, "wb"), part
            os.close(handle)  # its writer has just ended: the file has its own name by now
        except OSError as error:
            os.close(handle)
            if error.errno not in (errno.EAGAIN, errno.EACCES):  # a file system without locks
                part.unlink(missing_ok=True)
            break  # or its writer lives
    part = path.with_name(f".{secrets.token_hex(8)}{PART_SUFFIX}")
    return part.open("xb"), part


@contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Name a file in the errors of the system: that of a full disk names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def is_part_file(path: Path) -> bool:
    """Return whether ``path`` is what a killed :func:`write_atomically` has left behind."""
    return path.name.startswith(".") and path.suffix == PART_SUFFIX


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as CSV in one step; the last row names the columns, a missing cell is empty."""
    text = io.StringIO()
    if rows:
        names = list(rows[-1])
        writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
