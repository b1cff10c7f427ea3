"""The errors that Tapetum raises on purpose.

::

    TapetumError
    ├── InputError               a request that is impossible with the given input
    │   ├── ArchitectureError    a description that contradicts itself, or an unknown name
    │   ├── DataError            images, folders, digits
    │   ├── PackageError         a .tapetum file that does not fit
    │   └── RunError             a folder that is in use, unfinished or of another request
    ├── MissingExtraError        an optional package that is not installed
    └── TrainingError            a training that cannot go on (its last good state is kept)

Each message says what was requested, what was found and what to do next; the command line prints it
as one sentence and exits with code 2.
"""

from collections.abc import Iterable

__all__ = [
    "ArchitectureError",
    "DataError",
    "InputError",
    "MissingExtraError",
    "PackageError",
    "RunError",
    "TapetumError",
    "TrainingError",
    "missing_extra",
    "nearest",
]


class TapetumError(Exception):
    """The parent of all errors of Tapetum.

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


class TrainingError(TapetumError):
    """A training cannot go on; its last good state is kept."""


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """Return the error for an optional package that is not installed.

    Args:
        package: Name of the package.
        extra: The extra of Tapetum that installs it, such as ``train``.
    """
    return MissingExtraError(
        f"this needs {package}, which is not installed",
        f"install it in the folder of the clone: pip install '.[{extra}]'",
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known words, with the most similar one first, for the end of an error message.

    Args:
        word: The requested word.
        known: The words to choose from.

    Returns:
        A text such as ``did you mean 'unet-s'? known: unet, unet-m, unet-s``.
    """
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    question = f"did you mean {close[0]!r}? " if close else ""
    return f"{question}known: {', '.join(names)}"
