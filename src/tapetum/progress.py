"""What a long job and its caller tell each other: progress, and requests to stop."""

import os
import re
import shlex
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Protocol, runtime_checkable

__all__ = [
    "ProgressCallback",
    "Stages",
    "StopRequest",
    "in_words",
    "is_heading",
    "named",
    "pasted",
    "rounded",
    "shown_path",
    "silent",
    "split_counts",
    "step",
    "stop_requests",
]

LATE = 1.1  # times the expected length of a stage
_HEADING = re.compile(r"(stage|budget) \d+ of \d+: ")
_UNIT = re.compile(r"(.*), in (about |at most )?([a-z ]+)", re.DOTALL)


@runtime_checkable
class ProgressCallback(Protocol):
    """A function that is called with the progress of a long job."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """Report ``done`` of ``total``; ``message`` says what is being done, for people.

        It ends in what is counted, such as ``scoring, in images``, or ``in about steps`` where the
        total is an estimate. A total of 1 counts nothing: the work has begun, or has ended.
        """


def split_counts(done: int, total: int, message: str) -> tuple[str, str]:
    """Return what is being done, and how much of it with its unit; that is empty for one step."""
    match = _UNIT.fullmatch(message)
    what, about, unit = match.groups("") if match else (message, "", "")
    return what, "" if total == 1 else f"{done:,} of {about}{total:,} {unit}".rstrip()


def silent(done: int, total: int, message: str) -> None:
    """Ignore progress."""


def named(progress: ProgressCallback, message: str) -> ProgressCallback:
    """Return a callback that says ``message``, whatever the job says that gets it."""

    def tick(done: int, total: int, message: str, said: str = message) -> None:
        del message
        progress(done, total, said)

    return tick


@contextmanager
def step(progress: ProgressCallback, message: str) -> Iterator[None]:
    """Say what is being done in the next seconds, of which nobody knows how many there will be."""
    progress(0, 1, message)
    yield
    progress(1, 1, message)


class Stages:
    """The stages of a long job: each is announced with its number and the time that is left.

    An announcement is a message such as ``stage 2 of 4: race, about 6 min left in all``.

    Args:
        progress: Receives the announcements.
        minutes: The stages in their order, and how long each is expected to take, in minutes; None
            where nobody knows.
    """

    def __init__(self, progress: ProgressCallback, minutes: Mapping[str, float | None]) -> None:
        self.progress = progress
        self.minutes = minutes
        self.begun_s = dict[str, float]()  # by the monotonic clock

    def begin(self, name: str) -> None:
        """Announce a stage, and how long it and those after it are expected to take."""
        number, total = list(self.minutes).index(name), len(self.minutes)
        self.begun_s[name] = time.monotonic()
        left, known = 0.0, True
        for minutes in list(self.minutes.values())[number:]:
            left, known = left + (minutes or 0.0), known and minutes is not None
        when = f", about {in_words(left)} left in all" if known else ""
        self.progress(number, total, f"stage {number + 1} of {total}: {name}{when}")

    def late(self) -> Iterator[str]:
        """Yield which stages took longer than expected, and how long."""
        moments = pairwise([*self.begun_s.values(), time.monotonic()])
        for name, (begun_s, end_s) in zip(self.begun_s, moments, strict=True):
            took, expected = (end_s - begun_s) / 60, self.minutes[name]
            if expected is not None and took > LATE * expected:
                yield f"{name} took {in_words(took)} instead of {in_words(expected)}"


def is_heading(message: str) -> bool:
    """Return whether a message announces a stage, of which the next messages are a part."""
    return _HEADING.match(message) is not None


def in_words(minutes: float) -> str:
    """Return a time in words, such as ``3.5 min`` or ``2.1 h``."""
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    if minutes < 100:
        return f"{minutes:.0f} min" if minutes >= 10 else f"{minutes:.2g} min"
    return f"{minutes / 60:.1f} h"


def rounded(value: float) -> str:
    """Return a number with two significant digits, such as ``0.53`` or ``120``."""
    return f"{float(f'{value:.2g}'):g}"


def shown_path(path: Path | str) -> str:
    """Return a path as all messages show it: below the current folder from there, else whole."""
    whole = os.path.abspath(path)  # unlike Path.resolve, keeps links and their names
    try:
        folder = os.getcwd()
    except OSError:  # the current folder was removed
        return whole
    inside = whole == folder or whole.startswith(os.path.join(folder, ""))
    return os.path.relpath(whole, folder) if inside else whole


def pasted(path: Path | str, *, whole: bool = False) -> str:
    """Return a path as it stands in a command; a whole one can be pasted in any folder."""
    return shlex.quote(os.path.abspath(path) if whole else shown_path(path))


class StopRequest(threading.Event):
    """Set when the user asks the job to stop."""

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
