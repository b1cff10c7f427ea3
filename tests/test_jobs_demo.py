"""The demonstration leaves what it promises."""

from pathlib import Path

import pytest

from shape_runtime import race_in_this_process
from tapetum.jobs import demo
from tapetum.runtime import Predictor


@pytest.mark.slow
def test_the_budget_is_demonstrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A race, trainings for comparison, a package that was timed, and a report; in small."""
    race_in_this_process(monkeypatch)
    monkeypatch.setattr("tapetum.latency.timing.PAUSE_S", 0.0)
    monkeypatch.setattr("tapetum.jobs.match_shape.NUM_TRIES", 1)
    monkeypatch.setattr("tapetum.jobs.device.SECONDS", 0.2)
    monkeypatch.setattr("tapetum.formats.precision.MOST_POINTS", 100.0)  # after so few steps
    monkeypatch.setattr("tapetum.formats.precision.MOST_DB", 100.0)
    small = {"train_count": 160, "test_count": 8, "epochs": 1, "search_minutes": 1.0}
    result = demo(tmp_path / "run", **small)
    assert result.report == tmp_path / "run" / "report.html"
    assert result.report.exists()
    assert result.delivery.timing.median_ms > 0
    assert len(result.controls.controls) == 2
    assert result.scores.mean.accuracy is not None
    assert result.scores.mean.psnr_db is not None
    images = sorted((tmp_path / "run" / "images").iterdir())
    predictor = Predictor.open(result.package)
    assert {predictor(image).label for image in images} <= set("0123456789")
    again = demo(tmp_path / "run", resume=True, **small)
    assert again.delivery == result.delivery
