"""Ctrl-C and SIGTERM end a command with one sentence, also while it still loads.

Both raise ``KeyboardInterrupt``, so that a command closes its files and removes the temporary ones.
Library code may turn that into an error of its own, such as an ``ImportError``: the signal is
therefore remembered.
"""

import os
import signal
import sys

TYPE_CHECKING = False  # that of typing would take some milliseconds, in which nothing is heard
if TYPE_CHECKING:
    from types import FrameType

__all__ = ["exit_code", "hold", "listen", "was_received"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []


def listen() -> None:
    """Hear the signals from now on, also those that :func:`hold` has kept back."""
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _note)
    sys.unraisablehook = _unraisable
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def hold() -> None:
    """Keep the signals back while this process replaces itself by a new one, which listens."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def was_received() -> bool:
    """Return whether a signal has asked this process to end."""
    return bool(_received)


def exit_code() -> int:
    """Return the code that shells use for a process that a signal has ended."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def _note(number: int, frame: "FrameType | None") -> None:  # noqa: ARG001 - their signature
    _received.append(number)
    raise KeyboardInterrupt


def _unraisable(ignored: "sys.UnraisableHookArgs") -> None:
    """End the process where Python would print a traceback and go on, as in a destructor."""
    if not _received or not isinstance(ignored.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)
    else:
        os.write(2, b"interrupted\n")
        os._exit(exit_code())
