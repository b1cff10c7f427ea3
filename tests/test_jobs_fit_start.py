"""A fit whose first candidate is the user's own network, with its weights."""

import json
import re
import shutil
from pathlib import Path

import pytest

from shape_runtime import ShapeRuntime, race_in_this_process
from tapetum.arch import find_architecture
from tapetum.errors import InputError, RunError
from tapetum.jobs import FitResult
from tapetum.jobs.start import open_source
from tapetum.search import RACES
from tapetum.training import RUNS
from test_cli import photos
from test_jobs_fit_race import TARGET_MS, fit_on

__all__ = ["photos"]  # the fixture


@pytest.fixture(autouse=True)
def _race_here(monkeypatch: pytest.MonkeyPatch) -> None:
    race_in_this_process(monkeypatch)


def _other_classes(photos: Path, out: Path) -> Path:
    """The same images with other names of their classes."""
    shutil.copytree(photos, out)
    for folder in sorted(one for one in out.iterdir() if one.is_dir()):
        folder.rename(out / f"other-{folder.name}")
    return out


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ShapeRuntime:
    """A device whose latencies are known."""
    return ShapeRuntime(monkeypatch)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> FitResult:
    """A finished fit."""
    with pytest.MonkeyPatch.context() as patch:
        race_in_this_process(patch)
        out = tmp_path_factory.mktemp("start") / "first"
        return fit_on(ShapeRuntime(patch), photos, out, method="none", search_minutes=None)


@pytest.mark.parametrize(
    "origin", ["network", pytest.param("model.tapetum", marks=pytest.mark.slow)]
)
def test_a_fit_starts_from_a_run_or_a_package(
    origin: str,
    first: FitResult,
    device: ShapeRuntime,
    photos: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without a race its network is taken; terminal and report say which layers are fresh."""
    source, other = first.path / origin, _other_classes(photos, tmp_path / "photos")
    options = {"method": "none", "search_minutes": None, "start": source}
    result = fit_on(device, other, tmp_path / "second", **options)
    begun = RUNS.open(result.path / "network").request
    assert begun.start is not None
    assert begun.start.sha256 == open_source(source).sha256
    assert begun.start.fresh == ("classifier.linear",)
    assert begun.architecture.encoder == first.selection.architecture.encoder
    assert begun.start.describe() in caplog.text
    assert begun.start.describe() in result.delivery.remarks
    assert f"layers start from {origin}; fresh: classifier.linear" in result.report.read_text()
    again = fit_on(device, other, tmp_path / "second", resume=True, **options)
    assert again.delivery == result.delivery
    with pytest.raises(RunError, match="start"):
        fit_on(device, other, tmp_path / "second", resume=True, **{**options, "start": None})


@pytest.mark.slow
def test_the_network_to_start_from_takes_part_in_the_race(
    first: FitResult, device: ShapeRuntime, photos: Path, tmp_path: Path
) -> None:
    """It is the first candidate; where another one wins, the final training begins afresh."""
    result = fit_on(device, photos, tmp_path / "second", start=first.path / "network")
    candidates = json.loads((result.path / "candidates.json").read_text())["candidates"]
    assert candidates[0]["name"] == "start"
    assert len({json.dumps(one["shape"]) for one in candidates}) == len(candidates)
    race, begun = RACES.open(result.path / "race"), RUNS.open(result.path / "network").request
    assert race.request.weights.keys() == {"start"}
    assert (begun.start is not None) == (race.result().winner == "start")
    said = "layers start from network" if begun.start else "began with random weights"
    assert any(said in remark for remark in result.delivery.remarks)


def test_a_network_to_start_from_that_misses_the_budget_is_refused(
    first: FitResult, device: ShapeRuntime, photos: Path, tmp_path: Path
) -> None:
    """The sentence gives the budget that it keeps, which is then accepted."""
    start = first.path / "network"
    with pytest.raises(InputError, match=r"the network of network takes 0\.09\d* ms") as refused:
        fit_on(device, photos, tmp_path / "second", target_ms=2 * TARGET_MS, start=start)
    assert not (tmp_path / "second").exists()
    (target,) = re.findall(r"give --target-ms ([0-9.]+)", str(refused.value))
    assert float(target) == pytest.approx(TARGET_MS, rel=0.05)


def test_a_network_that_no_fit_trains_is_no_start(first: FitResult) -> None:
    """The sentence says what does train it further."""
    source = open_source(first.path / "network")
    other = find_architecture("mb1-s", channels=3, num_classes=2)
    with pytest.raises(InputError, match="train it further with 'tapetum train --start'"):
        _ = source._replace(architecture=other).shape
