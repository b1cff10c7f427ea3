"""Ctrl-C and SIGTERM take effect between two steps, so that a complete state is kept.

In the middle of a step some weights have moved and others have not.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stop_requests"]


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets; a second one acts as without it.

    Outside of the main thread, where Python handles no signals, nothing sets it.
    """
    stop = threading.Event()
    handlers: dict[int, signal._HANDLER] = {}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        handlers.clear()

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - their signature
        stop.set()
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
