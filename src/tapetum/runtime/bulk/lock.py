"""One command at a time in a folder: a lock that ends with its processes and leaves no file."""

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapetum.errors import RunError

__all__ = ["hold"]

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

_BETWEEN_TRIES_S = 0.05
_log = logging.getLogger(__name__)


@contextmanager
def hold(path: Path, *, shared: bool = False, wait_s: float = 0.0) -> Iterator[int]:
    """Hold the lock of a file or folder; processes that inherit the descriptor hold it too.

    Args:
        path: The file or folder, which exists.
        shared: Whether others may hold it shared at the same time.
        wait_s: How long to wait for it, in seconds.

    Raises:
        RunError: Another command holds it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        start = time.monotonic()
        while not _is_ours(descriptor, shared=shared):
            if wait_s and time.monotonic() - start < _BETWEEN_TRIES_S:
                _log.warning("waiting for another command that writes to %s", path)
            if time.monotonic() - start >= wait_s:
                raise RunError(
                    f"another command is writing to {path}", "wait for it, or choose another --out"
                )
            time.sleep(_BETWEEN_TRIES_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_ours(descriptor: int, *, shared: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        # Other errors come from file systems without locks.
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True
