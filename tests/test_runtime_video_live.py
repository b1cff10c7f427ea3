"""A source that does not wait: the newest frame is taken, sound is kept, errors are passed on."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tapetum.runtime.video import live
from tapetum.runtime.video.source import Frame


def frame(number: int, time_s: float = 0.0) -> Frame:
    """A frame without a picture."""
    return Frame(None, number, time_s)


def test_the_newest_frame_is_taken_and_all_sound_is_kept() -> None:
    """In the order in which sound comes, before the frame."""
    has_first, goes_on = threading.Event(), threading.Event()

    def events() -> Iterator[Any]:
        yield frame(0)
        has_first.wait(10)
        yield from ("a", frame(1), "b", frame(2), "c")
        goes_on.set()

    taken = live.newest(events(), lambda: False)
    assert next(taken).number == 0
    has_first.set()
    goes_on.wait(10)
    rest = list(taken)
    assert [event for event in rest if isinstance(event, str)] == ["a", "b", "c"]
    assert [event.number for event in rest if isinstance(event, Frame)] == [2]


def test_a_stop_ends_it_also_where_nothing_comes() -> None:
    """And the thread that reads has ended by then."""
    calls = iter([False, False, True])
    is_over = threading.Event()

    def events() -> Iterator[Any]:
        is_over.wait(0.5)
        yield frame(0)

    assert list(live.newest(events(), lambda: next(calls))) == []
    assert all(thread.name != "video source" for thread in threading.enumerate())


def test_an_error_of_the_reader_is_raised_where_frames_are_taken() -> None:
    """After the frames before it."""

    def events() -> Iterator[Any]:
        yield frame(0)
        raise MemoryError

    taken = live.newest(events(), lambda: False)
    assert next(taken).number == 0
    with pytest.raises(MemoryError):
        next(taken)


def test_a_pace_follows_the_time_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame waits for its time; after a jump the pace begins anew."""
    clock = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(live.time, "sleep", lambda seconds: clock.append(clock.pop() + seconds))
    frames = [frame(0, 0.0), frame(1, 0.5), frame(2, 99.0), frame(3, 99.25)]
    seen = [(event.number, clock[0]) for event in live.paced(iter(frames))]
    assert seen == [(0, 100.0), (1, 100.5), (2, 100.5), (3, 100.75)]
