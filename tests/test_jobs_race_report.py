"""Laws of the table of a race."""

import pytest

from tapetum.arch import ShapeSpace
from tapetum.jobs.race_report import described, race_tables
from tapetum.latency import Timing
from tapetum.provenance import Provenance
from tapetum.search import Candidate, RaceResult
from tapetum.search.race_records import Entry, Rung

SPACE = ShapeSpace(width_step=16, size_px=32, image_channels=1, num_classes=2)


def race_of(*entries: Entry, winner: str) -> tuple[RaceResult, list[Candidate]]:
    """A race of one rung, and its candidates."""
    names = tuple(entry.name for entry in entries)
    result = RaceResult(
        winner=winner,
        ties=tuple(name for name in names if name != winner),
        order=names,
        rungs=(Rung(seconds=60, num_images=7, num_views=7, entries=entries),),
        minutes=1,
        seconds=60,
        workers=1,
        waiting=1,
        provenance=Provenance.model_construct(),
    )
    timing = Timing.model_construct(median_ms=0.5)
    shapes = [SPACE.rule(cost) for cost in (1e6, 1e7, 1e8)]
    made = [
        Candidate.model_construct(name=name, shape=shape, timing=timing)
        for name, shape in zip(names, shapes, strict=False)
    ]
    return result, made


@pytest.mark.parametrize(("delivered", "row"), [("rule", 0), ("plain-dc-net", 1), (None, None)])
def test_the_winner_is_first_and_what_is_delivered_stands_out(
    delivered: str | None, row: int | None
) -> None:
    """Also where another one is ahead; a network that was corrected afterwards is named."""
    ahead = Entry(name="plain-dc-net", psnr_db=26, behind=0.0, behind_error=0.5)
    chosen = Entry(name="rule", psnr_db=25, behind=0.4, behind_error=0.5)
    result, candidates = race_of(ahead, chosen, winner="rule")
    shape = {one.name: one.shape for one in candidates}.get(str(delivered), SPACE.largest())
    (table,) = race_tables(result, candidates, shape)
    assert table.rows[0][0].startswith("default network (winner)")
    assert table.rows[1][0].startswith("plain DC-Net (tied with the winner)")
    assert table.highlighted == (() if row is None else (row,))
    corrected = f"Corrected for the budget after the race: {described(shape)} is delivered."
    assert (corrected in table.note) == (row is None)


@pytest.mark.parametrize("accuracy", [None, 0.9])
def test_a_race_of_denoisers_has_no_column_of_labels(accuracy: float | None) -> None:
    """A column without a value says nothing."""
    one = Entry(name="rule", psnr_db=25, macro_accuracy=accuracy)
    (table,) = race_tables(*race_of(one, winner="rule"), SPACE.smallest())
    assert ("macro accuracy, %" in table.header) is (accuracy is not None)
