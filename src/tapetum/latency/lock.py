"""One lock for all timings of a machine, since two at once slow each other."""

import errno
import logging
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tapetum.errors import InputError

__all__ = ["timing_lock"]

LOCK_NAME = "tapetum-timing"  # on Linux, in the namespace that has no files
LOCK_PORT = 21_907  # elsewhere
LONGEST_WAIT_S = 1_200.0  # for another measurement; a table takes minutes
SECONDS_BETWEEN_TRIES = 0.25

_log = logging.getLogger(__name__)


@contextmanager
def timing_lock() -> Iterator[None]:
    """Hold the one lock that every timing of this machine takes, and wait while another holds it.

    The lock is the address of a socket that nobody connects to.  It needs no file and no rights, is
    the same for all users whatever their temporary folder, and ends with the process that holds it.
    Where a system refuses such an address, there is no lock, and a warning says so.

    Raises:
        InputError: Another measurement has not ended within :data:`LONGEST_WAIT_S`.
    """
    is_linux = sys.platform == "linux"
    begun, has_told = time.monotonic(), False
    with socket.socket(socket.AF_UNIX if is_linux else socket.AF_INET) as lock:
        while True:
            try:
                lock.bind(f"\0{LOCK_NAME}" if is_linux else ("localhost", LOCK_PORT))
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    _log.warning("two measurements at once are not noticed here: %s", error)
                    break
                if time.monotonic() - begun >= LONGEST_WAIT_S:
                    raise InputError(
                        "another latency measurement is running on this machine",
                        "repeat the command when it has ended: two at once slow each other",
                    ) from error
            if not has_told:
                has_told = True
                _log.warning(
                    "another latency measurement is running on this machine; waiting until it ends"
                )
            time.sleep(SECONDS_BETWEEN_TRIES)
        yield
