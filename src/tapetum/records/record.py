"""Frozen, validated data with JSON both ways: the form of everything that Tapetum stores."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from tapetum.errors import InputError
from tapetum.records.files import write_atomically
from tapetum.records.reading import parse_json, read_bytes
from tapetum.records.version import describe_unreadable

__all__ = ["FiniteOrNone", "Record", "changed", "describe_faults", "differences", "faults_are_ours"]

R = TypeVar("R", bound="Record")

_MOST_FAULTS = 20  # in one message
# What the checks of a record may run into where its values come from anywhere.
_FAULTS_OF_VALUES = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


FiniteOrNone = Annotated[float | None, AfterValidator(_finite_or_none)]
"""A measured number; one that is not finite, such as the PSNR of a perfect image, is kept as
``None``: JSON has no infinity."""


class Record(BaseModel):
    """The base of every data model: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """Return the record as indented JSON text, ending in a newline."""
        return self.model_dump_json(indent=2) + "\n"

    def write(self, path: Path) -> None:
        """Write the record to ``path`` as JSON, in one step."""
        write_atomically(path, self.to_json().encode())

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str) -> Self:
        """Read a record from JSON text; ``source`` says where it came from, in an error.

        Raises:
            InputError: The text is no JSON, or does not describe such a record; all faults at once.
        """
        finite = cls.model_config.get("ser_json_inf_nan") != "constants"
        return cls.from_values(parse_json(text, source=source, finite=finite), source=source)

    @classmethod
    def from_values(cls, values: Any, *, source: str) -> Self:
        """Read a record from the values of JSON text, as :meth:`from_json` does."""
        problem = f"{source} does not describe a {cls.__name__}"
        try:
            with faults_are_ours(problem, "correct these fields"):
                return cls.model_validate(values)
        except _FAULTS_OF_VALUES as error:
            fault = f"{problem}: its values are impossible ({type(error).__name__})"
            raise InputError(fault, "check the file") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record from a JSON file.

        Raises:
            InputError: There is no such file, or it does not describe such a record. In a folder of
                long work the error says which version wrote it.
        """
        with in_its_version(path):
            return cls.from_json(read_bytes(path), source=str(path))


def describe_faults(error: ValidationError) -> str:
    """Return the faults of a validation in one line: ``field.path: what is wrong``."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False)[:_MOST_FAULTS]:
        where = ".".join(str(part) for part in fault["loc"])
        what = fault["msg"].removeprefix("Value error, ")  # pydantic's, before words of ours
        faults.append(f"{where}: {what}" if where else what)
    more = error.error_count() - len(faults)
    return "; ".join([*faults, f"and {more} more"] if more else faults)


@contextmanager
def faults_are_ours(
    problem: str, remedy: str = "correct them", *, kind: type[InputError] = InputError
) -> Iterator[None]:
    """Raise our error, not pydantic's, where a record refuses the values of a user.

    Args:
        problem: What the values do not make; their faults follow it.
        remedy: What to do next.
        kind: The error to raise.
    """
    try:
        yield
    except ValidationError as error:
        raise kind(f"{problem}: {describe_faults(error)}", remedy) from error


@contextmanager
def in_its_version(path: Path) -> Iterator[None]:
    """Say which version wrote the folder of a file whose fields this version does not know."""
    try:
        yield
    except InputError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        raise describe_unreadable(path, error) from error.__cause__


def differences(then: Record, now: Record) -> list[str]:
    """Return the fields that differ between two records, as ``recipe.epochs was 6, is 3``."""
    return list(_differences(then.model_dump(), now.model_dump()))


def changed(record: R, changes: Mapping[str, Any], *, what: str) -> R:
    """Return a copy with some fields changed, validated again.

    Args:
        record: The record.
        changes: New values by the name of the field.
        what: Name of the record in an error, such as ``recipe 'quick'``.

    Raises:
        InputError: A value is not possible; all faults at once.
    """
    with faults_are_ours(f"{what} cannot be changed so", "correct these values"):
        return type(record).model_validate({**record.model_dump(), **changes})


def _differences(then: Any, now: Any, where: str = "") -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        parts: Iterator[tuple[Any, Any, Any]] = (
            (name, then.get(name), now.get(name)) for name in dict.fromkeys([*then, *now])
        )
    elif isinstance(then, list | tuple) and isinstance(now, list | tuple) and len(then) == len(now):
        parts = zip(range(len(then)), then, now, strict=True)
    else:
        if then != now:
            yield f"{where} was {_brief(then)}, is {_brief(now)}"
        return
    for name, old, new in parts:
        yield from _differences(old, new, f"{where}.{name}" if where else str(name))


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
