r"""Prepare an image for a network: the one way of training, scoring and prediction.

A :class:`Preparation` is part of every dataset and every package. It converts colours at full
resolution, composites transparent images over one background, and resizes the result to the square
of which a network labels. Its fields are named after the decision that each one records.

Resampling is linear over an area that grows with the reduction. It neither aliases nor overshoots
the range of the image.
"""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from tapetum.images import DecodedImage, as_colour, resample
from tapetum.records import Record

__all__ = ["Preparation", "Resize"]

Resize = Literal["squash", "letterbox", "crop"]
"""How an image becomes square.

``squash`` stretches the whole image, ``letterbox`` keeps its proportions and fills the rest with
the background, ``crop`` keeps the largest central square alone.
"""


class Preparation(Record):
    """The way from a decoded image to the input of a network.

    Example:
        >>> import numpy as np
        >>> from tapetum.runtime import Preparation
        >>> preparation = Preparation(size_px=32, channels=3)
        >>> preparation.resized(np.zeros((3, 48, 64), np.float32)).shape
        (3, 32, 32)

    Args:
        size_px: Height and width of the prepared image; None keeps the size of each image, for
            networks without labels of whole images.
        channels: Channels of the network: 1 for grey, 3 for RGB. Networks of other channels take
            arrays only.
        resize: How an image becomes square.
        filter: The filter of the resize, widened where the image is reduced.
        background: Grey level under transparent pixels and around a letterbox, in [0, 1]. The
            default is mid-grey, on which both dark and bright objects stand out.
        white: Stored value that becomes 1.0 in files of 16 bits and of floats, such as 4095 for
            12-bit data; None for what the file says, or the largest value of its type.
    """

    size_px: PositiveInt | None = None
    channels: PositiveInt
    resize: Resize = "squash"
    filter: Literal["bilinear"] = "bilinear"
    background: Annotated[float, Field(ge=0, le=1)] = 0.5
    white: PositiveFloat | None = None

    @property
    def text(self) -> str:
        """What is done, for people, such as ``stretched to 32 x 32 px, alpha over grey 0.5``."""
        square = f"{self.size_px} x {self.size_px} px"
        resize = {
            "squash": f"stretched to {square}",
            "letterbox": f"fitted into {square} in their proportions",
            "crop": f"cut to the central square, resized to {square}",
        }[self.resize]
        white = "" if self.white is None else f", {self.white:g} of deep files is white"
        size = "at their own size" if self.size_px is None else resize
        return f"{size}, alpha over grey {self.background:g}{white}"

    def colours(self, image: DecodedImage) -> NDArray[np.float32]:
        """Return an image in the channels of the network, (c, h, w), at its own size.

        Transparent pixels are composited over the background.

        Raises:
            DataError: The image has neither 1 nor 3 channels.
        """
        pixels = self._scaled(image)
        if image.alpha is not None:
            pixels = image.alpha * pixels + (1 - image.alpha) * np.float32(self.background)
        return as_colour(pixels, self.channels)

    def in_channels(self, image: DecodedImage) -> DecodedImage:
        """Return an image with the channels of the network, and with its alpha.

        Noise is added to this image, as in training. On the equal channels of a grey image that is
        stored as RGB it would be drawn three times, and average out.
        """
        mode: Literal["grey", "rgb"] = "grey" if self.channels == 1 else "rgb"
        return replace(image, pixels=as_colour(image.pixels, self.channels), mode=mode)

    def restored(self, denoised: NDArray[np.float32], image: DecodedImage) -> NDArray[np.float32]:
        """Return the pixels that show a denoised image where they are stored with its alpha.

        Colours that were hidden are those of the image; over the background of the preparation the
        result looks like the denoised image.

        Args:
            denoised: What the network made of :meth:`colours`, shape (c, h, w), in [0, 1].
            image: The noisy image.
        """
        if image.alpha is None:
            return denoised
        change = denoised - self.colours(image)
        straight = as_colour(self._scaled(image), self.channels)
        share = np.broadcast_to(image.alpha, change.shape)
        change = np.divide(change, share, out=np.zeros_like(change), where=share > 0)
        return np.where(share == 1, denoised, np.clip(straight + change, 0, 1))

    def resized(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return pixels (c, h, w), or a region of them, as a square of ``size_px``.

        An image that is this square already is returned as it is, and so is every image where the
        preparation has no size.
        """
        height, width = pixels.shape[-2:]
        if self.fits(height, width):
            return pixels
        assert self.size_px is not None  # noqa: S101  (every image fits where there is no size)
        left, top, right, bottom = self._source(height, width)
        pixels = pixels[:, top:bottom, left:right]
        inner_left, inner_top, inner_right, inner_bottom = self._target(height, width)
        inner = resample(pixels, height=inner_bottom - inner_top, width=inner_right - inner_left)
        if inner.shape[1:] == (self.size_px, self.size_px):
            return inner
        shape = (len(pixels), self.size_px, self.size_px)
        canvas = np.full(shape, self.background, np.float32)
        canvas[:, inner_top:inner_bottom, inner_left:inner_right] = inner
        return canvas

    def fits(self, height: int, width: int) -> bool:
        """Whether an image of this height and width is not resized."""
        return self.size_px is None or height == width == self.size_px

    def boxes(self, boxes: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        """Return boxes of an image in the coordinates of the prepared one.

        Parts that ``crop`` removes are cut off: a box wholly outside becomes empty.

        Args:
            boxes: Shape (k, 4): left, top, right, bottom in pixels.
            height: Height of the image.
            width: Width of the image.
        """
        if self.fits(height, width):
            return boxes
        source, target = self._source(height, width), self._target(height, width)
        start, end = np.array([source[:2] * 2, source[2:] * 2], np.float64)
        first, last = np.array([target[:2] * 2, target[2:] * 2], np.float64)
        scale = (last - first) / (end - start)
        mapped: NDArray[np.float32] = (np.clip(boxes, start, end) - start) * scale + first
        return mapped.astype(np.float32)

    def white_of(self, image: DecodedImage) -> float:
        """Return the stored value that becomes 1.0 in an image."""
        given = image.white or image.full_scale
        # Only integers of 16 bits leave it open; else it is that of this image, so it counts.
        is_said = given != image.full_scale or image.bit_depth != 16
        return given if self.white is None or is_said else self.white

    def _scaled(self, image: DecodedImage) -> NDArray[np.float32]:
        """Return the pixels of an image on the scale on which white is 1."""
        given = image.white or image.full_scale
        white = self.white_of(image)
        return image.pixels if given == white else image.pixels * np.float32(given / white)

    def _source(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the part of an image that is seen: left, top, right, bottom."""
        if self.resize != "crop":
            return 0, 0, width, height
        side = min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side

    def _target(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the part of the prepared image that shows it: left, top, right, bottom."""
        assert self.size_px is not None  # noqa: S101  (the callers have a size)
        inner_height = inner_width = self.size_px
        if self.resize == "letterbox":
            longest = max(height, width)
            inner_height = max(1, round(height * self.size_px / longest))
            inner_width = max(1, round(width * self.size_px / longest))
        left, top = (self.size_px - inner_width) // 2, (self.size_px - inner_height) // 2
        return left, top, left + inner_width, top + inner_height
