"""What a long job and its caller tell each other: progress, and requests to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, runtime_checkable

__all__ = ["ProgressCallback", "silent", "stop_requests"]


@runtime_checkable
class ProgressCallback(Protocol):
    """A function that is called with the progress of a long job."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """Report ``done`` of ``total`` steps; ``message`` says what is being done, for people."""


def silent(done: int, total: int, message: str) -> None:
    """Ignore progress."""


class StopRequest(threading.Event):
    """Set when the user asks the job to stop.

    Attributes:
        signal_number: The signal that asked, if any.
    """

    signal_number: int | None = None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Give an event that the first Ctrl-C or SIGTERM sets; a second one acts as without it.

    So they take effect between two steps of the job, where a complete state is kept. Outside of the
    main thread, where Python handles no signals, nothing sets the event.
    """
    stop = StopRequest()
    handlers: dict[int, signal._HANDLER] = {}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        handlers.clear()

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - their signature
        stop.signal_number = number
        stop.set()
        restore()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
