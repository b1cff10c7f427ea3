"""What only runs on a GPU: a search, a training, a latency in eager PyTorch, an estimate."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from made_table import made_table
from tapetum.arch import find_architecture
from tapetum.latency import Conditions, DeployedNetwork
from tapetum_paper import Scale, reproduce
from tapetum_paper.deployment import Deployment
from tapetum_paper.eager import EagerTorch, time_as_the_paper
from tapetum_paper.effort import expected_effort
from tapetum_paper.searched import Searched
from tapetum_paper.searching import table_10

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def test_a_pass_ends_when_the_gpu_has_finished() -> None:
    """A larger network takes longer, which an unfinished pass would hide."""
    conditions = Conditions.here(EagerTorch(), threads=1, batch=32, channels=1, size_px=96)
    small, large = (
        time_as_the_paper(
            EagerTorch().prepare(DeployedNetwork.of(find_architecture(name)), conditions),
            warmups=20,
            passes=50,
        ).median_ms
        for name in ("unet-s", "unet")
    )
    assert large > 1.5 * small


def test_a_table_is_reproduced_on_a_gpu(tmp_path: Path) -> None:
    """Searches with learned and removed depth, trainings, and latencies on the GPU."""
    deployment = Deployment("torch", 1, 32, 28, 1)
    experiment = replace(table_10(Scale.smoke), deployment=deployment)
    for cell in experiment.cells:
        assert isinstance(cell.network, Searched)
        path = tmp_path / "smoke" / "tables" / f"{cell.network.table}.json"
        made_table(cell.network.space, deployment.conditions).write(path)
    effort = expected_effort(experiment, experiment.cells, results=tmp_path, data_root=None)
    assert effort.hours > 0
    made = reproduce(experiment, out=tmp_path / "runs", results=tmp_path)
    assert made.table is not None
    assert not any("not run" in cell for row in made.table.rows for cell in row)
