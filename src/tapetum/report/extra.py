"""Packages that only pages and plots need, and what to say where they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from tapetum.errors import missing_extra

__all__ = ["drawing_extra"]


@contextmanager
def drawing_extra() -> Iterator[None]:
    """Turns the failed import of an optional package into the sentence that says what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "a package", "train") from error
