"""Laws of the graphs of baselines: what torch's exporter writes does what the network does."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tapetum.arch import NetworkFacts
from tapetum.errors import InputError, MissingExtraError, PackageError
from tapetum.formats import Parity, measure_parity
from tapetum.latency import Conditions, DeployedNetwork, find_runtime
from tapetum.runtime import GraphSession
from tapetum_paper.baselines import (
    BaselineNetwork,
    baseline_graph,
    baseline_names,
    build_baseline,
    export_baseline,
    find_baseline,
)
from test_baselines_networks import baseline_of

SIZE_PX = 32
IN_THE_DEFAULT_SUITE = ("lpienet-0.25x", "mobilenet-v3-small")  # an export takes seconds


def network_of(baseline: NetworkFacts) -> BaselineNetwork:
    """A network in evaluation mode that passes something on: its norms have seen images."""
    network = build_baseline(baseline, seed=0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # one pass is enough
    # So many and so large that the deepest norms see more than a few values for each channel: with
    # hardly any variance, random weights grow to logits in the thousands, and rounding with them.
    shape = (64, baseline.image_channels, 2 * SIZE_PX, 2 * SIZE_PX)
    with torch.no_grad():
        network(torch.randn(shape, generator=torch.Generator().manual_seed(0)) / 2 + 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of a denoiser, as a file."""
    pytest.importorskip("onnxscript")
    out = tmp_path_factory.mktemp("exported") / "lpienet.onnx"
    export_baseline(network_of(baseline_of("lpienet-0.25x")), out, size_px=SIZE_PX)
    return out


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in IN_THE_DEFAULT_SUITE else pytest.mark.slow)
        for name in baseline_names()
    ],
)
def test_a_graph_does_what_the_network_does(name: str) -> None:
    """The outputs have our names and the network's values, for one image and for many."""
    pytest.importorskip("onnxscript")
    network = network_of(baseline_of(name))
    graph = baseline_graph(network, size_px=SIZE_PX)
    parity = measure_parity(network, graph, size_px=SIZE_PX, any_size=False, in_proportion=True)
    assert list(parity.max_difference) == [
        "denoised" if network.architecture.denoises else "logits"
    ]
    parity.require(name)
    session = GraphSession(graph, threads=1)
    for count in (1, 3):
        noisy = np.random.default_rng(0).random((count, 3, SIZE_PX, SIZE_PX), dtype=np.float32)
        (found,) = session.run(session.output_names, {"noisy": noisy})
        assert len(found) == count
        assert np.abs(found).max() > 1e-3  # small values would agree whatever the graph does


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_graph_can_be_timed(exported: Path, runtime: str) -> None:
    """The stopwatch opens the file, and both runtimes run it on as many images as asked."""
    network = DeployedNetwork.open(exported)
    assert network.inputs == {"noisy": (None, 3, SIZE_PX, SIZE_PX)}
    conditions = conditions_of(runtime, size_px=SIZE_PX)
    find_runtime(runtime).prepare(network, conditions)()
    with pytest.raises(InputError, match=f"the graph takes noisy of shape any x 3 x {SIZE_PX}"):
        network.random_inputs(conditions_of(runtime, size_px=SIZE_PX + 1))


def conditions_of(runtime: str, *, size_px: int) -> Conditions:
    """Three colour images at once, on one thread."""
    return Conditions.here(find_runtime(runtime), threads=1, batch=3, channels=3, size_px=size_px)


def test_an_older_graph_is_not_replaced_unasked(exported: Path) -> None:
    """The old file stays as it was."""
    before = exported.read_bytes()
    with pytest.raises(PackageError, match="exists already"):
        export_baseline(network_of(baseline_of("lpienet-0.25x")), exported, size_px=SIZE_PX)
    assert exported.read_bytes() == before


def test_a_graph_that_does_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of parity comes before the file."""
    fresh = build_baseline(find_baseline("dncnn"), seed=0).eval()
    parity = Parity(max_difference={"denoised": 0.1}, sizes_px=(), num_images=1, runtime="none")
    monkeypatch.setattr("tapetum_paper.baselines.export.baseline_graph", lambda *_, **__: b"graph")
    monkeypatch.setattr("tapetum_paper.baselines.export.measure_parity", lambda *_, **__: parity)
    with pytest.raises(PackageError, match="the graph of dncnn differs from the network"):
        export_baseline(fresh, tmp_path / "x.onnx", size_px=SIZE_PX)
    assert not list(tmp_path.iterdir())


def test_a_baseline_is_no_package(tmp_path: Path) -> None:
    """Another ending is refused, and the message proposes one."""
    fresh = build_baseline(find_baseline("dncnn"), seed=0).eval()
    with pytest.raises(
        PackageError, match=r"dncnn is a baseline.*ends in \.onnx, such as .*x\.onnx"
    ):
        export_baseline(fresh, tmp_path / "x.tapetum", size_px=SIZE_PX)


def test_a_missing_exporter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to install."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"onnxscript.*pip install onnxscript"):
        baseline_graph(network_of(find_baseline("lpienet-0.25x")), size_px=SIZE_PX)
