"""Laws of the error messages."""

import os

import pytest

from tapetum import errors
from tapetum.errors import InputError, TapetumError, nearest, printable


def test_a_message_says_the_problem_and_then_the_remedy() -> None:
    """One sentence: what was found, then what to do."""
    assert str(InputError("no image in x", "give another folder")) == (
        "no image in x; give another folder"
    )


def test_every_error_has_the_one_parent() -> None:
    """Whoever catches the parent catches them all."""
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert TapetumError in classes
    assert all(issubclass(error, TapetumError) for error in classes)


def test_the_tree_in_the_docstring_names_every_error() -> None:
    """What is drawn is what there is."""
    assert errors.__doc__ is not None
    assert all(name in errors.__doc__ for name in errors.__all__ if name.endswith("Error"))


def test_a_slip_of_the_keyboard_is_recognised() -> None:
    """The nearest name is offered, and all of them listed."""
    assert nearest("unet-z", ["conv-l", "unet-s"]).startswith("did you mean 'unet-s'?")
    assert nearest("zebra", ["conv-l", "unet-s"]) == "known: conv-l, unet-s"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("red\x1b[31m", "red\\x1b[31m"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        (os.fsdecode(b"caf\xe9.png"), "caf\\udce9.png"),
        ("défaut [x] 日本", "défaut [x] 日本"),
    ],
)
def test_a_message_is_one_printable_line(text: str, shown: str) -> None:
    """What a terminal would obey is written out; every other letter stays."""
    assert printable(text) == shown
    error = TapetumError(f"cannot read {text}", text)
    assert str(error) == f"cannot read {shown}; {shown}"
    str(error).encode()


def test_a_message_is_bounded() -> None:
    """Begin and end of an endless problem are kept."""
    error = TapetumError("begin" + "x" * 2_500_000 + "end", "y" * 9_999)
    assert len(str(error)) < 3_200
    assert error.problem.startswith("begin")
    assert error.problem.endswith("end")
