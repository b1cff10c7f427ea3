"""Eager PyTorch as a runtime: networks of both kinds, but no graphs of unknown origin."""

import numpy as np
import pytest
import torch

from tapetum.arch import find_architecture
from tapetum.errors import InputError
from tapetum.graph import random_weights, write_graph
from tapetum.latency import Conditions, DeployedNetwork
from tapetum_paper.baselines import build_baseline, find_baseline
from tapetum_paper.eager import EagerTorch, time_as_the_paper

SIZE_PX = 32


def conditions() -> Conditions:
    """Two grey images at once, on one thread."""
    return Conditions.here(EagerTorch(), threads=1, batch=2, channels=1, size_px=SIZE_PX)


def test_conditions_name_the_library_and_the_device() -> None:
    """A latency of another version or another device is another latency."""
    found = conditions()
    assert (found.runtime, found.runtime_version) == ("torch", torch.__version__)
    assert found.device == EagerTorch().device


def test_no_graph_of_unknown_origin_is_run() -> None:
    """It has no architecture to build."""
    architecture = find_architecture("unet-s")
    model = write_graph(architecture, random_weights(architecture, seed=0))
    network = DeployedNetwork.of_graph(model.SerializeToString())
    with pytest.raises(InputError, match="not ONNX graphs of unknown origin"):
        EagerTorch().prepare(network, conditions())


@pytest.mark.parametrize("name", ["unet-s", "dc-net-reduced-integrated", "conv-l"])
def test_an_architecture_is_measured_as_the_paper_does(name: str) -> None:
    """Warm-ups, then so many passes in a row, and their mean."""
    forward = EagerTorch().prepare(DeployedNetwork.of(find_architecture(name)), conditions())
    timing = time_as_the_paper(forward, warmups=2, passes=7)
    assert (timing.num_rounds, timing.num_passes) == (1, 7)
    assert timing.mean_ms > 0


def test_a_baseline_is_measured_in_evaluation_mode() -> None:
    """Running statistics stay as they were."""
    network = build_baseline(find_baseline("dncnn"), seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    EagerTorch().prepare_network(network, conditions())()
    assert not network.training
    assert all(np.array_equal(before[name], value) for name, value in network.state_dict().items())
