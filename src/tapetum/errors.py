"""Everything that Tapetum raises on purpose.

::

    TapetumError
    ├── InputError               what was asked cannot be done with what was given
    │   ├── ArchitectureError    a description that contradicts itself, or an unknown name
    │   ├── DataError            images, folders, digits
    │   ├── PackageError         a .tapetum file that does not fit
    │   └── RunError             a run folder that is taken, unfinished or of another request
    ├── MissingExtraError        a part of Tapetum that is not installed here
    └── TrainingError            a training that cannot go on (its last good state is kept)

Catch :class:`TapetumError` to catch them all.  Each message says what was asked, what was found
and what to do next; the command line prints it as one sentence and exits with code 2.
"""

from collections.abc import Iterable, Mapping

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
    "require_effect",
]


class TapetumError(Exception):
    """The parent of every error that Tapetum raises on purpose.

    Args:
        problem: What was asked and what was found, without a full stop.
        remedy: What to do next, without a full stop.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class InputError(TapetumError):
    """What was asked cannot be done with what was given."""


class ArchitectureError(InputError):
    """A description that contradicts itself, or a name that no architecture has."""


class DataError(InputError):
    """Images, folders or digits that cannot be used."""


class PackageError(InputError):
    """A ``.tapetum`` file that does not fit what this version can run."""


class RunError(InputError):
    """A run folder that is taken, unfinished, or holds another request."""


class MissingExtraError(TapetumError):
    """A part of Tapetum that is not installed here."""


class TrainingError(TapetumError):
    """A training that cannot go on; its last good state is kept."""


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


def require_effect(
    given: Mapping[str, bool], *, where: str, kind: type[InputError] = InputError
) -> None:
    """Refuses options that would be passed over without a word.

    Args:
        given: Options that have no effect, and whether each was given.
        where: They have none, such as ``on a folder``.
        kind: Of the error.

    Raises:
        InputError: One was given; all of them are named.
    """
    idle = [name for name, is_given in given.items() if is_given]
    if idle:
        raise kind(f"{', '.join(idle)} has no effect {where}", "leave it out")


def nearest(word: str, known: Iterable[str]) -> str:
    """Names the known words, the most similar first, for the end of an error message.

    Args:
        word: What was asked for.
        known: What would have been accepted.

    Returns:
        Such as ``did you mean 'unet-s'? known: unet, unet-m, unet-s``.
    """
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    question = f"did you mean {close[0]!r}? " if close else ""
    return f"{question}known: {', '.join(names)}"
