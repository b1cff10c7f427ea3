"""Packages that only a page needs, and what to say where they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from tapetum.errors import MissingExtraError

__all__ = ["demo_extra"]


@contextmanager
def demo_extra() -> Iterator[None]:
    """Turns the failed import of an optional package into the sentence that says what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the page of a run needs {error.name}, which is not installed here",
            "run: pip install 'tapetum[train]'",
        ) from error
