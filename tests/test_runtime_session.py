"""The session and the cut-down graph: tiny graphs, run for real."""

import ast
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

import tapetum
from tapetum.errors import InputError, PackageError
from tapetum.runtime import session as module
from tapetum.runtime.session import GraphSession, keep_outputs

SHAPE = ["n", 1, "height", "width"]


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: list[str],
    outputs: list[str],
    weights: dict[str, NDArray[np.float32]] | None = None,
) -> onnx.ModelProto:
    """A model whose inputs and outputs are all images."""
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def two_branches() -> onnx.ModelProto:
    """Doubled and shifted share a stem; shifted alone reads a second input."""
    return model_of(
        [
            helper.make_node("Relu", ["x"], ["stem"]),
            helper.make_node("Mul", ["stem", "two"], ["doubled"]),
            helper.make_node("Add", ["stem", "y"], ["sum"]),
            helper.make_node("Add", ["sum", "three"], ["shifted"]),
        ],
        ["x", "y"],
        ["doubled", "shifted"],
        {"two": np.float32([2]), "three": np.float32([3])},
    )


def image(value: float) -> NDArray[np.float32]:
    """A constant image of 2 x 2."""
    return np.full((1, 1, 2, 2), value, np.float32)


def test_outputs_come_in_the_order_asked_for() -> None:
    """Each output is what its nodes compute, in the order of the names asked for."""
    session = GraphSession(two_branches().SerializeToString(), threads=1)
    shifted, doubled = session.run(["shifted", "doubled"], {"x": image(1), "y": image(5)})
    assert (shifted == 9).all()
    assert (doubled == 2).all()
    assert session.input_names == ("x", "y")
    assert session.output_names == ("doubled", "shifted")


def test_a_kept_output_loses_nothing_that_it_needs() -> None:
    """The smaller graph computes the same and holds no node, weight or input of the other."""
    whole = two_branches()
    smaller = keep_outputs(whole, ["doubled"])
    assert [node.op_type for node in smaller.graph.node] == ["Relu", "Mul"]
    assert [tensor.name for tensor in smaller.graph.initializer] == ["two"]
    session = GraphSession(smaller.SerializeToString(), threads=1)
    assert session.input_names == ("x",)
    assert (session.run(["doubled"], {"x": image(4)})[0] == 8).all()
    assert len(whole.graph.node) == 4


def test_keeping_all_outputs_keeps_all_nodes() -> None:
    """What every output needs together is the whole graph."""
    whole = two_branches()
    assert keep_outputs(whole, ["shifted", "doubled"]).graph == whole.graph


def test_an_output_that_is_not_there_is_named() -> None:
    """Who asks for an unknown output is told which ones there are."""
    model = two_branches()
    with pytest.raises(InputError, match=r"no output 'logits'; it has doubled, shifted"):
        keep_outputs(model, ["logits"])
    session = GraphSession(model.SerializeToString(), threads=1)
    with pytest.raises(InputError, match=r"no output 'logits'; it has doubled, shifted"):
        session.run(["logits"], {"x": image(0), "y": image(0)})


def test_a_feed_that_does_not_fit_is_refused_with_the_shape_that_does() -> None:
    """Missing inputs and wrong shapes end in a sentence that says what the graph takes."""
    session = GraphSession(two_branches().SerializeToString(), threads=1)
    with pytest.raises(InputError, match=r"was fed x; feed it just x, y"):
        session.run(["doubled"], {"x": image(0)})
    colour = np.zeros((1, 3, 2, 2), np.float32)
    with pytest.raises(InputError, match=r"takes float32 of shape \(n, 1, height, width\)"):
        session.run(["doubled"], {"x": colour, "y": image(0)})


def test_a_failure_inside_the_runtime_is_a_sentence() -> None:
    """Shapes that clash only inside the graph do not end in the runtime's own exception."""
    session = GraphSession(two_branches().SerializeToString(), threads=1)
    clashing = np.zeros((1, 1, 3, 3), np.float32)
    with pytest.raises(InputError, match=r"the graph failed on x \(1, 1, 2, 2\)"):
        session.run(["shifted"], {"x": image(0), "y": clashing})


def test_bytes_that_are_no_graph_are_refused() -> None:
    """Garbage is a package error, whatever the runtime raises for it."""
    with pytest.raises(PackageError, match="cannot load the graph"):
        GraphSession(b"no graph at all")


def test_all_threads_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a number there is a thread a usable core, not one a core of the machine."""
    monkeypatch.setattr(module, "usable_cores", lambda: 3)
    assert GraphSession(two_branches().SerializeToString()).threads == 3
    assert module._session_options(3).intra_op_num_threads == 3


def test_threads_are_counted_from_one() -> None:
    """Zero is refused before the runtime takes it for all cores, and so are millions."""
    for threads in (0, 10**8):
        with pytest.raises(InputError, match=f"{threads} threads were requested, but"):
            GraphSession(two_branches().SerializeToString(), threads=threads)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs SSE3")
def test_denormal_numbers_are_zero(tmp_path: Path) -> None:
    """A product too small for an ordinary float32 is exactly zero, hence never slow."""
    model = model_of([helper.make_node("Mul", ["x", "x"], ["y"])], ["x"], ["y"])
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    code = """\
from pathlib import Path
import numpy as np
from tapetum.runtime import GraphSession
session = GraphSession(Path("graph.onnx").read_bytes(), threads=1)
x = np.full((1, 1, 2, 2), 1e-20, np.float32)
assert (session.run(["y"], {"x": x})[0] == 0).all()
"""  # a process of its own: the first session of a process decides for its main thread
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_importing_the_room_loads_nothing_slow() -> None:
    """ONNX, ONNX Runtime and torch wait until a package is opened."""
    code = (
        "import sys, tapetum.runtime;"
        "print([name for name in ('onnx', 'onnxruntime', 'torch') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr


# What a fresh process does: a session from the bytes on standard input, with every import of
# onnxruntime recorded together with the variable at that moment.
WATCHED_SESSION = """\
import json, os, sys
import numpy as np
seen = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
from tapetum.runtime import GraphSession
session = GraphSession(sys.stdin.buffer.read(), threads=1)
image = np.ones((1, 1, 2, 2), np.float32)
session.run(["doubled"], {"x": image, "y": image})
print(json.dumps(seen))
"""


def values_at_import(home: Path, **variables: str) -> list[str | None]:
    """The variable at each first import of onnxruntime in a fresh process with this home folder."""
    of_home = {"HOME": str(home), "USERPROFILE": str(home), "LOCALAPPDATA": str(home)}
    own = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED_SESSION],
        input=two_branches().SerializeToString(),
        env={**kept, **of_home, **variables},
        capture_output=True,
        check=True,
    )
    found: list[str | None] = json.loads(done.stdout)
    return found


def test_a_session_sends_no_telemetry(tmp_path: Path) -> None:
    """The variable is set before the import, and nothing is written into the home folder."""
    assert values_at_import(tmp_path) == ["1"]
    assert list(tmp_path.rglob("*")) == []


def test_a_user_decides_about_telemetry(tmp_path: Path) -> None:
    """Whoever has set the variable keeps their value (one that turns telemetry off, here too)."""
    assert values_at_import(tmp_path, ORT_DISABLE_TELEMETRY="true") == ["true"]


def test_one_function_alone_imports_onnxruntime() -> None:
    """No module of the package can import it before its telemetry is off.

    The agent of a bundle runs on devices without the package, and turns it off by itself.
    """
    importers = [
        path.name
        for path in Path(tapetum.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and ast.unparse(node).startswith(("import onnxruntime", "from onnxruntime"))
    ]
    assert sorted(importers) == ["agent.py", "session.py"]
