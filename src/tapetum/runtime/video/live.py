"""Keep up with a source that does not wait: take its newest frame, and drop those before it."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tapetum.runtime.video.source import Frame

__all__ = ["newest", "paced"]

WAIT_S = 0.1  # between two looks at a request to stop
JUMP_S = 1.0  # of time stamps, after which a pace begins anew


def newest(events: Iterator[Any], should_stop: Callable[[], bool]) -> Iterator[Any]:
    """Yield the newest frame, and all packets of sound, while a thread reads on.

    One frame waits at most. A frame that comes while another one waits takes its place.

    Args:
        events: Frames and packets, as a source gives them.
        should_stop: Asked at least every tenth of a second.
    """
    box = _Box(events)
    box.start()
    try:
        while not should_stop():
            taken = box.take()
            if taken is None:
                break
            yield from taken
    finally:
        box.is_wanted = False
        box.join()  # a source is silent for some seconds at most
    if box.error is not None:
        raise box.error


def paced(events: Iterator[Any]) -> Iterator[Any]:
    """Yield what comes, and each frame not before its time."""
    begun_at: float | None = None
    for event in events:
        if isinstance(event, Frame):
            now = time.monotonic()
            ahead_s = 0.0 if begun_at is None else begun_at + event.time_s - now
            if begun_at is None or abs(ahead_s) > JUMP_S:
                begun_at = now - event.time_s
            elif ahead_s > 0:
                time.sleep(ahead_s)
        yield event


class _Box(threading.Thread):
    """Reads a source, and holds what was not taken yet."""

    def __init__(self, events: Iterator[Any]) -> None:
        super().__init__(name="video source", daemon=True)
        self._events = events
        self._changed = threading.Condition()
        self._sounds: list[Any] = []
        self._frame: Frame | None = None
        self._has_ended = False
        self.is_wanted = True
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for event in self._events:
                if not self.is_wanted:
                    return
                with self._changed:
                    if isinstance(event, Frame):
                        self._frame = event
                    else:
                        self._sounds.append(event)
                    self._changed.notify()
        except Exception as error:
            self.error = error
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify()

    def take(self) -> list[Any] | None:
        """Return what has come since the last call, after a short wait; None at the end."""
        with self._changed:
            if not (self._sounds or self._frame or self._has_ended):
                self._changed.wait(WAIT_S)
            taken = [*self._sounds, *([self._frame] if self._frame else [])]
            self._sounds, self._frame = [], None
            return taken or ([] if not self._has_ended else None)
