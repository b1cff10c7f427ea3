"""The runtimes that a network can be timed in, as they are used when it is deployed.

ONNX Runtime is opened by the very class that runs packages.  OpenVINO is told to compute in fp32:
left alone it takes bf16 on processors that have it, without a word, so the precision that a
latency carries is the one that the compiled network reports.

A runtime of another kind (eager torch, which this room must not load) is handed in by whoever has
it: all that is asked of it is :class:`Runtime`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError, MissingExtraError, nearest

__all__ = ["RUNTIMES", "Feeds", "OnnxRuntime", "OpenVino", "Opened", "Runtime", "find_runtime"]

Feeds = Mapping[str, NDArray[np.float32]]
"""One array for each input of a graph, by name."""

Opened = Callable[[Feeds], object]
"""A graph that is ready: runs one pass and returns when it is done."""


class Runtime(Protocol):
    """What computes a graph."""

    @property
    def name(self) -> str:
        """Such as ``onnxruntime``."""

    @property
    def version(self) -> str:
        """Of the library."""

    @property
    def precision(self) -> str:
        """What it computes in."""

    def open(self, model: bytes, *, threads: int) -> Opened:
        """Makes a serialised ONNX graph ready to run with so many threads."""


class OnnxRuntime:
    """ONNX Runtime on the processor, as packages run."""

    name = "onnxruntime"
    precision = "fp32"

    @property
    def version(self) -> str:
        """Of the library."""
        import onnxruntime

        return str(onnxruntime.__version__)

    def open(self, model: bytes, *, threads: int) -> Opened:
        """Makes a graph ready.

        Raises:
            PackageError: ONNX Runtime does not accept it.
        """
        from tapetum.runtime.session import GraphSession

        session = GraphSession(model, threads=threads)
        outputs = session.output_names
        return lambda feeds: session.run(outputs, feeds)


class OpenVino:
    """OpenVINO on the processor, in fp32, for one picture after another."""

    name = "openvino"
    precision = "fp32"

    @property
    def version(self) -> str:
        """Of the library."""
        return str(_openvino().__version__).split("-")[0]

    def open(self, model: bytes, *, threads: int) -> Opened:
        """Makes a graph ready.

        Raises:
            MissingExtraError: OpenVINO is not installed.
            InputError: It does not compute in fp32 although it was told to.
        """
        openvino = _openvino()
        core = openvino.Core()
        compiled = core.compile_model(
            core.read_model(model),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        found = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found != "f32":
            raise InputError(
                f"OpenVINO computes in {found} here, though f32 was asked for",
                "use another runtime, or another version of OpenVINO",
            )
        request = compiled.create_infer_request()
        return lambda feeds: request.infer(dict(feeds), share_inputs=True)


RUNTIMES: Mapping[str, Runtime] = {"onnxruntime": OnnxRuntime(), "openvino": OpenVino()}


def find_runtime(name: str) -> Runtime:
    """The runtime of a name.

    Raises:
        InputError: There is none of that name.
    """
    if name not in RUNTIMES:
        raise InputError(f"there is no runtime {name!r}", nearest(name, RUNTIMES))
    return RUNTIMES[name]


def _openvino() -> Any:  # openvino has no types
    try:
        import openvino  # type: ignore[import-untyped,unused-ignore]
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "OpenVINO is not installed", "install it: pip install 'tapetum[openvino]'"
        ) from error
    return openvino
