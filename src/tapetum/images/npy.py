"""Read and write arrays of numpy as images: (h, w), (h, w, c), or frames of these."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.images.decoded import Samples, StoredImage
from tapetum.images.facts import ImageFacts, chosen_frames, require_count
from tapetum.images.source import Source

__all__ = ["encode_npy", "npy_facts", "npy_frames"]

_DEPTHS = {"uint8": 8, "uint16": 16, "float16": 32, "float32": 32, "float64": 32}
_CHANNELS = (1, 2, 3, 4)


def npy_facts(source: Source) -> ImageFacts:
    """Return what the header of an array says."""
    values = _frames(source)
    frames, height, width, channels = values.shape
    return ImageFacts(
        format="NPY",
        width_px=width,
        height_px=height,
        num_frames=require_count(frames),
        mode="grey" if channels < 3 else "rgb",
        bit_depth=_DEPTHS[values.dtype.name],  # type: ignore[arg-type]
        has_alpha=channels in (2, 4),
    )


def npy_frames(source: Source, *, only: Sequence[int] | None = None) -> Iterator[StoredImage]:
    """Read the frames of an array, or some of them; the others stay on the disk."""
    values = _frames(source)
    for index in chosen_frames(len(values), only):
        kind = np.float32 if values.dtype.kind == "f" else values.dtype.newbyteorder("=")
        samples: Samples = np.array(values[index], kind)
        yield StoredImage(samples, format="NPY")


def encode_npy(frames: Iterable[Samples], num_frames: int) -> Iterator[bytes]:
    """Encode frames as the bytes of an array: (n, h, w, c) for many, (h, w) for one of grey."""
    shape: tuple[int, ...] | None = None
    for samples in frames:
        if shape is None:
            shape = samples.shape
            flat = shape[:2] if shape[2] == 1 else shape
            whole = (num_frames, *shape) if num_frames > 1 else flat
            kind = np.lib.format.dtype_to_descr(samples.dtype)
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": kind, "fortran_order": False, "shape": whole}
            )
            yield header.getvalue()
        if samples.shape != shape:
            raise DataError(f"frames have shapes {shape} and {samples.shape}", "write a .tif")
        yield samples.tobytes()


def _frames(source: Source) -> NDArray[Any]:
    """Return the array as frames, (n, h, w, c); a file is mapped, not read."""
    if isinstance(source, Path):
        values: NDArray[Any] = np.load(source, mmap_mode="r", allow_pickle=False)
    else:
        values = np.load(io.BytesIO(source), allow_pickle=False)
    if values.dtype.name not in _DEPTHS:
        raise DataError(f"its numbers are {values.dtype}", "save it as uint8, uint16 or floats")
    shape = values.shape
    if len(shape) == 2:
        return values[np.newaxis, :, :, np.newaxis]
    if len(shape) == 3 and shape[-1] in _CHANNELS:
        return values[np.newaxis]
    if len(shape) == 3 and shape[0] not in _CHANNELS:
        return values[..., np.newaxis]
    if len(shape) == 4 and shape[-1] in _CHANNELS:
        return values
    raise DataError(
        f"its shape {shape} is not that of an image",
        "save it as (h, w) or (h, w, c) with c of 1 to 4, or several of them as (n, h, w, c)",
    )
