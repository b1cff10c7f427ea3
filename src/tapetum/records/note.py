"""A sentence that a user should know, with how much it matters."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = ["Note", "Weight", "by_weight"]


class Weight(IntEnum):
    """How much a note matters: the smallest number comes first."""

    RESULT = 0  # a budget that is missed, or scores worse than those of doing nothing
    DATA = 1  # what the images lack, or what is wrong with them
    TRAINING = 2  # a training, or a choice, that is not as planned
    REMARK = 3  # anything else


class Note(str):
    """A sentence, without a full stop as a rule, that is used like any text.

    Its weight is given where it is made. JSON keeps it; a plain text is read as a remark.

    Attributes:
        weight: How much it matters.
    """

    weight: Weight

    def __new__(cls, text: str, weight: Weight = Weight.REMARK) -> "Note":
        """Return a text with a weight."""
        note = super().__new__(cls, text)
        note.weight = weight
        return note

    @classmethod
    def of(cls, text: str) -> "Note":
        """Return a text as a note; one that has no weight is a remark."""
        return text if isinstance(text, Note) else cls(text)

    def changed(self, text: str) -> "Note":
        """Return other words of the same weight."""
        return Note(text, self.weight)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read a text or an object with its weight; write an object."""
        del handler
        return core_schema.no_info_plain_validator_function(
            cls._read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda note: {"text": str(note), "weight": cls.of(note).weight.name.lower()}
            ),
        )

    @classmethod
    def _read(cls, value: Any) -> "Note":
        if isinstance(value, str):
            return cls.of(value)
        if isinstance(value, dict) and value.keys() == {"text", "weight"}:
            name = str(value["weight"]).upper()
            if name in Weight.__members__:
                return cls(str(value["text"]), Weight[name])
        raise ValueError("a note is a text, or an object with text and weight")


def by_weight(texts: Iterable[str]) -> tuple[Note, ...]:
    """Return each text once, what matters most first; equal ones keep their order."""
    notes = dict.fromkeys(map(Note.of, texts))
    return tuple(sorted(notes, key=lambda note: note.weight))
