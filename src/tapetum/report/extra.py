"""Turn missing packages for reports into a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from tapetum.errors import MissingExtraError

__all__ = ["drawing_extra"]


@contextmanager
def drawing_extra() -> Iterator[None]:
    """Turn the failed import of an optional package into a :class:`MissingExtraError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(error.name or "a package", "train") from error
