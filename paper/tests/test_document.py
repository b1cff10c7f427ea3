"""Laws of the rendered tables: documents say what the result files say."""

from pathlib import Path

import pytest

from tapetum.errors import InputError
from tapetum_paper.document import (
    DOCUMENTS,
    drawings,
    fill,
    sections,
    shown_experiments,
)
from tapetum_paper.drawing import fingerprint_of
from tapetum_paper.markdown import IMAGES, markdown_table

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    """Every section of the stored results."""
    return sections(ROOT / "results")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_equals_its_results(name: str, rendered: dict[str, str]) -> None:
    """Rendering again changes nothing: no number was typed, none is stale."""
    text = (ROOT / name).read_text()
    assert "<!-- begin: " in text
    assert fill(text, rendered) == text


def test_a_drawing_is_of_the_kept_results() -> None:
    """A figure in a document shows what the result files say, and no figure is left over."""
    folder, shown = ROOT / "docs" / IMAGES, drawings(ROOT / "results")
    assert {drawing.name: drawing.fingerprint for drawing in shown} == {
        path.name: found for path in folder.glob("*.png") if (found := fingerprint_of(path))
    }


def test_the_reproduction_shows_every_experiment() -> None:
    """Each at the scales small and paper, run or not."""
    pages = ("reproduction.md", "reproduction_search.md")
    text = "".join((ROOT / "docs" / page).read_text() for page in pages)
    for experiment in shown_experiments():
        assert f"<!-- begin: {experiment.name}_{experiment.scale} (" in text


def test_only_marked_sections_change() -> None:
    """What stands around a section stays; what stood in it goes."""
    text = "a\n<!-- begin: x (y) -->\nold\n<!-- end: x -->\nb\n"
    assert fill(text, {"x": "new"}) == "a\n<!-- begin: x (y) -->\nnew\n<!-- end: x -->\nb\n"
    assert fill(fill(text, {"x": "new"}), {"x": "new"}) == fill(text, {"x": "new"})


def test_an_unknown_section_is_refused() -> None:
    """A slip in a marker does not pass unseen."""
    with pytest.raises(InputError, match="there is no section 'z'"):
        fill("<!-- begin: z (y) -->\n<!-- end: z -->", {"x": "new"})


def test_a_document_can_be_rendered_without_results(tmp_path: Path) -> None:
    """Every section says that it was not run."""
    assert all("not run" in text for text in sections(tmp_path).values())


def test_a_damaged_result_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "minutes_to_the_paper.json").write_text("{")
    with pytest.raises(InputError, match=r"minutes_to_the_paper\.json"):
        sections(tmp_path)


def test_a_table_has_a_line_for_each_row() -> None:
    """Header, rule, rows."""
    table = markdown_table(("a", "b"), [("c", "1"), ("d", "2")])
    assert table == "| a | b |\n| --- | ---: |\n| c | 1 |\n| d | 2 |"
