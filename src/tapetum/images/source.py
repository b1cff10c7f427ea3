"""Open the bytes of an image: a file that is checked before it is read, or bytes in memory."""

import functools
import importlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from tapetum.errors import DataError, MissingExtraError, TapetumError
from tapetum.images.quiet import without_warnings

__all__ = [
    "FORMATS",
    "Source",
    "add_heif",
    "extra",
    "opened",
    "opened_by_pillow",
    "reasons_in_words",
    "signature",
]

Source = Path | bytes
"""A file, or the bytes of one."""

# An explicit list: a disguised file must not reach a decoder that starts programs (EPS).
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF", "DIB", "HEIF")

_SIGNATURE_BYTES = 132  # as far as DICOM's


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open a source to read; only a regular file is opened."""
    if isinstance(source, bytes):
        if not source:
            raise DataError("the file is empty", "copy it again")
        yield io.BytesIO(source)
        return
    try:
        _require_regular(source)
        file = source.open("rb")
    except OSError as error:
        raise DataError(error.strerror or str(error), "check the path") from error
    with file:
        yield file


def signature(source: Source) -> bytes:
    """Return the first bytes of a source, which tell its format."""
    with opened(source) as file:
        return file.read(_SIGNATURE_BYTES)


@contextmanager
def opened_by_pillow(source: Source) -> Iterator[Image.Image]:
    """Open a source with Pillow; only the header is read."""
    with opened(source) as file, Image.open(file, formats=_formats()) as image:
        yield image


@contextmanager
def reasons_in_words() -> Iterator[None]:
    """Turn whatever a decoder raises into a :class:`DataError`, without its warnings."""
    with without_warnings():
        try:
            yield
        except TapetumError:
            raise
        except UnidentifiedImageError as error:
            # HEIF is known from the first such file on; equal files have equal messages.
            names = (name for name in _formats() if name != "HEIF")
            known = f"a known format ({', '.join(names)})"
            raise DataError(f"not an image in {known}", "convert it to PNG") from error
        except MemoryError as error:
            problem = "the memory is too small for it"
            raise DataError(problem, "make it smaller, or use another device") from error
        except Exception as error:  # decoders of untrusted bytes raise almost any exception
            raise DataError(
                f"it is damaged ({' '.join(str(error).split())[:200] or type(error).__name__})",
                "copy the file again or leave it out",
            ) from error


def extra(module: str, name: str) -> Any:
    """Import a module of an optional package.

    Raises:
        DataError: The package is not installed; the remedy names the extra of Tapetum.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = MissingExtraError.of(module.split(".")[0], name)
        raise DataError(missing.problem, missing.remedy) from error


def add_heif() -> None:
    """Let Pillow read HEIC files."""
    extra("pillow_heif", "heif").register_heif_opener()
    _formats.cache_clear()


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this build of Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _require_regular(path: Path) -> None:
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise DataError("it is a folder", "give a file")
    if not stat.S_ISREG(mode):
        raise DataError("it is not a regular file but a pipe or device", "copy the image to a file")
    if not os.stat(path).st_size:
        raise DataError("the file is empty", "copy it again")
