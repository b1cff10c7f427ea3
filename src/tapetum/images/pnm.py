"""Read and write binary PGM and PPM files of more than 8 bits, on their own scale.

Pillow stretches the values to 16 bits, and reads 8 bits of colour only.

References:
    The PGM and PPM formats, https://netpbm.sourceforge.net/doc/pgm.html.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.images.decoded import StoredImage
from tapetum.images.facts import ImageFacts, chosen_frames
from tapetum.images.source import Source, opened

__all__ = ["encode_pnm16", "is_deep_pnm", "pnm_facts", "pnm_frames"]

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(
    rb"P([56])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})\s"
)
_HEADER_BYTES = 4096


def is_deep_pnm(head: bytes) -> bool:
    """Return whether a file that begins so is a binary PGM or PPM of more than 8 bits."""
    match = _HEADER.match(head)
    return match is not None and 255 < int(match[4]) <= 65535


def pnm_facts(source: Source) -> ImageFacts:
    """Return what the header says."""
    kind, width, height, _, _ = _header(source)
    return ImageFacts("PPM", width, height, 1, "grey" if kind == 5 else "rgb", 16, False)


def pnm_frames(source: Source, *, only: Sequence[int] | None = None) -> Iterator[StoredImage]:
    """Read the only frame."""
    kind, width, height, largest, start = _header(source)
    shape = (height, width, 1 if kind == 5 else 3)
    for _ in chosen_frames(1, only):
        with opened(source) as file:
            file.seek(start)
            content = file.read(2 * int(np.prod(shape)))
        values = np.frombuffer(content, ">u2").reshape(shape).astype(np.uint16)
        yield StoredImage(values, format="PPM", hints=(largest,))


def encode_pnm16(samples: NDArray[np.uint16], white: float) -> bytes:
    """Encode samples, (h, w, 1 or 3), as the bytes of a PGM or PPM file whose white is given."""
    height, width, channels = samples.shape
    largest = int(min(65535, max(256, white)))
    header = f"P{5 if channels == 1 else 6}\n{width} {height}\n{largest}\n"
    return header.encode() + samples.astype(">u2").tobytes()


def _header(source: Source) -> tuple[int, int, int, int, int]:
    """Return the kind, width, height, largest value, and the place of the values."""
    with opened(source) as file:
        match = _HEADER.match(file.read(_HEADER_BYTES))
    if match is None:
        raise DataError("its header is damaged", "copy the file again")
    kind, width, height, largest = (int(number) for number in match.groups())
    return kind, width, height, largest, match.end()
