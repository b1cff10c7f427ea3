"""Open a video file, a camera or a stream, and read its frames and its sound."""

import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError, needs_extra

__all__ = ["Frame", "Source", "load_av"]

SCHEMES = ("http", "https", "rtmp", "rtsp", "rtsps", "srt", "tcp", "udp")
CAMERAS = {"linux": ("/dev/video{}", "v4l2"), "darwin": ("{}", "avfoundation")}
LONGEST_SILENCE_S = 10.0  # of a camera or a stream
SMALLEST_STEP_S = 0.001  # between frames; Matroska stores milliseconds
MISSING_S = 0.5  # a file that ends earlier than it says by more is reported
WITH_LENGTH = {"mov", "matroska", "avi", "flv", "asf"}  # of others it is an estimate
SECRETS = r"pass|psw|pw|token|auth|key|secret|sig|cred"  # in the name of a value of a URL
HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273


def load_av() -> Any:
    """Import PyAV.

    Raises:
        MissingExtraError: It is not installed.
    """
    with needs_extra("video", "av"):
        import av
    return av


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    Attributes:
        picture: The frame as PyAV decodes it.
        number: Its place in the source, from 0.
        time_s: Its time from the beginning of the source, in seconds.
    """

    picture: Any
    number: int
    time_s: float


class Source(AbstractContextManager["Source"]):
    """An opened source; as a context manager it is closed at the end.

    Attributes:
        name: The source as it can be shown: without a password.
        is_live: Whether it does not wait: a camera or a stream.
        is_paced: Whether it may come faster than it is shown, as a file over HTTP does.
        rate: Frames per second, as it says.
        sounds: Its audio streams.
        start_s: Where its time stamps begin, in seconds; None until a frame tells.
        num_read: Frames that were read until now.
        num_kept: Those that :meth:`events` has given.
        notes: What was guessed, converted or left out.
        faults: Why it could not be read to its end, if so.

    Args:
        source: A file, the number of a camera, or a URL.

    Raises:
        InputError: There is no such source, or it has no video.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, source: str) -> None:
        av = load_av()
        self._errors = av.FFmpegError
        self.name = f"camera {source}" if source.isdecimal() else _without_secrets(source)
        place, options = _place(source)
        self.is_live, self.is_paced = bool(options), place.startswith("http")
        try:
            self._container = av.open(place, **options)
        except self._errors as error:
            remedy = "check the address" if self.is_live else "it is no video, or its end is lost"
            raise InputError(f"cannot read {self.name}: {_reason(error)}", remedy) from error
        streams = self._container.streams
        self._video = streams.best("video")
        if self._video is None or self._video.codec_context is None:
            self._container.close()
            raise InputError(f"{self.name} has no video that can be decoded", "give another one")
        self.sounds = tuple(streams.audio)
        self.rate = float(self._video.average_rate or self._video.guessed_rate or 25)
        start, length = self._container.start_time, self._container.duration
        self.start_s = None if start is None else start / av.time_base
        self._length_s = None if length is None or self.is_live else length / av.time_base
        self._end_s, self._time_s = 0.0, -1 / self.rate
        self._size: tuple[int, int] | None = None
        self.num_read = self.num_kept = self._num_damaged = 0
        self.notes: dict[str, None] = {}  # ordered, each once
        self.faults: list[str] = []
        if others := len(streams) - 1 - len(self.sounds):
            self.notes[f"{others} other streams, such as subtitles, are not copied"] = None

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def about_how_many(self, seconds: float | None) -> int | None:
        """Return the number of frames until a time; None where nobody knows."""
        known = [length for length in (seconds, self._length_s) if length is not None]
        return max(1, round(min(known) * self.rate)) if known else None

    def events(self, every: int, seconds: float | None) -> Iterator[Any]:
        """Yield each ``every``-th :class:`Frame` and each packet of sound, as they come.

        Args:
            every: Number of frames of which one is given.
            seconds: Where to stop, from the beginning of the source; None for its end.
        """
        for event in self._all_events():
            if not isinstance(event, Frame):
                yield event
                continue
            if seconds is not None and event.time_s >= seconds:
                self._say_damage(is_fault=not self.is_live)  # a stream is joined in its middle
                return
            self.num_read += 1
            if event.number % every == 0:
                self.num_kept += 1
                yield event
        self._say_damage(is_fault=True)
        has_length = WITH_LENGTH.intersection(self._container.format.name.split(","))
        if has_length and self._length_s and self._end_s < self._length_s - MISSING_S:
            self.faults.append(
                f"{self.name} ends after {self._end_s:.1f} of {self._length_s:.1f} s: it is cut off"
            )

    def pixels(self, frame: Frame) -> NDArray[np.uint8]:
        """Return a frame upright, in RGB, in the size of the first one; shape (h, w, 3)."""
        picture = frame.picture
        if self._size is None:
            self._size = picture.width, picture.height
            self._look_at(picture)
        if self._size != (picture.width, picture.height):
            self.notes["its size changes: all frames were given that of the first one"] = None
        width, height = self._size
        pixels = picture.to_ndarray(format="rgb24", width=width, height=height)
        return np.ascontiguousarray(np.rot90(pixels, _quarter_turns(picture)))

    def _say_damage(self, *, is_fault: bool) -> None:
        words = f"{self._num_damaged} damaged packets of {self.name} were left out"
        if self._num_damaged and is_fault:
            self.faults.append(words)
        elif self._num_damaged:
            self.notes[words] = None

    def _all_events(self) -> Iterator[Any]:
        try:
            for packet in self._container.demux(self._video, *self.sounds):
                if packet.pts is not None:
                    end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    self._end_s = max(self._end_s, end_s - (self.start_s or 0.0))
                if packet.stream.index == self._video.index:
                    yield from self._decoded(packet)
                elif packet.dts is not None:
                    yield packet
        except self._errors as error:
            self.faults.append(f"{self.name} cannot be read to its end: {_reason(error)}")
            yield from self._decoded(None)

    def _decoded(self, packet: Any) -> Iterator[Frame]:
        """Yield the frames of a packet; of None those that the decoder still holds."""
        try:
            pictures = self._video.decode(packet)
        except self._errors:
            self._num_damaged += 1
            return
        for picture in pictures:
            yield Frame(picture, self.num_read, self._time_of(picture))

    def _time_of(self, picture: Any) -> float:
        """Return the time of a picture, which is later than that of the one before."""
        if picture.time is None:
            self.notes["frames without a time stamp follow at the rate of the source"] = None
            time_s = self._time_s + 1 / self.rate
        else:
            self.start_s = picture.time if self.start_s is None else self.start_s
            time_s = picture.time - self.start_s
        if time_s < self._time_s + SMALLEST_STEP_S:
            self.notes["time stamps that did not increase were moved"] = None
            time_s = self._time_s + SMALLEST_STEP_S
        self._time_s = time_s
        return time_s

    def _look_at(self, picture: Any) -> None:
        """Note what is converted."""
        parts, curve = picture.format.components, HDR.get(self._video.codec_context.color_trc)
        bits = max(part.bits for part in parts)
        if bits > 8:
            tones = f", and its brightness ({curve}) is not mapped" if curve else ""
            self.notes[f"its {bits} bits per channel became 8{tones}"] = None
        if any(part.is_alpha for part in parts):
            self.notes["its transparency was left out"] = None
        if len(parts) == 1:
            self.notes["its grey frames are stored in colour, as players expect"] = None
        if _quarter_turns(picture):
            self.notes["its frames were turned upright, as the file says"] = None


def _without_secrets(source: str) -> str:
    """Return a source as it can be shown: a URL without user, password and keys."""
    if "://" not in source:
        return source
    shown = re.sub(r"//[^/]*@", "//***@", source)
    return re.sub(rf"(?i)((?:{SECRETS})[\w.-]*=)[^&;/?#]*", r"\1***", shown)


def _place(source: str) -> tuple[str, dict[str, Any]]:
    """Return what FFmpeg opens, and how; a source that waits has no options."""
    live: dict[str, Any] = {"timeout": LONGEST_SILENCE_S}
    scheme, is_url, _ = source.partition("://")
    if is_url:
        if scheme not in SCHEMES:
            raise InputError(f"{scheme}:// is not read", f"give one of {', '.join(SCHEMES)}")
        return source, live | {"options": {"rtsp_flags": "prefer_tcp"}}
    if source.isdecimal():
        if sys.platform not in CAMERAS:
            raise InputError("cameras have no number on this system", "give the URL of a stream")
        place, kind = CAMERAS[sys.platform]
        return place.format(source), live | {"format": kind}
    if Path(source).is_dir():
        raise InputError(f"{source} is a folder", "give a folder of images as PATH, not as SOURCE")
    if not Path(source).is_file():
        raise InputError(f"there is no file {source}", "give a file, a camera such as 0, or a URL")
    return str(Path(source).absolute()), {}  # absolute, so that no name is taken for a protocol


def _quarter_turns(picture: Any) -> int:
    """Return how often a picture is to be turned by 90 degrees counterclockwise."""
    return int(round(picture.rotation / 90) % 4)


def _reason(error: Any) -> str:
    """Return the words of FFmpeg, without the address, which may have a password."""
    if type(error).__name__ == "ExitError":  # its name for the end of a timeout
        return f"it was silent for {LONGEST_SILENCE_S:g} s"
    words = error.strerror or type(error).__name__
    return f"{words[:1].lower()}{words[1:]}"
