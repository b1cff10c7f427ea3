"""JSON from anywhere, read within bounds.

A file may be damaged, huge, nested without end, or made to harm: each gives one error of ours.
"""

import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from tapetum.errors import InputError

__all__ = ["open_regular", "parse_json", "read_bytes", "read_json"]

MOST_BYTES = 2**28  # 256 MiB: boxes for some million images
MOST_NESTED = 64  # lists and objects inside each other; our own records have about ten
WHOLE_NUMBERS = range(-(2**63), 2**64)  # what readers in other languages hold


def read_bytes(path: Path, *, most_bytes: int = MOST_BYTES) -> bytes:
    """Return the content of a file that is no larger than a limit.

    Raises:
        InputError: There is no such file, it cannot be read, or it is too large; or the path is
            that of a pipe or a device, which have no end.
    """
    with open_regular(path) as file:
        try:
            content = file.read(most_bytes + 1)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"cannot read {path}: {reason}", "check the path") from error
    if len(content) > most_bytes:
        raise InputError(f"{path} is larger than {most_bytes:,} bytes", "check the file")
    return content


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, but no folder, pipe or device, which have no end.

    Raises:
        InputError: There is no such file, or it cannot be opened.
    """
    try:
        file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}", "check the path") from error
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError(f"{path} is not a regular file", "check the path")
        yield file


def read_json(path: Path) -> Any:
    """Return the values of a JSON file; see :func:`parse_json`.

    Raises:
        InputError: The file cannot be read, or is not JSON.
    """
    return parse_json(read_bytes(path), source=str(path))


def parse_json(content: str | bytes, *, source: str, finite: bool = True) -> Any:
    """Return the values of JSON text; a byte order mark at its beginning is passed over.

    Args:
        content: The text; bytes are UTF-8, or UTF-16 or UTF-32 where the first bytes tell so.
        source: Where the text came from, in an error.
        finite: Whether NaN and infinity are refused, which JSON does not have.

    Raises:
        InputError: The text is not JSON, is nested deeper than any record of ours, or holds a
            number that no other reader would hold.
    """
    hooks: dict[str, Any] = {"parse_int": _whole_number}
    if finite:
        hooks |= {"parse_constant": _refuse_constant, "parse_float": _finite_number}
    text = content.removeprefix("\ufeff") if isinstance(content, str) else content
    try:
        values = json.loads(text, **hooks)
        _refuse_deep(values)
    except RecursionError as error:
        problem = f"{source} is not JSON that can be read: it is nested too deeply"
        raise InputError(problem, "check the file") from error
    except ValueError as error:  # also wrong syntax, and bytes that are no text
        raise InputError(f"{source} is not JSON: {error}", "check the file") from error
    return values


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe without a writer would block for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refuse_deep(values: Any) -> None:
    level = [values]
    for _ in range(MOST_NESTED):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict | list):
                inner += value.values() if isinstance(value, dict) else value
        if not inner:
            return
        level = inner
    raise RecursionError


def _whole_number(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in WHOLE_NUMBERS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _finite_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number that is not finite")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
