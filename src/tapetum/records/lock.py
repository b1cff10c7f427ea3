"""One command at a time in a folder: a lock that ends with its processes and leaves no file."""

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapetum.errors import RunError
from tapetum.records.files import hidden_beside

__all__ = ["hold", "hold_name"]

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment,unused-ignore]

_BETWEEN_TRIES_S = 0.05
_log = logging.getLogger(__name__)


@contextmanager
def hold(path: Path, *, shared: bool = False, wait_s: float = 0.0) -> Iterator[int | None]:
    """Hold the lock of a file or folder; processes that inherit the descriptor hold it too.

    Args:
        path: The file or folder, which exists.
        shared: Whether others may hold it shared at the same time.
        wait_s: How long to wait for it, in seconds.

    Yields:
        The descriptor; None where the system has no such locks.

    Raises:
        RunError: Another command holds it.
    """
    descriptor = _held(path, path, os.O_RDONLY, shared=shared, wait_s=wait_s)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def hold_name(path: Path) -> Iterator[None]:
    """Hold the name of a file that is still to be written.

    The lock is a temporary file beside it; the next holder removes what a kill has left.

    Raises:
        RunError: Another command holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = hidden_beside(path, "-lock.part")
    descriptor = _held(lock, path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0))
    try:
        yield
    finally:
        if descriptor is not None:
            try:
                lock.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _held(
    lock: Path, named: Path, flags: int, *, shared: bool = False, wait_s: float = 0.0
) -> int | None:
    """Open and lock a file or folder, and return its descriptor."""
    if fcntl is None:
        return None
    begun, has_told = time.monotonic(), False
    while True:
        descriptor = os.open(lock, flags, 0o666)
        if _is_ours(descriptor, lock, shared=shared):
            return descriptor
        os.close(descriptor)
        if time.monotonic() - begun >= wait_s:
            raise RunError(
                f"another command is writing to {named}", "wait for it, or choose another --out"
            )
        if not has_told:
            has_told = True
            _log.warning("waiting for another command that writes to %s", named)
        time.sleep(_BETWEEN_TRIES_S)


def _is_ours(descriptor: int, lock: Path, *, shared: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        # Other errors come from file systems without locks.
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    try:  # its last holder may have removed it
        return os.path.samestat(os.fstat(descriptor), os.stat(lock))
    except FileNotFoundError:
        return False
