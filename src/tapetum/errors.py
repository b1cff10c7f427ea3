"""The errors that Tapetum raises on purpose.

::

    TapetumError
    ├── InputError
    │   ├── ArchitectureError
    │   ├── DataError
    │   ├── PackageError
    │   └── RunError
    ├── MissingExtraError
    └── TrainingError

Each message says what was requested, what was found and what to do next; the command line prints it
as one sentence and exits with code 2.
"""

from collections.abc import Iterable
from typing import Self

__all__ = [
    "ArchitectureError",
    "DataError",
    "InputError",
    "MissingExtraError",
    "PackageError",
    "RunError",
    "TapetumError",
    "TrainingError",
    "nearest",
]


class TapetumError(Exception):
    """The parent of all errors of Tapetum.

    Example:
        >>> import tapetum
        >>> try:
        ...     tapetum.find_architecture("unet_s")
        ... except tapetum.TapetumError as error:
        ...     print(error.problem)
        there is no architecture 'unet_s'

    Args:
        problem: What was requested and what was found, without a full stop.
        remedy: What to do next, without a full stop.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class InputError(TapetumError):
    """A request is impossible with the given input."""


class ArchitectureError(InputError):
    """An architecture contradicts itself, or a name is unknown."""


class DataError(InputError):
    """Images, folders or digits cannot be used."""


class PackageError(InputError):
    """A ``.tapetum`` file does not fit what this version can run."""


class RunError(InputError):
    """A folder is in use, unfinished, or of another request."""


class MissingExtraError(TapetumError):
    """An optional package is not installed."""

    @classmethod
    def of(cls, package: str, extra: str) -> Self:
        """Return the error for a package that an extra of Tapetum installs, such as ``train``."""
        return cls(
            f"this needs {package}, which is not installed",
            f"install it in the folder of the clone: pip install '.[{extra}]'",
        )


class TrainingError(TapetumError):
    """A training cannot go on; its last good state is kept."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known words and the most similar one, as the remedy of an error.

    The text is such as ``did you mean 'unet-s'? known: unet, unet-m, unet-s``.
    """
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    question = f"did you mean {close[0]!r}? " if close else ""
    return f"{question}known: {', '.join(names)}"
