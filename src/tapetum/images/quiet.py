"""Keep the warnings of image libraries off the terminal, for each thread.

Pillow's limit of pixels is the same on every device. It is lifted meanwhile, for the limit of
:mod:`tapetum.images.facts` follows from the memory.
"""

import ctypes
import functools
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

__all__ = ["without_warnings"]

_lock = threading.Lock()
_here = threading.local()  # .is_quiet: whether warnings of this thread are left out
_open = 0
_saved: "warnings.catch_warnings[Any]"
_saved_limit: int | None
_MOST_PIXELS = 1 << 31

# Without a handler of its own, a library's log goes to the terminal.
for _name in ("PIL", "tifffile", "pydicom"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


@contextmanager
def without_warnings() -> Iterator[None]:
    """Leave out the warnings that this thread gives inside the block.

    Filters of warnings belong to the process, so the first thread replaces them and the last one
    puts them back. Warnings of other threads are shown as before.
    """
    _silence_libtiff()
    outer = getattr(_here, "is_quiet", False)
    _enter()
    _here.is_quiet = True
    try:
        yield
    finally:
        _here.is_quiet = outer
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


def _show(shown: Callable[..., None], *given: Any, **named: Any) -> None:
    if not getattr(_here, "is_quiet", False):
        shown(*given, **named)


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
