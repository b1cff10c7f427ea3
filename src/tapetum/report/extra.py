"""Packages that only pages and plots need, and what to say where they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from tapetum.errors import MissingExtraError

__all__ = ["drawing_extra"]


@contextmanager
def drawing_extra() -> Iterator[None]:
    """Turns the failed import of an optional package into the sentence that says what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"pages and plots need {error.name}, which is not installed here",
            "run: pip install 'tapetum[train]'",
        ) from error
