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
        └── InterruptedTrainingError

Each message says what was requested, what was found and what to do next; the command line prints it
as one sentence and exits with code 2, or with 130 after Ctrl-C.
"""

import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

__all__ = [
    "ArchitectureError",
    "DataError",
    "InputError",
    "InterruptedTrainingError",
    "MissingExtraError",
    "PackageError",
    "RunError",
    "TapetumError",
    "TrainingError",
    "nearest",
    "needs_extra",
    "of_system",
    "printable",
]

MOST_CHARACTERS = 1500  # of a problem, and of a remedy
# Control characters, separators of lines, marks that turn the direction of text, and halves of
# surrogate pairs, which stand for the bytes of a file name that is not UTF-8.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return a text of unknown origin in one line that a terminal shows and does not obey.

    Characters that would move the cursor, begin a line or change colours are written as Python
    escapes them, such as ``\x1b``.
    """
    return _UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], text)


def _sentence(text: str) -> str:
    """Return a part of a message: printable, and cut where it is very long."""
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS - 300]} [...] {text[-250:]}"
    return printable(text)


class TapetumError(Exception):
    """The parent of all errors of Tapetum.

    Example:
        >>> import tapetum
        >>> try:
        ...     tapetum.find_architecture("unet_s")
        ... except tapetum.TapetumError as error:
        ...     print(error.problem)
        there is no architecture 'unet_s'

    Names of files and of classes may stand in a message: it is always one printable line of a
    bounded length.

    Args:
        problem: What was requested and what was found, without a full stop.
        remedy: What to do next, without a full stop.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem, self.remedy = _sentence(problem), _sentence(remedy)
        super().__init__(self.problem, self.remedy)

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


@contextmanager
def needs_extra(extra: str, package: str | None = None) -> Iterator[None]:
    """Turn the failed import of a package into a :class:`MissingExtraError`.

    Args:
        extra: The extra of Tapetum that installs it.
        package: Its name for people; by default that of the module that is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(package or error.name or "a package", extra) from error


class TrainingError(TapetumError):
    """A training cannot go on; its last good state is kept."""


class InterruptedTrainingError(TrainingError):
    """A signal has ended a training, as it was asked to; its state is kept.

    Args:
        problem: See :class:`TapetumError`.
        remedy: See :class:`TapetumError`.
        signal_number: The signal.
    """

    def __init__(self, problem: str, remedy: str = "", *, signal_number: int | None = None) -> None:
        super().__init__(problem, remedy)
        self.signal_number = signal.SIGINT if signal_number is None else signal_number


def of_system(error: OSError) -> TapetumError:
    """Return an error of the operating system in words, such as a full disk."""
    where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    remedy = "check the path, its permissions and the free space"
    return TapetumError(f"{where}{error.strerror or error}", remedy)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known words and the most similar one, as the remedy of an error.

    The text is such as ``did you mean 'unet-s'? known: unet, unet-m, unet-s``.
    """
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(str(word), names, n=1)
    question = f"did you mean {close[0]!r}? " if close else ""
    return f"{question}known: {', '.join(names)}"
