"""The options that belong to a method of a fit."""

import commands

from tapetum.jobs.methods import _METHODS_OF, option_of


def test_every_refused_option_can_be_typed() -> None:
    """A refusal names an option as the help page of ``tapetum fit`` does."""
    (fit,) = (one for one in commands.commands() if one.words == ("tapetum", "fit"))
    typed = {each.name: each.opts for each in fit.parameters}
    for argument in _METHODS_OF:
        assert option_of(argument) in typed[argument]
