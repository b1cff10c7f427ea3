"""What a runtime cannot run gets one sentence."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tapetum.errors import InputError
from tapetum.latency import agent, runtimes
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.runtimes import OnnxRuntime, OpenVino, watched_threads
from test_latency_table import CONDITIONS

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("odd", 1)]


def network(node: onnx.NodeProto) -> DeployedNetwork:
    """A graph of one node by others, for images of any size."""
    image, seven = ["n", 1, "h", "w"], np.array([7, 7], np.int64)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("noisy", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("denoised", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(seven, "seven")],
    )
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=10)
    return DeployedNetwork(model.SerializeToString(), {"noisy": (None, 1, None, None)})


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("Odd", ["noisy"], ["denoised"], domain="odd"), "operations: odd.Odd"),
        (helper.make_node("Reshape", ["noisy", "seven"], ["denoised"]), "incompatible"),
    ],
    ids=["unknown operator", "another size"],
)
def test_a_graph_that_openvino_cannot_run_is_refused(node: onnx.NodeProto, words: str) -> None:
    """Before its first pass: with one thread, OpenVINO would end that without an error."""
    pytest.importorskip("openvino")
    with pytest.raises(InputError, match="OpenVINO cannot run this network") as error:
        OpenVino().prepare(network(node), CONDITIONS)
    assert words in error.value.problem
    assert not re.search(r"\n|\.cpp", error.value.problem)


@pytest.mark.parametrize("is_coarse", [True, False])
def test_a_clock_that_tells_no_share_is_told_once(
    is_coarse: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However many networks are timed; nothing is said of other clocks."""
    monkeypatch.setattr(agent, "clock_is_coarse", lambda: is_coarse)
    runtimes._warn_of_coarse_clock.cache_clear()
    with caplog.at_level("WARNING"):
        assert {watched_threads(OnnxRuntime(), CONDITIONS) for _ in range(3)} == {
            CONDITIONS.threads
        }
    assert caplog.messages == [agent.COARSE] * is_coarse
    runtimes._warn_of_coarse_clock.cache_clear()
