"""Every stored result parses with the records of today."""

import json
import shutil
from pathlib import Path

import pytest

from tapetum.latency import LatencyTable
from tapetum.records import Record
from tapetum.training import Recipe, Result
from tapetum_paper import ALL, Scale, gather
from tapetum_paper.climb import Climb
from tapetum_paper.latencies import TableCheck
from tapetum_paper.plan import CellResult
from tapetum_paper.results import OLD_SEARCH, result_path
from tapetum_paper.searching import quality
from tapetum_paper.side_by_side import SideBySide

ROOT = Path(__file__).parent.parent / "results"
REPRODUCED = ROOT / "reproduction"
SCORED = ("demo.json", "mixed_loss.json", "swift_16_epochs.json")


def kind_of(path: Path) -> type[Record] | None:
    """The record that a file holds; ``None`` where a study wrote plain JSON."""
    parent = path.parent.relative_to(ROOT)
    if parent.parts[:1] == ("reproduction",):
        return {"latency": SideBySide, "tables": LatencyTable}.get(path.parent.name, CellResult)
    if parent.parts[:1] == ("latency",):
        return TableCheck if "nas" in path.name else None
    if path.name == "minutes_to_the_paper.json":
        return Climb
    return Result if "scores" in json.loads(path.read_text()) else None


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.json")), ids=lambda path: path.stem)
def test_a_result_parses(path: Path) -> None:
    """No field was renamed behind its back; studies say where they ran."""
    kind = kind_of(path)
    if kind is None:
        found = json.loads(path.read_text())
        assert "provenance" in found or path.name in ("compose_digits.json", "table_7_cost.json")
        if "recipe" in found:
            Recipe.model_validate(found["recipe"])
    else:
        kind.read(path)


@pytest.mark.parametrize("scale", Scale)
def test_a_result_is_of_the_cell_of_today(scale: Scale) -> None:
    """A stored result belongs to an experiment whose settings have not changed since."""
    known = {slug for make in ALL for slug in gather(make(scale), REPRODUCED).by_slug}
    folders = (REPRODUCED / scale, REPRODUCED / scale / OLD_SEARCH)
    assert known == {path.stem for folder in folders for path in folder.glob("*.json")}


def test_a_result_of_the_old_search_is_marked(tmp_path: Path) -> None:
    """Until its cell has a result: then neither scores nor latency are those of the old one."""
    scale, experiment = Scale.small, quality(Scale.small)
    shutil.copytree(REPRODUCED / scale / OLD_SEARCH, tmp_path / scale / OLD_SEARCH)
    shutil.copytree(REPRODUCED / scale / "latency", tmp_path / scale / "latency")
    row = experiment.rows[0]
    before = gather(experiment, tmp_path)
    assert before.title(row) == f"{row.title} (old search)"
    assert all(done.timing is not None for done in before.of(row))
    cell = row.cells[0]
    old = before.by_slug[cell.slug]
    old.model_copy(update={"cell": cell}).write(result_path(tmp_path, scale, cell))
    after = gather(experiment, tmp_path)
    (done,) = after.of(row)
    assert after.title(row) == row.title
    assert done.timing is None
