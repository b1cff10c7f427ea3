"""The runtimes that a network can be timed in, as they are used when it is deployed.

ONNX Runtime is opened by the very class that runs packages.  OpenVINO is told to compute in fp32:
left alone it takes bf16 on processors that have it, without a word, so the precision that a
latency carries is the one that the compiled network reports.

A runtime of another kind (eager torch, which this room must not load) is handed in by whoever has
it: all that is asked of it is :class:`Runtime`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from tapetum.arch import Architecture
from tapetum.errors import InputError, missing_extra, nearest
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import Subject, feeds_of, subject_of
from tapetum.latency.timing import Run
from tapetum.provenance import cpu_model

__all__ = [
    "RUNTIMES",
    "OnnxRuntime",
    "OpenVino",
    "Runtime",
    "find_runtime",
    "prepare_architecture",
]


class Runtime(Protocol):
    """What computes networks."""

    @property
    def name(self) -> str:
        """Such as ``onnxruntime``."""

    @property
    def version(self) -> str:
        """Of the library."""

    @property
    def precision(self) -> str:
        """What it computes in."""

    @property
    def device(self) -> str:
        """The model of the processor, or of the GPU, that computes."""

    def prepare(self, subject: Subject, conditions: Conditions) -> Run:
        """Makes a network ready to run on random images, with so many threads.

        Raises:
            InputError: It takes other images, or this runtime cannot run it.
        """


def prepare_architecture(
    runtime: Runtime, conditions: Conditions, architecture: Architecture
) -> Run:
    """Makes an architecture with random weights ready, as the graph that would ship."""
    return runtime.prepare(subject_of(architecture), conditions)


class OnnxRuntime:
    """ONNX Runtime on the processor, as packages run."""

    name = "onnxruntime"
    precision = "fp32"

    @property
    def version(self) -> str:
        """Of the library."""
        from tapetum.runtime import load_onnxruntime

        return str(load_onnxruntime().__version__)

    @property
    def device(self) -> str:
        """The processor."""
        return cpu_model()

    def prepare(self, subject: Subject, conditions: Conditions) -> Run:
        """Makes a graph ready.

        Raises:
            InputError: It takes other images, or ONNX Runtime does not accept it.
        """
        from tapetum.runtime import GraphSession

        session = GraphSession(subject.model, threads=conditions.threads)
        return partial(session.run, session.output_names, feeds_of(subject, conditions))


class OpenVino:
    """OpenVINO on the processor, in fp32, for one image after another."""

    name = "openvino"
    precision = "fp32"

    @property
    def version(self) -> str:
        """Of the library."""
        return str(_openvino().__version__).split("-")[0]

    @property
    def device(self) -> str:
        """The processor."""
        return cpu_model()

    def prepare(self, subject: Subject, conditions: Conditions) -> Run:
        """Makes a graph ready.

        Raises:
            MissingExtraError: OpenVINO is not installed.
            InputError: The graph takes other images, or OpenVINO does not compute in fp32
                although it was told to.
        """
        core = _openvino().Core()
        compiled = core.compile_model(
            core.read_model(subject.model),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": conditions.threads,
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
        feeds = dict(feeds_of(subject, conditions))
        return lambda: request.infer(feeds, share_inputs=True)


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
        raise missing_extra("OpenVINO", "openvino") from error
    return openvino
