"""Every ``--help`` page: a committed snapshot, and full sentences in plain English."""

import re
from collections.abc import Iterator

import commands
import pytest

from tapetum.training.recipe import IMAGES, QUICK

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


# Options that really have no default, the length, which another option says, and a flag.
WITHOUT = {"labels", "layout", "group_by", "ray", "beside", "data_root"}
WITHOUT |= {"epochs", "steps", "learns_depth"}


@pytest.mark.parametrize("name", ["fit", "search", "train"])
def test_a_default_that_is_not_the_value_itself_is_shown_in_words(name: str) -> None:
    """An option whose value is empty unless it is given says what happens then."""
    (command,) = [one for one in commands.commands() if one.words == ("tapetum", name)]
    silent = {
        one.name
        for one in command.parameters
        if one.param_type_name == "option" and one.default is None and not one.required
        if not isinstance(one.show_default, str)
    }
    assert silent <= WITHOUT


def test_the_defaults_in_words_are_those_of_the_recipe() -> None:
    """A change of the default recipes shows up in the help of ``tapetum train``."""
    (command,) = [one for one in commands.commands() if one.words == ("tapetum", "train")]
    shown = {one.name: getattr(one, "show_default", "") for one in command.parameters}
    assert shown["recipe"] == f"{IMAGES.name}; for digits {QUICK.name}"
    ends = [(IMAGES.noise.low, IMAGES.noise.high), (QUICK.noise.levels[0], QUICK.noise.levels[-1])]
    words = [f"gaussian:{low:g}-{high:g}" for low, high in ends]
    assert shown["noise"] == "; for digits ".join(words)
    assert shown["protocol"] == IMAGES.noise.protocol
    assert shown["balance"] == IMAGES.balance
    assert shown["crop_scale"] == str(IMAGES.augmentation.crop_scale)
    assert shown["brightness"].startswith(str(IMAGES.augmentation.brightness))
    assert shown["seed"] == str(IMAGES.seed)


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
