"""Write TIFF files of 8 or 16 bits or floats, grey or RGB, with alpha, of one page or many.

Pillow writes grey files of 16 bits and floats, but no colour. A TIFF file is a header and, for each
page, a directory of tags and strips of rows. The strips are compressed with Deflate. Pillow's
class for directories writes the tags.

References:
    TIFF Revision 6.0 (Adobe, 1992), sections 2, 7, 8, 18 and 19.
    Adobe Photoshop TIFF Technical Notes (2002), on Deflate.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from tapetum.errors import DataError
from tapetum.images.decoded import Metadata, Samples
from tapetum.images.metadata import UNITS

__all__ = ["encode_tiff"]

_STRIP_BYTES = 1 << 18
_DEFLATE, _UNASSOCIATED_ALPHA = 8, 2
_UNSIGNED, _FLOAT = 1, 3
_UNIT_NUMBERS = {unit: number for number, unit in UNITS.items()}
_MOST_BYTES = 2**32 - 1


def encode_tiff(pages: Iterable[tuple[Samples, Metadata]]) -> Iterator[bytes]:
    """Encode pages of samples (h, w, c), grey or RGB with or without alpha, as a TIFF file.

    Raises:
        DataError: The file would be larger than 4 GiB.
    """
    place = 8  # of the directory of the page
    yield b"II*\0" + struct.pack("<I", place)
    ended: Iterator[Any] = chain(pages, [None])
    for (samples, metadata), following in pairwise(ended):
        strips, rows_per_strip = _strips(samples)
        directory = _directory(samples, metadata, rows_per_strip)
        directory[TiffImagePlugin.STRIPBYTECOUNTS] = tuple(len(strip) for strip in strips)
        starts = np.cumsum([0, *(len(strip) for strip in strips[:-1])])
        directory[TiffImagePlugin.STRIPOFFSETS] = tuple(starts.tolist())
        tags = bytearray(directory.tobytes(place))  # strips follow: their offsets count from here
        end = place + len(tags) + sum(map(len, strips))
        if end > _MOST_BYTES:
            raise DataError("a TIFF file holds 4 GiB, and this is more", "write .png or .npy")
        place = end + end % 2
        link = 2 + 12 * struct.unpack_from("<H", tags)[0]
        struct.pack_into("<I", tags, link, 0 if following is None else place)
        yield from (bytes(tags), *strips, bytes(end % 2))


def _strips(samples: Samples) -> tuple[list[bytes], int]:
    """Return the compressed strips, and the rows of each."""
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    rows = max(1, _STRIP_BYTES // max(1, little[:1].nbytes))
    parts = [little[top : top + rows] for top in range(0, len(little), rows)]
    return [zlib.compress(part.tobytes(), 6) for part in parts], rows


def _directory(
    samples: Samples, metadata: Metadata, rows_per_strip: int
) -> TiffImagePlugin.ImageFileDirectory_v2:
    height, width, channels = samples.shape
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if metadata.exif is not None:
        _copy_exif(tags, metadata.exif)
    tags[TiffImagePlugin.IMAGEWIDTH] = width
    tags[TiffImagePlugin.IMAGELENGTH] = height
    tags[TiffImagePlugin.BITSPERSAMPLE] = (samples.dtype.itemsize * 8,) * channels
    tags[TiffImagePlugin.COMPRESSION] = _DEFLATE
    tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 1 if channels < 3 else 2
    tags[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    tags[TiffImagePlugin.ROWSPERSTRIP] = rows_per_strip
    tags[TiffImagePlugin.PLANAR_CONFIGURATION] = 1
    sample_format = _FLOAT if samples.dtype == np.float32 else _UNSIGNED
    tags[TiffImagePlugin.SAMPLEFORMAT] = (sample_format,) * channels
    if channels in (2, 4):
        tags[TiffImagePlugin.EXTRASAMPLES] = (_UNASSOCIATED_ALPHA,)
    if metadata.resolution is not None:
        x, y, unit = metadata.resolution
        tags[TiffImagePlugin.X_RESOLUTION] = x
        tags[TiffImagePlugin.Y_RESOLUTION] = y
        tags[TiffImagePlugin.RESOLUTION_UNIT] = _UNIT_NUMBERS[unit]
    if metadata.description is not None:
        tags[TiffImagePlugin.IMAGEDESCRIPTION] = metadata.description
    if metadata.icc_profile is not None:
        tags[TiffImagePlugin.ICCPROFILE] = metadata.icc_profile
    return tags


def _copy_exif(tags: TiffImagePlugin.ImageFileDirectory_v2, content: bytes) -> None:
    """Copy Exif data: of a TIFF file they are its own tags and two inner directories."""
    exif = Image.Exif()
    exif.load(content)
    inner: dict[int, Any] = {tag: exif.get_ifd(tag) for tag in (34665, 34853)}
    for tag in (271, 272, 305, 306, 315, 33432):
        if tag in exif:
            tags[tag] = exif[tag]
    for tag, values in inner.items():
        if values:
            tags[tag] = values
