"""Networks of a table are timed in one run, ours and those of others, wherever they are to run."""

import pytest

from tapetum.arch import find_architecture
from tapetum.progress import silent
from tapetum_paper.baselines import find_baseline
from tapetum_paper.deployment import Deployment
from tapetum_paper.side_by_side import time_side_by_side


@pytest.mark.parametrize(
    "runtime_name", ["torch", pytest.param("onnxruntime", marks=pytest.mark.slow)]
)
def test_ours_and_those_of_others_are_timed_together(
    runtime_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a latency, and all of them hold for the same conditions."""
    monkeypatch.setattr("tapetum.latency.timing.PAUSE_S", 0.0)
    monkeypatch.setattr("tapetum.latency.timing.NUM_ROUNDS", 2)
    networks = {"ours": find_architecture("unet-s"), "theirs": find_baseline("lpienet-0.25x")}
    deployment = Deployment(runtime_name, 1, 2, 32, 1)
    found = time_side_by_side(networks, deployment, progress=silent)
    assert list(found.timings) == list(networks)
    for timing in found.timings.values():
        assert timing.median_ms > 0
        assert timing.num_rounds == 2
    assert found.conditions == deployment.conditions
    assert (found.conditions.runtime, found.conditions.batch) == (runtime_name, 2)
