"""A fit whose candidates of MBConv blocks start from EfficientNet-Lite0."""

import json
from pathlib import Path

import pytest

from lite0 import write_stand_in
from shape_runtime import ShapeRuntime, race_in_this_process
from tapetum.jobs import pretrained
from tapetum.search import RACES
from tapetum.training import RUNS
from test_cli import photos
from test_jobs_fit_race import fit_on

__all__ = ["photos"]  # the fixture


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ShapeRuntime:
    """A device whose latencies are known, and races in this process."""
    race_in_this_process(monkeypatch)
    return ShapeRuntime(monkeypatch)


@pytest.mark.slow
def test_with_the_extra_mbconv_candidates_of_a_small_folder_start_from_its_weights(
    device: ShapeRuntime, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is like Lite0; the plain network starts afresh, and the race decides."""
    path = tmp_path / "weights.pth"
    sha256 = write_stand_in(path)
    monkeypatch.setattr(pretrained, "weights_file", lambda: path)
    monkeypatch.setattr(pretrained, "SHA256", sha256)
    result = fit_on(device, photos, tmp_path / "fit")
    found = json.loads((result.path / "candidates.json").read_text())["candidates"]
    started = {one["name"] for one in found if one["shape"]["operator"] == "mbconv"}
    race, begun = RACES.open(result.path / "race"), RUNS.open(result.path / "network").request
    assert "mobile" in {one["name"] for one in found}
    assert race.request.weights.keys() == started
    assert (begun.start is not None) == (race.result().winner in started)
    assert any("efficientnet-lite0" in remark for remark in result.delivery.remarks)


@pytest.mark.parametrize("start", ["auto", pytest.param("fresh", marks=pytest.mark.slow)])
def test_without_the_extra_a_fit_requests_nothing_new(
    start: str,
    device: ShapeRuntime,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on as one that was begun without a word on it."""
    monkeypatch.setattr(pretrained, "weights_file", lambda: None)
    options = {"method": "none", "search_minutes": None}
    first = fit_on(device, photos, tmp_path / "fit", **options)
    again = fit_on(device, photos, tmp_path / "fit", resume=True, start=start, **options)
    assert again.delivery == first.delivery
    assert not list(first.path.glob("start_*"))
