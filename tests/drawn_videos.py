"""Small videos that tests draw, and what is in a video."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

av: Any = pytest.importorskip("av", reason="the extra 'video' is not installed")

TICK = Fraction(1, 1000)
RATE = 10
SIZE = (64, 96)  # of a frame: height and width


def grey_level(number: int) -> int:
    """The value of all pixels of a frame."""
    return 40 + 16 * (number % 12)


def save_video(
    path: Path,
    num_frames: int = 6,
    *,
    size: tuple[int, int] = SIZE,
    times_s: Sequence[float] | None = None,
    codec: str = "h264",
    pix_fmt: str = "yuv420p",
    sound: str | None = None,
    levels: Sequence[int] | None = None,
    is_split: bool = False,
    noise: float = 0.0,
) -> Path:
    """Write a video of plain frames, each of its own grey level, and return its path.

    The left half of split frames is black. The noise has this standard deviation in grey levels.
    """
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = TICK
        voice = container.add_stream(sound, rate=16_000, layout="mono") if sound else None
        for number in range(num_frames):
            level = grey_level(number) if levels is None else levels[number]
            pixels = np.full((*size, 3), level, np.uint8)
            pixels[:, : size[1] // 2 if is_split else 0] = 0
            if noise:
                noisy = generator.normal(pixels, noise)
                pixels = np.rint(noisy.clip(0, 255)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels)
            time_s = number / RATE if times_s is None else times_s[number]
            frame.pts, frame.time_base = round(time_s / TICK), TICK
            container.mux(stream.encode(frame))
            if voice is not None:
                container.mux(voice.encode(_noise(number)))
        container.mux(stream.encode(None))
        if voice is not None:
            container.mux(voice.encode(None))
    return path


def _noise(number: int) -> Any:
    """A tenth of a second of sound."""
    samples = np.random.default_rng(number).integers(-9999, 9999, (1, 1600), np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 16_000, 1600 * number, Fraction(1, 16_000)
    return frame


class Shown(NamedTuple):
    """What a player shows."""

    frames: list[NDArray[np.uint8]]
    times_s: list[float]
    sound: list[tuple[float, bytes]]


def shown(path: Path) -> Shown:
    """Decode a whole video; of its sound, time and bytes of each packet."""
    found = Shown([], [], [])
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.stream.type == "audio" and packet.dts is not None:
                found.sound.append((float(packet.pts * packet.time_base), bytes(packet)))
            elif packet.stream.type == "video":
                for frame in packet.decode():
                    found.frames.append(frame.to_ndarray(format="rgb24"))
                    found.times_s.append(float(frame.pts * packet.stream.time_base))
    return found


def corner(frame: NDArray[np.uint8]) -> float:
    """The mean of the lower right corner, where no words are."""
    return float(frame[-16:, -16:].mean())
