"""Average labels over time, and write a few words into a frame."""

import math
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Stabiliser", "draw"]

FONTS = ("DejaVuSans.ttf", "Arial.ttf", "arial.ttf")  # that of Pillow has no letters but ASCII
SMALLEST_PX = 9  # of letters that can be read
DARKENED = 0.3  # of the brightness: white letters stay readable on a white object


class Stabiliser:
    """An exponential average of probabilities over time.

    What was seen ``seconds`` ago counts ``1/e`` of what is seen now, at any frame rate.

    Args:
        seconds: Time constant; 0 for none.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._time_s = 0.0
        self._mean: NDArray[np.float32] | None = None

    def __call__(self, probabilities: NDArray[np.float32], time_s: float) -> NDArray[np.float32]:
        """Return the average up to now.

        Args:
            probabilities: Those of a frame.
            time_s: Its time in seconds, later than that of the one before.
        """
        if self._mean is None or self._seconds == 0:
            self._mean = probabilities
        else:
            share = -math.expm1((self._time_s - time_s) / self._seconds)
            self._mean = self._mean + np.float32(share) * (probabilities - self._mean)
        self._time_s = time_s
        return self._mean


def draw(pixels: NDArray[np.uint8], words: list[str]) -> NDArray[np.uint8]:
    """Return a frame with words in its upper left corner, white where the frame is darkened.

    What is below them stays visible: on a small frame they may cover the object.

    Args:
        pixels: Shape (h, w, 3).
        words: Parts that stay together; one that is wider than the frame is cut.
    """
    height, width = pixels.shape[:2]
    font = _font(max(SMALLEST_PX, 6 + min(height, width) // 36))
    margin = max(1, round(font.size / 4))
    room = width - 2 * margin
    lines = [_cut(words[0], font, room)]
    for word in words[1:]:
        if font.getlength(f"{lines[-1]}  {word}") <= room:
            lines[-1] += f"  {word}"
        else:
            lines.append(_cut(word, font, room))
    image, text = Image.fromarray(pixels), "\n".join(lines)
    canvas = ImageDraw.Draw(image)
    place: Any = {"xy": (margin, margin), "text": text, "font": font, "spacing": margin}
    right, bottom = (math.ceil(end) + margin for end in canvas.multiline_textbbox(**place)[2:])
    image.paste(image.crop((0, 0, right, bottom)).point(lambda value: value * DARKENED), (0, 0))
    canvas.multiline_text(**place, fill=(255, 255, 255))
    return np.asarray(image)


def _cut(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """Return as much of a text as fits."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text}…"


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    for name in FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, size)
    built_in = ImageFont.load_default(size)
    assert isinstance(built_in, ImageFont.FreeTypeFont)  # noqa: S101  (it has a size)
    return built_in
