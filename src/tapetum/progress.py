"""How a long job tells the one who waits how far it is."""

from typing import Protocol, runtime_checkable

__all__ = ["ProgressCallback", "silent"]


@runtime_checkable
class ProgressCallback(Protocol):
    """Is told how far a long job is, such as to draw a bar."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """``done`` of ``total`` steps are behind; ``message`` says what goes on, for people."""


def silent(done: int, total: int, message: str) -> None:
    """For those who do not want to know."""
