"""The benchmark at equal latency: it continues after a kill, and its table adds nothing."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import equal_latency_figure
import equal_latency_table
import pytest

import equal_latency

ROOT = Path(__file__).resolve().parents[1]
ROWS = set(equal_latency_table.ROWS)


def start(out: Path) -> "subprocess.Popen[bytes]":
    """Start the benchmark on drawn images."""
    script = ROOT / "benchmarks" / "equal_latency.py"
    arguments = ["--tiny", "--out", str(out), "--json", str(out / "all.json")]
    return subprocess.Popen([sys.executable, str(script), *arguments], stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_benchmark_continues_and_repeats_no_cell(tmp_path: Path) -> None:
    """What was there at the kill stays as it was, and all rows are there in the end."""
    first, begun = start(tmp_path), time.monotonic()
    while not list(tmp_path.glob("*/cells/*.json")) and time.monotonic() - begun < 900:
        assert first.poll() is None
        time.sleep(0.1)
    first.kill()
    first.wait()
    kept = {path: path.read_bytes() for path in tmp_path.glob("*/**/*.json")}
    assert start(tmp_path).wait() == 0
    cells = json.loads((tmp_path / "all.json").read_text())["cells"]
    assert {cell["row"] for cell in cells} == ROWS
    for cell in cells:
        assert "missing" in cell or (0 <= cell["accuracy"] <= 1 and cell["x_of_b20"] > 0)
    done = [path for path in kept if path.parent.name in ("cells", "drawn")]
    assert done
    assert all(path.read_bytes() == kept[path] for path in done)
    shutil.rmtree(tmp_path / "drawn")
    assert start(tmp_path).wait() == 0  # the result alone is enough
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"cells"}
    assert json.loads((tmp_path / "all.json").read_text())["cells"] == cells


@pytest.mark.parametrize(("steps", "minutes"), [(472, 8.5), (1_000, 4.0), (2_254, 4.0)])
def test_a_budget_has_the_minutes_of_a_thousand_steps(
    steps: int, minutes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its default network, as a fit has; never fewer minutes than were requested."""
    monkeypatch.setattr(equal_latency.Bench, "steps", lambda *_: steps)
    asked = argparse.Namespace(minutes=4, tiny=False)
    bench = equal_latency.Bench(asked, "neu_cls", 0)
    assert bench.enough(equal_latency.base_20(1, 6)) == minutes


def cell(row: str, accuracy: float, psnr_db: float) -> equal_latency_table.Cell:
    """A cell of one dataset and budget."""
    place = {"dataset": "neu_cls", "budget_x_of_b20": 0.45, "x_of_b20": 0.44}
    levels = [{"psnr_db": 50.0, "noisy_psnr_db": None}, {"psnr_db": psnr_db, "noisy_psnr_db": 15.0}]
    mean_db = (50.0 + psnr_db) / 2
    scores = {"accuracy": accuracy, "psnr_db": mean_db, "levels": levels, "minutes": 6.0}
    return {**place, **scores, "row": row}


def rendered(tmp_path: Path, cells: list[equal_latency_table.Cell]) -> str:
    """The tables of some cells."""
    path = tmp_path / equal_latency_table.FILE
    path.parent.mkdir(parents=True)
    whole = {"cells": cells, "requested_minutes": 6.0, "provenance": {"cpu": "a processor"}}
    path.write_text(json.dumps(whole))
    return equal_latency_table.render(tmp_path, "../")


def test_a_row_of_the_table_is_the_mean_and_the_deviation_of_its_seeds(tmp_path: Path) -> None:
    """The deviation of 60, 61 and 62 is 1; cells that are not there are ``not run``."""
    fits = [cell("fit", 0.60 + 0.01 * seed, 22.0 + 0.1 * seed) for seed in range(3)]
    page = rendered(tmp_path, fits)
    assert "| `tapetum fit` | not run | 0.44 x: 61.0 ± 1.0 %, 22.10 ± 0.10 dB | not run |" in page
    assert "| plain DC-Net | not run | not run | not run |" in page


def test_the_page_names_the_commit_of_each_fit(tmp_path: Path) -> None:
    """The cells of a page need not be of one commit."""
    fits = [{**cell("fit", 0.6, 22.0), "provenance": {"commit": f"{i}123456789"}} for i in (2, 1)]
    assert "Commits: fits of neu_cls, 1123456 and 2123456." in rendered(tmp_path, fits)


def test_a_network_in_int8_shows_what_it_loses(tmp_path: Path) -> None:
    """A loss has a minus sign."""
    low = {**cell("int8", 0.6, 22.0), "lost_points": 0.25, "lost_db": -0.01}
    assert "| 0.44 x: -0.25 points, +0.01 dB (1 of 3 seeds) |" in rendered(tmp_path, [low])


def test_the_headline_has_one_budget_and_says_what_was_not_run(tmp_path: Path) -> None:
    """The networks that a user compares, over their seeds; other cells are ``not run``."""
    fits = [
        {**cell("fit", 0.60 + 0.01 * seed, 22.0), "seed": seed, "target_ms": 9.0}
        for seed in range(3)
    ]
    rendered(tmp_path, [*fits, cell("rule", 0.9, 30.0)])
    page = equal_latency_table.render_headline(tmp_path, "")
    assert "| `tapetum fit` | not run | 0.44 x: 61.0 ± 1.0 %, 22.00 ± 0.00 dB | not run |" in page
    assert "| published DC-NAS S | not run | not run | not run |" in page
    assert "deviation of 3 seeds" in page
    assert "| 1 x | not run | 20 ms | not run |" in page
    assert "method none" not in page


def test_the_speed_of_training_is_a_ratio_of_steps_in_equal_minutes(tmp_path: Path) -> None:
    """600 steps in 6 minutes of the processor are twice as fast as 200 in 4."""
    fit = {**cell("fit", 0.6, 22.0), "steps": 600, "processor_minutes": 6.0}
    plain = {**cell("plain", 0.5, 22.0), "steps": 200, "processor_minutes": 4.0}
    page = rendered(tmp_path, [fit, plain])
    assert "| Steel surfaces | 0.45 x | +10.0 | +0.00 | +0.00 | 2.0 x |" in page


def test_a_gain_has_the_standard_error_of_both_means(tmp_path: Path) -> None:
    """Both means of two seeds that differ by 2 have the error 1, their difference the root of 2."""
    fits = [cell("fit", 0.60, 22.0), cell("fit", 0.62, 22.0)]
    plain = [cell("plain", 0.50, 21.5), cell("plain", 0.52, 21.5)]
    page = rendered(tmp_path, [*fits, *plain])
    gains = "+10.0 ± 1.4 | +0.50 ± 0.00 | +0.25 ± 0.00"
    assert f"| Steel surfaces | 0.45 x | {gains} | not run |" in page
    assert "(2 of 3 seeds)" in page


def test_the_figure_has_a_point_for_each_budget_and_one_for_what_has_none(tmp_path: Path) -> None:
    """Two seeds are one point with their deviation; equal networks of two budgets are one too."""
    both = [
        {**cell(row, 0.60 + 0.02 * seed, 22.0), "budget_x_of_b20": budget, "x_of_b20": budget}
        for row in ("fit", "published")
        for budget in (0.45, 0.9)
        for seed in range(2)
    ]
    rendered(tmp_path, both)
    (scores,) = equal_latency_figure.curves(tmp_path).values()
    found = scores["accuracy, %"]
    fits = [point._replace(deviation=round(point.deviation, 3)) for point in found["fit"]]
    assert fits == [(0.45, pytest.approx(61.0), 1.414), (0.9, pytest.approx(61.0), 1.414)]
    assert len(found["published"]) == 1
    assert found["plain"] == []


def test_the_figure_of_the_documents_shows_the_result() -> None:
    """``scripts/render_docs`` draws it anew after new results."""
    assert equal_latency_figure.is_current(ROOT)
