"""The demonstration leaves what it promises."""

from pathlib import Path

import pytest

from tapetum.jobs import run_demo


@pytest.mark.slow
def test_the_budget_is_demonstrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table, a search, three trainings, a package that was timed, and a report; in small."""
    monkeypatch.setattr("tapetum.latency.timing.PAUSE_S", 0.0)
    monkeypatch.setattr("tapetum.jobs.match.MOST_ATTEMPTS", 1)
    made = run_demo(
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
