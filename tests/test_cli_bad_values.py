"""Every option with a bad value: one sentence with the option, what is possible and an example."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import commands
import pytest
from typer.testing import CliRunner

from tapetum.cli.app import app

# Options that take any text, such as a path; what they name is looked for later.
FREE = {
    *("--out", "--data", "--labels", "--boxes", "--beside", "--latency", "--data-root"),
    *("--group-by", "--recipe", "--search-recipe", "--space", "--ray", "--provider", "--format"),
    *("--shard", "--version", "--start", "--token-file", "--web-runtime", "--calibrate", "--host"),
    *("--source", "--ssh", "--ssh-option", "--python", "--against"),
}
NOT_NUMBERS = ("abc", "-1", "nan", "1e999")
BAD = {
    "KIND:LOW-HIGH": ("foo", "rain:0-1"),
    "LEVEL": ("foo", "rain:0.1"),
    "HxW": ("foo", "480", "480x-1"),
    "INT[,INT...]": ("abc", "-1", "1,1"),
    "MS[,MS...]": ("abc", "-1", "1,1"),
}


class Case(NamedTuple):
    """An option of a command, with a value that it cannot take."""

    command: commands.Command
    option: Any
    value: str

    def run(self, tmp_path: Path) -> str:
        """Return the sentence that refuses the value."""
        words = [*self.command.words[1:]]
        for each in self.command.parameters:
            if each.required and each.name != self.option.name:
                flags = [each.opts[0]] if each.param_type_name == "option" else []
                words += [*flags, "8" if "target" in each.name else str(tmp_path / "none")]
        result = CliRunner().invoke(app, [*words, f"{self.option.opts[0]}={self.value}"])
        assert result.exit_code == 2, (self, result.output)
        assert list(tmp_path.iterdir()) == []
        return " ".join(result.stderr.split())


def has_choices(option: Any, command: commands.Command) -> bool:
    """Return whether an option has a fixed set of values."""
    record = option.get_help_record(command.context)
    return option.metavar == "NAME" or "|" in record[0].partition("[")[0].replace("MS[", "")


def options() -> Iterator[tuple[commands.Command, Any]]:
    """Yield every option of every command that takes a value."""
    for command in commands.commands():
        for option in command.parameters:
            if option.param_type_name == "option" and not option.is_flag:
                yield command, option


def cases() -> Iterator[Case]:
    """Yield every option with each bad value of its kind."""
    for command, option in options():
        if set(option.opts) & FREE:
            continue
        values = NOT_NUMBERS if option.metavar in ("INT", "NUMBER") else ("bogus",)
        for value in BAD.get(option.metavar or "", values):
            yield Case(command, option, value)


ALL = list(cases())


@pytest.mark.parametrize(
    "case", ALL, ids=[f"{c.command.name} {c.option.opts[0]} {c.value}" for c in ALL]
)
def test_a_bad_value_is_told_what_is_possible(case: Case, tmp_path: Path) -> None:
    """What was given, what is possible, and an example; exit code 2, and nothing is written."""
    told = case.run(tmp_path)
    assert told.startswith("error: ")
    assert case.value in told
    assert re.search(r"; (give|did you mean|use) ", told), told
    assert not re.search(r"Input should|Value error|parse string", told), told
    if case.option.metavar in ("INT", "NUMBER", "NAME"):
        assert case.option.opts[0] in told
        example = re.search(r"such as (--[a-z-]+) (\S+)$", told)
        assert example is not None, told
        assert example[1] in case.option.opts


def test_the_options_are_those_that_are_walked() -> None:
    """Each is a number, has a syntax that is tried above, has choices, or takes any text."""
    syntaxes = {"INT", "NUMBER", "NAME", *BAD}
    rest = {
        f"{command.name} {option.opts[0]}"
        for command, option in options()
        if not set(option.opts) & FREE and option.metavar not in syntaxes
    }
    assert rest == set()


def test_a_mistyped_option_is_one_sentence(tmp_path: Path) -> None:
    """So is a missing argument, and an option without its value."""
    for words, said in (
        (["fit", "photos", "--epoch", "3"], "no such option: --epoch"),
        (["fit", "photos", "--out", str(tmp_path / "a")], "missing option '--target-ms'"),
        (["fit"], "missing argument"),
    ):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2
        assert said in result.stderr
        assert "'tapetum fit --help'" in result.stderr or "--help" in result.stderr


def test_an_unknown_command_is_one_sentence() -> None:
    """As any other bad input, also in a group of commands and for an option before the command."""
    for words, said in (
        (["fitt"], "there is no command 'tapetum fitt'; did you mean 'fit'? known: benchmark,"),
        (
            ["latency", "checks"],
            "there is no command 'tapetum latency checks'; did you mean 'check'?",
        ),
        (["--verson", "fit"], "no such option: --verson"),
    ):
        result = CliRunner().invoke(app, words, prog_name="tapetum")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"error: {said}")
