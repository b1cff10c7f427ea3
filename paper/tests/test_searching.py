"""The paper's search as experiments: as it prints them, run as asked, and told truly."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from made_table import made_table
from tapetum.arch import Architecture
from tapetum.arch.spec import InvertedResidual, level_channels
from tapetum.errors import InputError
from tapetum.latency import LatencyTable
from tapetum_paper import Experiment, Reproduced, Scale, gather, paper, reproduce
from tapetum_paper.searched import Searched, Target
from tapetum_paper.searching import (
    figure_4,
    figure_5,
    figure_6,
    figure_8,
    quality,
    table_2,
    table_3,
    table_4,
    table_5,
    table_6,
    table_10,
)
from tapetum_paper.side_by_side import SideBySide
from tapetum_paper.studies import STUDIES

TABLES = {
    table_2: paper.TABLE_2,
    table_3: paper.TABLE_3,
    table_4: paper.TABLE_4,
    table_5: paper.TABLE_5,
    table_6: paper.TABLE_6,
    table_10: paper.TABLE_10,
}
ALL = (*TABLES, figure_4, figure_5, figure_6, figure_8, quality)
SMOKE = STUDIES[Scale.smoke]

Make = Callable[[Scale], Experiment]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all runs, with a table for each space, so that none is measured."""
    root = tmp_path_factory.mktemp("studies")
    for searched in _searched(ALL, Scale.smoke):
        path = root / "results" / "smoke" / "tables" / f"{searched.table}.json"
        if not path.exists():
            made_table(searched.space, SMOKE.deployment.conditions).write(path)
    return root


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timings that are not spread in time: what they come to is no law."""
    monkeypatch.setattr("tapetum.latency.timing.PAUSE_S", 0.0)
    monkeypatch.setattr("tapetum.latency.timing.NUM_ROUNDS", 1)


def _searched(experiments: Sequence[Make], scale: Scale) -> list[Searched]:
    return [
        cell.network
        for make in experiments
        for cell in make(scale).cells
        if isinstance(cell.network, Searched)
    ]


def _run(make: Make, out: Path, **options: object) -> Reproduced:
    return reproduce(make(Scale.smoke), **{"out": out, "results": out / "results", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", Scale)
@pytest.mark.parametrize("make", TABLES)
def test_a_table_has_the_rows_of_the_paper(make: Make, scale: Scale) -> None:
    """In its order, each with what it prints; what we add stands behind and has nothing printed."""
    rows = make(scale).rows
    printed = TABLES[make]
    assert [row.title for row in rows][: len(printed)] == list(printed)
    for row in rows:
        wanted = [value for value in printed.get(row.title, ()) if value is not None]
        assert sorted(row.printed.values()) == sorted(wanted)


def test_the_scale_paper_is_the_published_one() -> None:
    """Section 4: SGD at 2e-2 for 90 epochs, then 2e-1 for 250, noise up to 1, equations 2 and 3."""
    for make in ALL:
        for cell in make(Scale.paper).cells:
            recipe = cell.recipe
            assert (recipe.optimizer, recipe.learning_rate, recipe.epochs) == ("sgd", 0.2, 250)
            assert recipe.loss.cross_entropy == pytest.approx(0.1)
            assert recipe.loss.ssim == pytest.approx(0.9 * 0.2)
            assert recipe.noise.levels == (0.0,) or (recipe.noise.low, recipe.noise.high) == (0, 1)
            if isinstance(cell.network, Searched):
                search = cell.network.recipe
                assert (search.learning_rate, search.epochs) == (2e-2, 90)
                assert cell.network.target.ms in (6.0, 6.7, 8.0, 12.0)
                assert cell.network.yardstick is None


def test_clean_images_where_the_paper_has_clean_ones() -> None:
    """Classifiers of section 4.1 see no noise; the others do, whatever they were searched on."""
    for make in ALL:
        is_clean = make in (table_10, figure_4, figure_5, figure_6)
        for cell in make(Scale.paper).cells:
            assert (cell.recipe.noise.levels == (0.0,)) == is_clean


@pytest.mark.parametrize("scale", Scale)
def test_what_is_made_as_slow_differs_in_width_alone(scale: Scale) -> None:
    """The paper's UNet-S and DC-Net S are as slow as they are; elsewhere they get more channels."""
    rows = {row.title: row.cells[0].network for row in table_3(scale).rows}
    for kind, usual in (("UNet", rows["UNet-S"]), ("DC-Net", rows["DC-Net S"])):
        wide = rows[f"{kind}, same latency as DC-NAS S"]
        assert isinstance(wide, Architecture)
        assert isinstance(usual, Architecture)
        if scale == Scale.paper:
            assert wide == usual
        else:
            shapes = [
                [[block.kind for block in level.blocks] for level in network.encoder]
                for network in (wide, usual)
            ]
            assert shapes[0] == shapes[1]
            assert wide.kind == usual.kind
            assert min(level_channels(wide)) > min(level_channels(usual))


def test_a_search_and_its_training_have_one_seed() -> None:
    """Two seeds are two searches; two networks of one search share its folder."""
    cells = [cell for make in ALL for cell in make(Scale.small).cells]
    searches = {}
    for cell in cells:
        if isinstance(cell.network, Searched):
            assert cell.network.recipe.seed == cell.recipe.seed
            key = (cell.network.space, cell.network.target, cell.network.recipe)
            assert searches.setdefault(cell.network.slug, key) == key
    assert len({json.dumps([s.model_dump() for s in key]) for key in searches.values()}) == len(
        searches
    )


def test_a_target_is_one_of_two_things(out: Path) -> None:
    """Milliseconds, or a share of what the space spans: 0 the fastest network, 1 the slowest."""
    table = LatencyTable.read(out / "results" / "smoke" / "tables" / "c-nas-4op.json")
    fastest, slowest = table.range
    ends = [Target(share=share).in_ms(table) for share in (0, 1)]
    assert ends == pytest.approx([fastest, slowest], abs=1e-3)
    assert Target(ms=7).in_ms(table) == 7
    for wrong in ({}, {"ms": 1, "share": 0.5}):
        with pytest.raises(ValidationError, match="give ms or share, and not both"):
            Target.model_validate(wrong)


def test_spaces_that_are_compared_get_one_latency() -> None:
    """Of other operators or of learned depth: a share of the range that the usual space has."""
    for make in ALL:
        for cell in make(Scale.small).cells:
            found = cell.network
            if isinstance(found, Searched) and found.table.startswith("c-nas"):
                ruler = found.table if found.yardstick is None else found.yardstick.table
                assert ruler == "c-nas-4op"


def test_searches_are_run_and_told(out: Path) -> None:
    """Table 10 and figure 4, which shares its searches: scores, latencies and a drawing."""
    made = _run(table_10, out)
    assert made.table is not None
    assert not any("not run" in cell for row in made.table.rows for cell in row)
    searches = sorted(path.name for path in (out / "smoke" / "searches").iterdir())
    assert len(searches) == 4
    for done in made.results:
        assert done.search is not None
        assert done.search.predicted_ms <= done.search.target_ms
        assert len(done.search.epochs) == SMOKE.search.epochs
    assert len({done.search.target_ms for done in made.results if done.search}) == 1
    drawn = _run(figure_4, out)
    assert [path.name for path in drawn.files] == ["figure_4_smoke.png"]
    assert drawn.results == made.results
    assert sorted(path.name for path in (out / "smoke" / "searches").iterdir()) == searches


def test_a_joint_network_has_the_blocks_of_the_classifier(out: Path) -> None:
    """One search gives the C-NAS, and its blocks in the order of the stages give the DC-NAS."""
    alone, joint = (
        _run(table_3, out, only=f"{name}_*", times=False).results[0].architecture
        for name in ("c-nas-s", "dc-nas-s")
    )
    assert _blocks(alone) == _blocks(joint)
    assert joint.kind == "integrated"
    names = [path.name for path in (out / "smoke" / "searches").iterdir()]
    assert len([name for name in names if name.startswith("c-nas-4op-share0.2_swift_")]) == 1


def test_a_control_is_as_slow_and_has_not_been_searched(out: Path) -> None:
    """By the table near the latency of what was found, with other blocks; no search is told."""
    table = LatencyTable.read(out / "results" / "smoke" / "tables" / "c-nas-4op.json")
    found, *controls = (
        _run(table_3, out, only=f"{name}_*", times=False).results[0]
        for name in ("dc-nas-s", "dc-nas-s-random", "dc-nas-s-uniform")
    )
    assert found.search is not None
    of_searches = [m for m in quality(Scale.smoke).measures if m.title.startswith("s")]
    assert [m.title for m in of_searches] == ["supernet %", "search, min"]
    for measure in of_searches:
        assert measure.read(found) is not None
        assert [measure.read(one) for one in controls] == [None, None]
    for one in controls:
        assert one.search == found.search
        blocks = _blocks(one.architecture)
        assert blocks != _blocks(found.architecture)
        choices = {
            path: next(choice for choice in slot.choices() if slot.block(choice) == block)
            for (path, slot), block in zip(table.space.slots.items(), blocks, strict=True)
        }
        predicted_ms = table.predict(choices).median_ms
        assert predicted_ms == pytest.approx(found.search.predicted_ms, rel=0.2)


def test_a_table_of_another_device_is_refused(out: Path, tmp_path: Path) -> None:
    """Nothing is searched with prices that do not hold here."""
    table = LatencyTable.read(out / "results" / "smoke" / "tables" / "c-nas-4op.json")
    other = table.conditions.model_copy(update={"device": "another processor"})
    path = tmp_path / "results" / "smoke" / "tables" / "c-nas-4op.json"
    table.model_copy(update={"conditions": other}).write(path)
    with pytest.raises(InputError, match="another processor"):
        _run(table_3, tmp_path, only="c-nas-s_*")
    assert not (tmp_path / "smoke" / "searches").exists()


def test_images_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    """With the folder that is looked for, before anything begins."""
    with pytest.raises(InputError, match=r"needs the images 'imagenette128'.*--data-root"):
        reproduce(table_10(Scale.small), out=tmp_path, results=tmp_path, data_root=tmp_path / "no")
    assert not any(tmp_path.iterdir())


def test_latencies_are_of_one_run(out: Path) -> None:
    """All networks of a table are timed together, in a file of their own."""
    _run(table_10, out)
    outcome = gather(table_10(Scale.smoke), out / "results")
    assert all(done.timing is not None for done in outcome.done)
    text = (out / "results" / "smoke" / "latency" / "table_10.json").read_text()
    assert set(json.loads(text)["timings"]) == set(outcome.by_slug)
    assert all(
        "timing" not in json.loads(path.read_text())
        for path in (out / "results" / "smoke").glob("*.json")
    )


def test_one_network_more_has_all_timed_again(tmp_path: Path) -> None:
    """A part of a table has latencies, too, and never those of two runs."""
    timed = []
    for name in ("unet-s", "unet-m"):
        _run(table_2, tmp_path, only=f"{name}_*")
        found = SideBySide.read(tmp_path / "results" / "smoke" / "latency" / "table_2.json")
        timed.append(found.timings)
    first, second = timed
    assert [len(first), len(second)] == [1, 2]
    assert all(second[slug] != timing for slug, timing in first.items())


@pytest.mark.slow
@pytest.mark.parametrize("make", ALL)
def test_an_experiment_of_the_search_runs_at_the_scale_smoke(make: Make, out: Path) -> None:
    """Every table is run whole, and every figure is drawn."""
    made = _run(make, out)
    assert len(made.results) == len(make(Scale.smoke).cells)
    if made.table is not None:
        assert not any("not run" in cell for row in made.table.rows for cell in row)
    assert len(made.files) == make(Scale.smoke).name.startswith("figure")


def _blocks(architecture: Architecture) -> list[InvertedResidual]:
    """Those that were searched: all but the first, which is fixed."""
    levels = [block for level in architecture.encoder for block in level.blocks]
    branch = () if architecture.classifier is None else architecture.classifier.blocks
    found = [block for block in (*levels, *branch) if isinstance(block, InvertedResidual)]
    return found[1:]
