"""Files that are never half-written.

A file is written under a temporary name beside its place and moved there in one step.  A kill at
any moment leaves either the old file or the new one.
"""

import csv
import io
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["is_part_file", "named_in_errors", "write_atomically", "write_csv"]

PART_SUFFIX = ".part"


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` in one step.

    A missing folder is created.  The bytes reach the disk before the name does.  The user's umask
    decides who may read the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Independent of the file's own name, which may be as long as the file system allows.
    temporary = path.with_name(f".{secrets.token_hex(8)}{PART_SUFFIX}")
    try:
        with named_in_errors(path), temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
