"""Write PNG files with 16 bits per channel; Pillow writes them for grey alone.

A PNG is a signature and chunks: size and kind (``IHDR``), the compressed rows (``IDAT``) and an end
mark (``IEND``). Each row is stored as its difference from the row above (filter 2, "up"), which
vectorises and compresses smooth images well.

References:
    Portable Network Graphics (PNG) Specification, third edition (W3C, 2025),
    https://www.w3.org/TR/png-3/, sections 5, 9 and 11.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from tapetum.images.decoded import Metadata

__all__ = ["encode_png16"]

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type
_FILTER_UP = 2


def encode_png16(samples: NDArray[np.uint16], metadata: Metadata | None = None) -> bytes:
    """Encode samples (h, w, c), grey or RGB with or without alpha, as a 16-bit PNG file."""
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    rows = samples.astype(">u2").reshape(height, width * channels).view(np.uint8)
    filtered = np.full((height, 1 + rows.shape[1]), _FILTER_UP, dtype=np.uint8)
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as the format wants
    rows_chunk = _chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _beside(metadata)
        + rows_chunk
        + _chunk(b"IEND", b"")
    )


def _beside(metadata: Metadata | None) -> bytes:
    """Return the chunks of profile, resolution, Exif data and texts."""
    if metadata is None:
        return b""
    chunks = []
    if metadata.icc_profile:
        chunks.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc_profile)))
    if metadata.resolution is not None and metadata.resolution.unit != "none":
        per_metre = {"inch": 1 / 0.0254, "cm": 100.0}[metadata.resolution.unit]
        x, y = (min(2**31 - 1, round(value * per_metre)) for value in metadata.resolution[:2])
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    if metadata.exif:
        chunks.append(_chunk(b"eXIf", metadata.exif.removeprefix(b"Exif\0\0")))
    for key, text in metadata.text:
        keyword = key.encode("latin-1", errors="replace")[:79]
        chunks.append(_chunk(b"iTXt", keyword + bytes(5) + text.encode()))
    return b"".join(chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
