"""The command ``python -m tapetum_paper``: it runs, and every mistake ends in one sentence."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tapetum_paper.__main__ import app


def run(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sentence(result: Result) -> str:
    """The one sentence of a command that was refused."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_it_lists_what_it_can_reproduce() -> None:
    """Every table and figure of the paper that is an experiment, for people and for programs."""
    listed = run("--list")
    assert listed.exit_code == 0
    known = [f"table_{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 10)]
    known += [f"figure_{number}" for number in (3, 4, 5, 6, 8, 9)]
    known += ["quality"]  # ours
    assert all(name in listed.stdout for name in known)
    experiments = json.loads(run("--list", "--json").stdout)
    assert {experiment["name"] for experiment in experiments} == set(known)


def test_it_compares_our_results_with_the_paper(tmp_path: Path) -> None:
    """A part of a table is run, and the rest is marked as not run."""
    out = tmp_path / "out"
    result = run("table_7", "--only", "mb1-s_*", "--out", out)
    assert result.exit_code == 0, result.output
    assert "difference" in result.stdout
    assert result.stdout.count("not run") == 7 * 2
    assert (out / "results" / "smoke" / "mb1-s_smoke_seed0.json").is_file()
    again = run("table_7", "--only", "mb1-s_*", "--out", out, "--json")
    assert [done["cell"]["network"]["name"] for done in json.loads(again.stdout)] == ["mb1-s"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no table or figure was named"),
        (("table_2x",), "no experiment is called 'table_2x'"),
        (("table_7", "--only", "none"), "no cell of table_7 at the scale smoke matches 'none'"),
        (("table_7", "--data-root", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_end_in_one_sentence(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """It says what was requested and what was found, and leaves nothing behind."""
    out = tmp_path / "out"
    assert said in sentence(run(*arguments, "--out", out))
    assert not out.exists()


def test_helps_are_sentences() -> None:
    """Every option has a full sentence."""
    for parameter in app.registered_commands[0].callback.__annotations__.values():  # type: ignore[union-attr]
        for option in getattr(parameter, "__metadata__", ()):
            assert option.help[0].isupper()
            assert option.help.endswith(".")
