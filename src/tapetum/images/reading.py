"""Read image files: what they are, their pixels, and the frames of a stack."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tapetum.errors import DataError
from tapetum.images.decoded import DecodedImage, StoredImage
from tapetum.images.facts import ImageFacts, require_pixels, require_room
from tapetum.images.readers import is_image_signature, reader_of
from tapetum.images.source import Source, reasons_in_words, signature
from tapetum.images.white import with_white

__all__ = [
    "decode_frames",
    "inspect_image",
    "looks_like_image",
    "read_frames",
    "read_image",
    "read_stored",
]

WRITTEN_APART = ("TIFF", "NPY", "DICOM")
"""Formats whose stacks are written frame by frame; those of DICOM become TIFF."""


def inspect_image(source: Path | bytes) -> ImageFacts:
    """Look at the header of an image file, without decoding the image.

    Raises:
        DataError: There is no such file, or it is no image.
    """
    with _named(source), reasons_in_words():
        return require_pixels(reader_of(source).facts(source))


def looks_like_image(source: Path | bytes) -> bool:
    """Return whether the first bytes of a file are those of an image, whatever its name says.

    The image may still be damaged, or need a package that is not installed; reading says which.
    """
    try:
        return is_image_signature(signature(source))
    except DataError:
        return False


def read_image(
    source: Path | bytes,
    *,
    white: float | None = None,
    frame: int = 0,
    max_megapixels: float | None = None,
) -> DecodedImage:
    """Read an image.

    Args:
        source: A file, or the bytes of one.
        white: The stored value that 1.0 stands for, in files of 16 bits and floats; by default what
            the file says, or the largest value of its type.
        frame: Which frame of a stack or animation, from 0.
        max_megapixels: The largest image to decode; by default what fits half of the memory.

    Raises:
        DataError: There is no such file, or it is not a complete image.
    """
    with _named(source):
        return next(decode_frames(source, white=white, max_megapixels=max_megapixels, only=[frame]))


def read_frames(
    source: Path | bytes, *, white: float | None = None, max_megapixels: float | None = None
) -> Iterator[DecodedImage]:
    """Read the frames of a stack or animation, one after another; an image is a single frame.

    The arguments are those of :func:`read_image`.

    Raises:
        DataError: There is no such file, or it is not a complete image.
    """
    frames = decode_frames(source, white=white, max_megapixels=max_megapixels)
    while True:
        with _named(source):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def decode_frames(
    source: Path | bytes,
    *,
    white: float | None = None,
    max_megapixels: float | None = None,
    only: Sequence[int] | None = None,
) -> Iterator[DecodedImage]:
    """Read frames as :func:`read_frames` does, with errors that do not name the file.

    Args:
        source: A file, or the bytes of one.
        white: See :func:`read_image`.
        max_megapixels: See :func:`read_image`.
        only: The numbers of the frames to read, for a caller that keeps one at a time; by default
            all, and an animation must then fit the memory as a whole, as it must to be written.

    Raises:
        DataError: A frame is not complete.
    """
    with reasons_in_words():
        reader = reader_of(source)
        facts = require_pixels(reader.facts(source))
        is_apart = only is not None or facts.format in WRITTEN_APART
        require_room(facts, max_megapixels, num_frames=1 if is_apart else facts.num_frames)
    frames = reader.frames(source, only=only)
    while True:
        with reasons_in_words():
            stored = next(frames, None)
            decoded = None if stored is None else with_white(stored, white).decoded()
        if decoded is None:
            return
        yield decoded


def read_stored(
    path: Path, *, white: float | None = None, max_megapixels: float | None = None
) -> StoredImage:
    """Read a large image as its file stores it; its pixels are converted where they are needed.

    The arguments are those of :func:`read_image`.

    Raises:
        DataError: There is no such file, or it is not a complete image.
    """
    with _named(path), reasons_in_words():
        reader = reader_of(path)
        require_room(reader.facts(path), max_megapixels, as_floats=False)
        return with_white(next(reader.frames(path, only=[0])), white)


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Add the name of the file to an error."""
    try:
        yield
    except DataError as error:
        if isinstance(source, bytes):
            raise
        raise DataError(f"cannot read {source}: {error.problem}", error.remedy) from error
