"""A fit for OpenVINO in int8, from end to end: OpenVINO computes, and a made-up clock times it."""

from functools import partial
from pathlib import Path

import pytest

from shape_runtime import ShapeRuntime, race_in_this_process
from tapetum.formats import PrecisionChoice, proof
from tapetum.jobs import export, fit
from tapetum.jobs.fit_race import Candidates
from tapetum.jobs.match_shape import MatchedShape
from tapetum.latency import TimedShapes
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.runtimes import RUNTIMES, OpenVino
from tapetum.latency.timing import ForwardPass
from tapetum.runtime import open_package
from tapetum.search import RACES
from test_cli import photos
from test_formats_precision import took

__all__ = ["photos"]  # the fixture


class ClockedOpenVino(OpenVino):
    """Runs each network once in OpenVINO; what a pass takes follows from its multiply-adds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        written = DeployedNetwork.__dict__["of"]
        self.clock, self.ran = ShapeRuntime(monkeypatch), set[bytes]()
        monkeypatch.setattr(DeployedNetwork, "of", written)

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """Load and run the network, and return a pass that moves the clock."""
        if network.graph not in self.ran:
            super().prepare(network, conditions)()
            self.ran.add(network.graph)
        if network.architecture is None:
            return partial(self.clock.advance, 100_000)
        return self.clock.prepare(network, conditions)


@pytest.mark.slow
def test_candidates_race_and_ship_in_what_they_were_timed_in(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best of a race ships; every latency that is kept is one of int8 in OpenVINO."""
    pytest.importorskip("openvino")
    monkeypatch.setitem(RUNTIMES, "openvino", ClockedOpenVino(monkeypatch))  # type: ignore[arg-type]
    race_in_this_process(monkeypatch)
    out, options = tmp_path / "fit", {"search_minutes": 0.5, "epochs": 1, "batch_size": 4}
    what = {"runtime": "openvino", "precision": "int8"}
    result = fit(photos, out, target_ms=0.1, size_px=32, **what, **options)
    assert result.delivery.keeps_target
    assert not (out / "timings_fp32.json").exists()
    timed = TimedShapes.read(out / "timings_int8.json")
    found = {one.name: one for one in Candidates.read(out / "candidates.json").candidates}
    raced = RACES.open(out / "race").result()
    assert {one.name for one in raced.rungs[0].entries} == found.keys()
    assert all(one.steps and one.psnr_db for one in raced.rungs[0].entries)
    winner = found[raced.winner]
    assert MatchedShape.read(out / "matched.json").attempts[0].shape == winner.shape
    assert all(timed.find(one.shape) for one in found.values())
    for conditions in (timed.conditions, result.selection.conditions, result.conditions):
        assert conditions is not None
        assert conditions.model_dump(include=set(what)) == what
    manifest = open_package(result.package).manifest
    assert manifest.precision == "int8"
    choice = PrecisionChoice.model_validate(manifest.provenance["precision"])
    assert choice.conditions.runtime == "openvino"
    assert choice.ranges is not None
    assert choice.ranges.text in result.report.read_text()
    # The file is run by OpenVINO itself, which does not move the clock.
    monkeypatch.setattr(proof, "time_interleaved", lambda *_, **__: [took(1.0), took(2.0)])
    written = export(out, tmp_path / "one.xml", precision="int8").written
    assert written is not None
    assert written.precision == "int8"
    assert written.parity.runtime.startswith("OpenVINO")
    assert 'type="FakeQuantize"' in (tmp_path / "one.xml").read_text()
