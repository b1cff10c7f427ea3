"""What the scripts of the project find: bypassed faces, long sentences, commands and helps."""

import html
import json
import re
from pathlib import Path

import commands
import house
import pytest
import tables

ALL_COMMANDS = list(commands.commands())


@pytest.fixture
def two_rooms(tmp_path: Path) -> Path:
    """A package of the rooms ``tower`` and ``cellar``; ``cellar`` exports one name."""
    package = tmp_path / "src" / "tapetum"
    for room in ("tower", "cellar"):
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").write_text("__all__ = ['Barrel']\n")
    (package / "cellar" / "racks.py").write_text("class Barrel: ...\n")
    return package


@pytest.mark.parametrize(
    "line",
    [
        "from tapetum.cellar.racks import Barrel",
        "from tapetum.cellar import racks",
        "import tapetum.cellar.racks",
        "def f():\n    from tapetum.cellar.racks import Barrel",
    ],
)
def test_a_bypassed_face_is_found(two_rooms: Path, line: str) -> None:
    """Each way of reaching past the face of a room gives one message with the place."""
    (two_rooms / "tower" / "stairs.py").write_text(line)
    messages = house.bypass_messages(two_rooms, two_rooms)
    assert len(messages) == 1
    assert messages[0].startswith("tapetum/tower/stairs.py:")
    assert "import it from tapetum.cellar" in messages[0]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("tower/stairs.py", "from tapetum.cellar import Barrel"),
        ("tower/stairs.py", "import tapetum.cellar"),
        ("cellar/door.py", "from tapetum.cellar.racks import Barrel"),
    ],
)
def test_a_face_and_the_own_room_may_be_imported(two_rooms: Path, file: str, line: str) -> None:
    """Exported names are for everybody, and a room may import its own modules."""
    (two_rooms / file).write_text(line)
    assert not house.bypass_messages(two_rooms, two_rooms)


@pytest.mark.parametrize("folder", [house.PACKAGE, house.PAPER], ids=lambda path: path.name)
def test_imports_go_through_the_faces_of_rooms(folder: Path) -> None:
    """Neither the product nor the paper reaches past the face of a room."""
    assert not house.bypass_messages(folder)


def test_names_to_change_a_room_are_its_face_and_its_imports(two_rooms: Path) -> None:
    """A name counts once, whether it is exported or imported."""
    (two_rooms / "tower" / "stairs.py").write_text("from tapetum.cellar import Barrel, Cask")
    assert house.names_to_change("tower", two_rooms) == {"Barrel", "Cask"}


def test_prose_is_counted_and_code_is_not(tmp_path: Path) -> None:
    """Sentences of paragraphs and lists count; code, tables, headings and images do not."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading of five words\n\nThree short words. [A link](a/b.md) has five words.\n"
        "- One item here\n\n    an indented block of code\n\n```\na fenced block\n```\n"
        "| a | table |\n![an image of words](x.png)\n"
    )
    assert house.sentence_lengths([page]) == [3, 5, 3]


def test_the_reference_has_every_command_and_option() -> None:
    """The generated page names each command in a heading, and each of its options in a row."""
    sections = re.split(r"^##+ ", commands.reference(), flags=re.MULTILINE)
    texts = {section.partition("\n")[0]: section for section in sections}
    for command in ALL_COMMANDS:
        for parameter in command.parameters:
            shown = parameter.get_help_record(command.context)[0].split()[0]
            assert shown in html.unescape(texts[command.name])


def test_every_command_is_walked() -> None:
    """Groups are entered, and nothing is left out."""
    names = {command.name for command in ALL_COMMANDS}
    assert {"tapetum", "tapetum fit", "tapetum latency", "tapetum latency measure"} <= names


@pytest.mark.parametrize("page", tables.PAGES)
def test_tables_of_documents_are_those_of_the_results(page: str) -> None:
    """No figure of a document differs from its file; ``scripts/render_docs`` writes them anew."""
    assert (house.ROOT / page).read_text() == tables.filled(page)


def test_the_trainings_that_the_documents_show_make_no_image_worse() -> None:
    """At no level is the network below the noisy image, and a clean one is kept."""
    file = tables.ROOT / "benchmarks" / "results" / "never_worse.json"
    runs = [row for row in json.loads(file.read_text())["runs"] if "levels" in row]
    levels = [level for row in runs for level in row["levels"].values()]
    assert all(level["network_db"] > (level["noisy_db"] or 45) for level in levels)
    assert len(levels) >= 14
