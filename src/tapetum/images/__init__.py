"""Read, write and find image files, without torch; start at :func:`read_image`.

Files are grey or RGB, with or without alpha, with palettes, of 8 or 16 bits per channel or floats,
of one frame or many, and rotated by their Exif tag. Every conversion happens in this room:
``source`` opens, ``facts`` looks at the header, ``readers`` chooses the module of a format,
``white`` finds the scale, ``writing`` encodes, ``walk`` finds the files of a folder.
"""

from tapetum.images.decoded import DecodedImage, StoredImage, as_colour
from tapetum.images.facts import ImageFacts
from tapetum.images.levels import FoundWhite, find_white_level
from tapetum.images.reading import (
    decode_frames,
    inspect_image,
    looks_like_image,
    read_frames,
    read_image,
    read_stored,
)
from tapetum.images.resampling import resample
from tapetum.images.walk import (
    AnyPath,
    LeftOut,
    display_name,
    path_of_name,
    scan,
    should_be_image,
)
from tapetum.images.writing import encode_frames, output_format, write_frames, write_image

__all__ = [
    "AnyPath",
    "DecodedImage",
    "FoundWhite",
    "ImageFacts",
    "LeftOut",
    "StoredImage",
    "as_colour",
    "decode_frames",
    "display_name",
    "encode_frames",
    "find_white_level",
    "inspect_image",
    "looks_like_image",
    "output_format",
    "path_of_name",
    "read_frames",
    "read_image",
    "read_stored",
    "resample",
    "scan",
    "should_be_image",
    "write_frames",
    "write_image",
]
