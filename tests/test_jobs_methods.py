"""The options that belong to a method of a fit."""

import commands
import pytest

from tapetum.errors import InputError
from tapetum.jobs.methods import _METHODS_OF, option_of, parse_targets


def test_every_refused_option_can_be_typed() -> None:
    """A refusal names an option as the help page of ``tapetum fit`` does."""
    (fit,) = (one for one in commands.commands() if one.words == ("tapetum", "fit"))
    typed = {each.name: each.opts for each in fit.parameters}
    for argument in _METHODS_OF:
        assert option_of(argument) in typed[argument]


@pytest.mark.parametrize("text", ["8,8", "8.0000001,8"])
def test_two_budgets_of_one_folder_are_refused(text: str) -> None:
    """Folders are named by the budget, to six digits."""
    with pytest.raises(InputError, match="names a budget twice"):
        parse_targets(text)
