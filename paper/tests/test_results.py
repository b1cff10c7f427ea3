"""Every stored result parses with the records of today."""

import json
from pathlib import Path

import pytest

from tapetum.latency import LatencyTable
from tapetum.records import Record
from tapetum.training import Recipe, Result
from tapetum_paper import ALL, Scale, gather
from tapetum_paper.climb import Climb
from tapetum_paper.latencies import TableCheck
from tapetum_paper.plan import CellResult
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
    assert known == {path.stem for path in (REPRODUCED / scale).glob("*.json")}
