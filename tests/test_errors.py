"""Laws of the error messages."""

from tapetum import errors
from tapetum.errors import InputError, TapetumError, nearest


def test_a_message_says_the_problem_and_then_the_remedy() -> None:
    """One sentence: what was found, then what to do."""
    assert str(InputError("no image in x", "give another folder")) == (
        "no image in x; give another folder"
    )


def test_every_error_has_the_one_parent() -> None:
    """Whoever catches the parent catches them all."""
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(classes) == 8
    assert all(issubclass(error, TapetumError) for error in classes)


def test_the_tree_in_the_docstring_names_every_error() -> None:
    """What is drawn is what there is."""
    assert errors.__doc__ is not None
    assert all(name in errors.__doc__ for name in errors.__all__ if name.endswith("Error"))


def test_a_slip_of_the_keyboard_is_recognised() -> None:
    """The nearest name is offered, and all of them listed."""
    assert nearest("unet-z", ["conv-l", "unet-s"]).startswith("did you mean 'unet-s'?")
    assert nearest("zebra", ["conv-l", "unet-s"]) == "known: conv-l, unet-s"
