"""The interface of progress callbacks."""

from typing import Protocol, runtime_checkable

__all__ = ["ProgressCallback", "silent"]


@runtime_checkable
class ProgressCallback(Protocol):
    """A function that is called with the progress of a long job."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """Report ``done`` of ``total`` steps; ``message`` says what is being done, for people."""


def silent(done: int, total: int, message: str) -> None:
    """Ignore progress."""
