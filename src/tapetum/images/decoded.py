"""An image in memory: its pixels on the scale [0, 1], and what its file says beside them."""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError

__all__ = [
    "BitDepth",
    "DecodedImage",
    "Metadata",
    "Resolution",
    "Samples",
    "StoredImage",
    "as_colour",
    "divided_by_alpha",
    "largest_value",
]

BitDepth = Literal[8, 16, 32]
"""Bits per channel of a file; 32 stands for floats."""

Samples = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
"""Values as a file stores them, shape (h, w, c): grey or RGB, then alpha if there is any."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's "L"

_LARGEST = {8: 255.0, 16: 65535.0, 32: 1.0}


class Resolution(NamedTuple):
    """Pixels per unit of length."""

    x: float
    y: float
    unit: Literal["inch", "cm", "none"]


@dataclass(frozen=True)
class Metadata:
    """What a file says about its image; it is carried over to the file that is written.

    Attributes:
        icc_profile: Colour profile.
        resolution: Pixels per unit of length.
        description: Description of a TIFF file; ImageJ keeps its scale there.
        exif: Exif data without the orientation, which is applied while decoding.
        text: Texts of a PNG file, keyword and content.
        duration_ms: Time for which a frame of an animation is shown.
        loop: Repetitions of an animation; 0 for endless, None for none.
    """

    icc_profile: bytes | None = None
    resolution: Resolution | None = None
    description: str | None = None
    exif: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()
    duration_ms: float | None = None
    loop: int | None = None


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image inside Tapetum.

    Args:
        pixels: Shape (c, h, w), in [0, 1]; c is 1 for grey and 3 for RGB.
        alpha: Opacity, shape (h, w), in [0, 1]; None without alpha.
        bit_depth: Bits per channel of the source, and of the file that is written; 32 for floats.
        mode: The meaning of the channels.
        white: The stored value that 1.0 stands for; by default the largest value of the depth,
            255, 65535 or 1.0. Files are written on the same scale.
        metadata: What the file says beside the pixels.
        format: Format of the file, such as ``PNG``; None for an image from elsewhere.
        notes: Sentences on what decoding guessed, clipped or dropped.

    Raises:
        DataError: Shape, mode and alpha do not fit together.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None
    bit_depth: BitDepth
    mode: Literal["grey", "rgb"]
    white: float | None = None
    metadata: Metadata = field(default_factory=Metadata)
    format: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        channels = 1 if self.mode == "grey" else 3
        if self.pixels.ndim != 3 or self.pixels.shape[0] != channels:
            raise DataError(
                f"a {self.mode} image has shape ({channels}, h, w), not {self.pixels.shape}",
                "give channels first",
            )
        if self.alpha is not None and self.alpha.shape != self.pixels.shape[1:]:
            raise DataError(
                f"alpha of {self.alpha.shape} does not fit pixels of {self.pixels.shape[1:]}",
                "give both the same height and width",
            )
        if self.white is None:
            object.__setattr__(self, "white", largest_value(self.bit_depth))

    @property
    def has_alpha(self) -> bool:
        """Whether there is alpha."""
        return self.alpha is not None

    @property
    def full_scale(self) -> float:
        """The largest value of the type of its file: 255, 65535 or 1.0."""
        return largest_value(self.bit_depth)

    def with_pixels(self, pixels: NDArray[np.float32], *, white: float) -> "DecodedImage":
        """Return the image with other pixels, (c, h, w), on the scale of another white.

        A colour profile describes certain channels, so it is left out where they change.
        """
        mode: Literal["grey", "rgb"] = "grey" if len(pixels) == 1 else "rgb"
        notes, metadata = _changed_colour(self, mode), self.metadata
        if notes:
            metadata = replace(metadata, icc_profile=None)
        notes = (*self.notes, *notes)
        return replace(self, pixels=pixels, mode=mode, white=white, metadata=metadata, notes=notes)

    def to_integers(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return the pixels as integers of the full scale of their type, shape (c, h, w).

        They are clipped and rounded, to 8 bits for files of 8 bits, else to 16. White is the
        largest value of the type, whatever :attr:`white` is.
        """
        largest = np.float32(255 if self.bit_depth == 8 else 65535)
        scaled: NDArray[np.float32] = np.rint(np.clip(self.pixels, 0, 1) * largest)
        return scaled.astype(np.uint8) if self.bit_depth == 8 else scaled.astype(np.uint16)

    def to_samples(self) -> Samples:
        """Return the values that a file stores, shape (h, w, c), alpha last, clipped to white."""
        white = np.float32(self.white or largest_value(self.bit_depth))
        planes = np.clip(self.pixels, 0, 1) * white
        if self.alpha is not None:
            opaque = np.float32(largest_value(self.bit_depth))
            planes = np.concatenate([planes, np.clip(self.alpha, 0, 1)[np.newaxis] * opaque])
        samples = np.ascontiguousarray(np.moveaxis(planes, 0, 2))
        if self.bit_depth == 32:
            return samples
        rounded: NDArray[np.float32] = np.rint(samples)
        return rounded.astype(np.uint8) if self.bit_depth == 8 else rounded.astype(np.uint16)


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image as its file stores it; upright, grey or RGB.

    Attributes:
        samples: The values, shape (h, w, c).
        key: Opacity by a key value or colour, shape (h, w); None for others.
        hints: Values that the file says white may have.
        white: The stored value that 1.0 stands for; None until it is chosen.
        metadata: What the file says beside the pixels.
        format: Format of the file.
        notes: Sentences on what decoding guessed, clipped or dropped.
    """

    samples: Samples
    key: NDArray[np.bool_] | None = None
    hints: tuple[int, ...] = ()
    white: float | None = None
    metadata: Metadata = field(default_factory=Metadata)
    format: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def bit_depth(self) -> BitDepth:
        """Bits per channel; 32 for floats."""
        return {"uint8": 8, "uint16": 16, "float32": 32}[self.samples.dtype.name]  # type: ignore[return-value]

    @property
    def mode(self) -> Literal["grey", "rgb"]:
        """The meaning of the channels."""
        return "grey" if self.samples.shape[2] < 3 else "rgb"

    @property
    def has_alpha(self) -> bool:
        """Whether there is alpha."""
        return self.key is not None or self.samples.shape[2] in (2, 4)

    @property
    def colours(self) -> Samples:
        """The samples without alpha."""
        return self.samples[:, :, : 1 if self.samples.shape[2] < 3 else 3]

    def rows(self, top: int, bottom: int) -> "StoredImage":
        """Return some rows of the image, without a copy."""
        key = None if self.key is None else self.key[top:bottom]
        return replace(self, samples=self.samples[top:bottom], key=key)

    def with_samples(self, samples: Samples) -> "StoredImage":
        """Return the image with other samples, which include the alpha if there is any."""
        changed = replace(self, samples=samples, key=None)
        if notes := _changed_colour(self, changed.mode):
            metadata = replace(self.metadata, icc_profile=None)
            changed = replace(changed, metadata=metadata, notes=(*self.notes, *notes))
        return changed

    def to_samples(self) -> Samples:
        """Return the values that a file stores, shape (h, w, c), alpha last."""
        return self.samples if self.key is None else self.decoded().to_samples()

    def decoded(self) -> DecodedImage:
        """Return the image on the scale [0, 1]."""
        white = np.float32(self.white or largest_value(self.bit_depth))
        num_colours = 1 if self.samples.shape[2] < 3 else 3
        planes = np.ascontiguousarray(np.moveaxis(self.samples, 2, 0)).astype(np.float32)
        alpha = None if self.key is None else self.key.astype(np.float32)
        if self.samples.shape[2] > num_colours:
            alpha = planes[num_colours] / np.float32(largest_value(self.bit_depth))
        return DecodedImage(
            pixels=np.clip(planes[:num_colours] / white, 0, 1),
            alpha=alpha,
            bit_depth=self.bit_depth,
            mode="grey" if num_colours == 1 else "rgb",
            white=self.white,
            metadata=self.metadata,
            format=self.format,
            notes=self.notes,
        )


def _changed_colour(image: DecodedImage | StoredImage, mode: str) -> tuple[str, ...]:
    """Return what is said where a network of another ``mode`` has changed an image."""
    if mode == image.mode:
        return ()
    names = {"grey": "grey", "rgb": "RGB"}
    change = f"the denoised image is {names[mode]}, as the network is, and not {names[image.mode]}"
    profile = "the colour profile was left out, because the network changes the channels"
    return (change,) if image.metadata.icc_profile is None else (change, profile)


def largest_value(bit_depth: BitDepth) -> float:
    """Return the value of white where nothing else is said: 255, 65535 or 1.0."""
    return _LARGEST[bit_depth]


def divided_by_alpha(samples: Samples) -> Samples:
    """Return samples (h, w, c) whose colours are no longer multiplied by alpha, the last channel.

    Colours of pixels without opacity are black.
    """
    largest = {"uint8": 255, "uint16": 65535}.get(samples.dtype.name, 1)
    alpha = samples[:, :, -1:].astype(np.float64) / largest
    colours = samples[:, :, :-1] / np.where(alpha > 0, alpha, 1) * (alpha > 0)
    if samples.dtype.kind == "u":
        colours = np.rint(np.clip(colours, 0, largest))
    divided: Samples = np.concatenate([colours.astype(samples.dtype), samples[:, :, -1:]], axis=2)
    return divided


def as_colour(pixels: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Convert between grey and RGB; grey is the luma of ITU-R BT.601.

    Args:
        pixels: Shape (..., c, h, w) with c 1 or 3.
        channels: Number of channels to return, 1 or 3.

    Raises:
        DataError: The number of channels is neither 1 nor 3.
    """
    given = pixels.shape[-3]
    if {given, channels} - {1, 3}:
        problem = f"cannot turn {given} channels into {channels}"
        raise DataError(problem, "images have 1 channel (grey) or 3 (RGB)")
    if given == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-3)
    grey: NDArray[np.float32] = np.einsum("...chw,c->...hw", pixels, _LUMA)
    return grey[..., np.newaxis, :, :]
