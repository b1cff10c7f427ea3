"""The demonstration leaves what it promises."""

import json
from pathlib import Path

import pytest

from tapetum.demo import comparison, run_demo, run_search_demo
from tapetum.runtime import Predictor, read_picture


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration on a handful of pictures."""
    out = tmp_path_factory.mktemp("demo") / "run"
    made = run_demo(out, train_count=64, test_count=8, epochs=1)
    assert made.page == out / "report.html"
    table = comparison(made.result)
    assert [row[0] for row in table.rows] == ["paper, table 1", "this run"]
    assert table.rows[0][1:4] == ("29.9", "0.97", "86.2")
    return out


def test_the_page_stands_alone(out: Path) -> None:
    """Pictures, plots and style are inside; nothing is asked of another server."""
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64") >= 3 * 3 * 4
    assert page.count("<svg") >= 3
    assert 'src="http' not in page
    assert 'href="http' not in page.replace("xmlns", "")


def test_the_kept_pictures_can_be_predicted(out: Path) -> None:
    """Every kept picture has its boxes, and the package names two digits in it."""
    boxes = json.loads((out / "boxes.json").read_text())
    predictor = Predictor.open(out / "demo.tapetum")
    for path in (out / "pictures").iterdir():
        result = predictor(read_picture(path), boxes=boxes[path.name])
        assert len(result.labels) == 2


def test_the_package_carries_its_scores(out: Path) -> None:
    """Eleven levels, with the protocol that they hold for."""
    scores = Predictor.open(out / "demo.tapetum").manifest.scores
    assert scores is not None
    assert [row.title for row in scores.rows][:2] == ["gaussian 0", "gaussian 0.1"]
    assert (len(scores.rows), scores.protocol) == (11, "benchmark")


@pytest.mark.slow
def test_the_budget_is_demonstrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table, a search, three trainings, a package that was timed, and a page; in small."""
    monkeypatch.setattr("tapetum.fit.settle.PAUSE_S", 0.0)
    monkeypatch.setattr("tapetum.fit.settle.MOST_ATTEMPTS", 1)
    made = run_search_demo(
        tmp_path / "run",
        train_count=160,
        test_count=8,
        search_epochs=2,
        epochs=1,
        networks=60,
    )
    assert made.page == tmp_path / "run" / "report.html"
    assert made.page.exists()
    assert made.delivered.timing.median_ms > 0
    assert made.scores.mean.accuracy is not None
    assert made.scores.mean.psnr_db is not None
