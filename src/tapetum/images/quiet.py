"""Keep the warnings of image libraries off the terminal, and collect them for each thread.

Pillow's limit of pixels is the same on every device. It is lifted meanwhile, for the limit of
:mod:`tapetum.images.facts` follows from the memory.
"""

import ctypes
import functools
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

__all__ = ["collected_warnings"]

_lock = threading.Lock()
_here = threading.local()  # .texts: where the warnings of this thread go
_open = 0
_saved: "warnings.catch_warnings[Any]"
_saved_limit: int | None
_MOST_PIXELS = 1 << 31

# Without a handler of its own, a library's log goes to the terminal.
for _name in ("PIL", "tifffile", "pydicom"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect the warnings that this thread gives inside the block, instead of showing them.

    Filters of warnings belong to the process, so the first thread replaces them and the last one
    puts them back. Warnings of other threads are shown as before.
    """
    _silence_libtiff()
    texts: list[str] = []
    outer = getattr(_here, "texts", None)
    _enter()
    _here.texts = texts
    try:
        yield texts
    finally:
        _here.texts = outer
        _leave()


def _enter() -> None:
    global _open, _saved, _saved_limit
    with _lock:
        if _open == 0:
            _saved = warnings.catch_warnings()
            _saved.__enter__()
            shown = warnings.showwarning
            warnings.filterwarnings("always", module=r"(PIL|tifffile|pydicom|pillow_heif)\b")
            warnings.showwarning = functools.partial(_show, shown)
            _saved_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, _MOST_PIXELS
        _open += 1


def _leave() -> None:
    global _open
    with _lock:
        _open -= 1
        if _open == 0:
            _saved.__exit__(None, None, None)
            Image.MAX_IMAGE_PIXELS = _saved_limit


def _show(
    shown: Any,
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    texts = getattr(_here, "texts", None)
    if texts is None:
        shown(message, category, filename, lineno, file, line)
    else:
        texts.append(" ".join(str(message).split()))


@functools.cache
def _silence_libtiff() -> None:
    """Switch off the messages that libtiff itself prints; the same faults reach us as errors."""
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        for path in {line.split(maxsplit=5)[-1] for line in lines if "/libtiff" in line}:
            library = ctypes.CDLL(path)
            library.TIFFSetErrorHandler(None)
            library.TIFFSetWarningHandler(None)
