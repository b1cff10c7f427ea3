"""Encode frames as H.264, and copy sound beside them as it is."""

from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError
from tapetum.records import named_in_errors
from tapetum.runtime.video.source import Source, load_av

__all__ = ["Writer", "check_suffix"]

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
TICK = Fraction(1, 90_000)  # of a second, in which times are stored
# Nearly lossless to the eye; no frame waits in the encoder for later ones.
OPTIONS = {"crf": "18", "preset": "veryfast", "tune": "zerolatency"}
BT709, LIMITED = 1, 1  # of ITU-T H.273: how players of today decode what says nothing


def check_suffix(path: Path) -> None:
    """Refuse a file type that is not written.

    Raises:
        InputError: The name ends otherwise.
    """
    if path.suffix.lower() not in FORMATS:
        names = ", ".join(FORMATS)
        raise InputError(f"{path.name} is no name of a video", f"end it with one of {names}")


class Writer(AbstractContextManager["Writer"]):
    """A video that is being written; as a context manager it is complete at the end.

    Args:
        path: Name of the video, for its type and for errors.
        file: The open file, which can seek.
        source: Where frames and sound come from; it is told what cannot be copied.
        shape: Height and width of the frames.
        rate: About how many frames a second there will be.
    """

    def __init__(
        self, path: Path, file: BinaryIO, source: Source, shape: tuple[int, ...], rate: float
    ) -> None:
        self._av, self._path, self._source = load_av(), path, source
        self._container = self._av.open(file, "w", format=FORMATS[path.suffix.lower()])
        rate_as_fraction = Fraction(rate).limit_denominator(10_000)
        self._video = self._container.add_stream("h264", rate=rate_as_fraction, options=OPTIONS)
        height, width = shape[:2]
        self._video.height, self._video.width = height + height % 2, width + width % 2
        if height % 2 or width % 2:
            note = f"its size of {width} x {height} px was made even, as H.264 needs it"
            source.notes[note] = None
        context = self._video.codec_context
        context.time_base, context.color_range = TICK, LIMITED
        context.colorspace = context.color_primaries = context.color_trc = BT709
        self._sounds = {sound.index: self._like(sound) for sound in source.sounds}

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._mux(self._video.encode(None))
        with named_in_errors(self._path):
            self._container.close()

    def write(self, pixels: NDArray[np.uint8], time_s: float) -> None:
        """Add a frame.

        Args:
            pixels: Shape (h, w, 3).
            time_s: Its time from the beginning, in seconds.
        """
        height, width = pixels.shape[:2]
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = self._av.VideoFrame.from_ndarray(even, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        frame.pts, frame.time_base = round(time_s / TICK), TICK
        self._mux(self._video.encode(frame))

    def copy(self, packet: Any) -> None:
        """Add a packet of sound, at its time beside the frames."""
        stream = self._sounds[packet.stream.index]
        if stream is None:
            return
        start = round((self._source.start_s or 0.0) / packet.time_base)
        packet.dts -= start
        packet.pts = packet.dts if packet.pts is None else packet.pts - start
        packet.stream = stream
        try:
            self._mux([packet])
        except self._av.FFmpegError:
            self._source.notes["some of its sound is damaged and was left out"] = None

    def _mux(self, packets: list[Any]) -> None:
        with named_in_errors(self._path):
            self._container.mux(packets)

    def _like(self, sound: Any) -> Any:
        """Return a stream that takes the packets of another one; None where it cannot."""
        try:
            return self._container.add_stream_from_template(sound)
        except (ValueError, self._av.FFmpegError):
            suffix = self._path.suffix.lower()
            others = " or ".join(other for other in FORMATS if other != suffix)
            note = f"its sound ({sound.name}) was left out: {suffix} cannot have it, {others} may"
            self._source.notes[note] = None
            return None
