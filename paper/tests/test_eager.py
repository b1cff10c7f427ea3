"""Eager PyTorch as a runtime: networks of both kinds, but no graphs of unknown origin."""

import numpy as np
import pytest
import torch

from tapetum.arch import find_architecture
from tapetum.errors import InputError
from tapetum.graph import random_weights, write_graph
from tapetum.latency import (
    Block,
    Conditions,
    conditions_here,
    prepare_architecture,
    subject_of_graph,
    summarize_rounds,
    take_turns,
)
from tapetum_paper.baselines import build_baseline, find_baseline
from tapetum_paper.eager import EagerTorch

SIZE_PX = 32


def conditions() -> Conditions:
    """Two grey images at once, on one thread."""
    return conditions_here(
        EagerTorch(), threads=1, batch=2, channels=1, height_px=SIZE_PX, width_px=SIZE_PX
    )


def test_conditions_name_the_library_and_the_device() -> None:
    """A latency of another version or another device is another latency."""
    found = conditions()
    assert (found.runtime, found.runtime_version) == ("torch", torch.__version__)
    assert found.device == EagerTorch().device


def test_no_graph_of_unknown_origin_is_run() -> None:
    """It has no architecture to build."""
    architecture = find_architecture("unet-s")
    model = write_graph(architecture, random_weights(architecture, seed=0))
    subject = subject_of_graph(model.SerializeToString())
    with pytest.raises(InputError, match="not ONNX graphs of unknown origin"):
        EagerTorch().prepare(subject, conditions())


@pytest.mark.parametrize("name", ["unet-s", "dc-net-reduced-integrated", "conv-l"])
def test_an_architecture_is_measured_as_the_paper_does(name: str) -> None:
    """Warm-ups, then so many passes in a row, and their mean."""
    prepared = prepare_architecture(EagerTorch(), conditions(), find_architecture(name))
    block = Block(warmups=2, warmup_ms=0, min_passes=7, min_ms=0)
    timing = summarize_rounds(take_turns([lambda: prepared], block, num_rounds=1)[0])
    assert (timing.num_rounds, timing.num_passes) == (1, 7)
    assert timing.mean_ms > 0


def test_a_baseline_is_measured_in_evaluation_mode() -> None:
    """Running statistics stay as they were."""
    network = build_baseline(find_baseline("dncnn"), seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    EagerTorch().prepare_network(network, conditions())()
    assert not network.training
    assert all(np.array_equal(before[name], value) for name, value in network.state_dict().items())
