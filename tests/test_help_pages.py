"""Every ``--help`` page: a committed snapshot, and full sentences in plain English."""

import re
from collections.abc import Iterator

import commands
import pytest

FRAGMENT = re.compile(r"(Of|That|By|Where|Which|What|How|Whether|Beside)\b")


def test_help_pages_are_the_committed_ones() -> None:
    """A change of any help page shows in a diff; ``scripts/help_pages`` writes them anew."""
    committed = {path.name: path.read_text() for path in commands.SNAPSHOTS.glob("*.txt")}
    assert commands.help_pages() == committed, "run scripts/help_pages and look at the diff"


def helps() -> Iterator[tuple[str, str]]:
    """Every help of a command, an argument and an option, with its place."""
    for command in commands.commands():
        yield command.name, (command.click.help or "").partition("\n\n")[0]
        for parameter in command.parameters:
            yield f"{command.name} {parameter.opts[0]}", parameter.help or ""


def is_sentence(text: str) -> bool:
    """Whether a help starts with a capital letter, ends with a full stop and is no fragment."""
    return bool(re.match(r"[A-Z].*\.$", text, re.DOTALL)) and not FRAGMENT.match(text)


def test_helps_are_sentences() -> None:
    """No help is missing, unfinished, or a fragment such as "Of the search."."""
    assert not [f"{place}: {text}" for place, text in helps() if not is_sentence(text)]


@pytest.mark.parametrize(
    "text",
    ["Of everything.", "That will be deployed.", "By its name.", "no capital.", "No stop", ""],
)
def test_a_fragment_is_found(text: str) -> None:
    """Each kind of fragment that the test above looks for is refused."""
    assert not is_sentence(text)
