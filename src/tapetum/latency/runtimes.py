"""The runtimes that a network can be timed in, set up as they are in deployment.

ONNX Runtime is opened by the class that runs packages.  OpenVINO is set to compute in fp32: its
default on some processors is bf16.  Another runtime, such as eager torch, only has to follow
:class:`Runtime`.
"""

import logging
import sys
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError, nearest, needs_extra
from tapetum.latency import agent
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.timing import ForwardPass
from tapetum.provenance import cpu_model

__all__ = [
    "RUNTIMES",
    "OnnxRuntime",
    "OpenVino",
    "Runtime",
    "find_runtime",
    "load_openvino",
    "watched_threads",
]

_log = logging.getLogger(__name__)


class Runtime(Protocol):
    """A library that runs networks on a device, by default on the processor in fp32."""

    @property
    def name(self) -> str:
        """Name of the library, such as ``onnxruntime``."""

    @property
    def version(self) -> str:
        """Version of the library."""

    @property
    def precision(self) -> str:
        """Number format of the computation."""
        return "fp32"

    @property
    def device(self) -> str:
        """Model of the processor, or of the GPU, that computes."""
        return cpu_model()

    @property
    def uses_cores(self) -> bool:
        """Whether the processor computes, whose time tells preempted passes; else a GPU does."""
        return True

    @property
    def runs_packages(self) -> bool:
        """Whether :meth:`prepare_call` can be used."""
        return False

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """Load a network and return a forward pass on random images.

        Raises:
            InputError: The network takes other images, or this runtime cannot run it.
        """

    def prepare_call(
        self, network: DeployedNetwork, conditions: Conditions, image: NDArray[np.uint8]
    ) -> ForwardPass:
        """Load a package and return its whole call for an image in memory, (h, w, c).

        Raises:
            InputError: Packages do not run in this runtime.
        """
        del network, conditions, image
        raise InputError(
            f"a package is not called in {self.name}",
            "use the runtime onnxruntime, or time the network alone",
        )


class OnnxRuntime(Runtime):
    """ONNX Runtime on the processor, as packages run."""

    name = "onnxruntime"

    @property
    def version(self) -> str:
        """Version of the library."""
        from tapetum.runtime import load_onnxruntime

        return str(load_onnxruntime().__version__)

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """Load a network; see :class:`Runtime`."""
        from tapetum.runtime import GraphSession

        session = GraphSession(network.graph, threads=conditions.threads)
        return partial(session.run, session.output_names, network.random_inputs(conditions))

    @property
    def runs_packages(self) -> bool:
        """Packages run in this runtime."""
        return True

    def prepare_call(
        self, network: DeployedNetwork, conditions: Conditions, image: NDArray[np.uint8]
    ) -> ForwardPass:
        """Load a package; see :class:`Runtime`."""
        from tapetum.runtime import Package, Predictor

        assert network.manifest is not None  # noqa: S101  (only packages are called)
        package = Package(network.manifest, network.graph, card="")
        predictor = Predictor(package, threads=conditions.threads)
        height_px, width_px, _ = image.shape
        boxes = None
        if predictor.takes_boxes:
            size = {"height_px": height_px, "width_px": width_px, "batch": 1}
            boxes = network.random_inputs(conditions.model_copy(update=size))["boxes"][0]
        return partial(predictor, image, boxes=boxes)


class OpenVino(Runtime):
    """OpenVINO on the processor, in its latency mode; what is not in int8 is in fp32."""

    name = "openvino"

    @property
    def version(self) -> str:
        """Version of the library."""
        return str(load_openvino().__version__).split("-")[0]

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """Load a network; see :class:`Runtime`."""
        core = load_openvino().Core()
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": conditions.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        feeds = dict(network.random_inputs(conditions))
        try:
            model = core.read_model(network.graph)
            # With one thread, a pass at a size that does not fit ends without an error.
            model.clone().reshape({name: list(values.shape) for name, values in feeds.items()})
            compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise _not_run(error) from error
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if precision != "f32":
            raise InputError(
                f"OpenVINO computes in {precision} here, although f32 was requested",
                "use another runtime, or another version of OpenVINO",
            )
        request = compiled.create_infer_request()
        return lambda: request.infer(feeds, share_inputs=True)


def _not_run(error: RuntimeError) -> InputError:
    """Return the error of a graph that OpenVINO, which has no errors of its own, cannot run."""
    lines = [line.strip() for line in str(error).splitlines()]
    where = ("Exception from", "Check ")  # in its sources
    told = " ".join(line for line in lines if line and not line.startswith(where))
    return InputError(
        f"OpenVINO cannot run this network at this size: {told[:300]}",
        "give another --size, or leave --runtime out",
    )


RUNTIMES: Mapping[str, Runtime] = {"onnxruntime": OnnxRuntime(), "openvino": OpenVino()}


def watched_threads(runtime: Runtime, conditions: Conditions) -> int | None:
    """Return the threads whose time tells preempted passes; None where a GPU computes.

    Where no thread's time tells them, it warns.
    """
    if not runtime.uses_cores:
        return None
    _warn_of_coarse_clock()
    return conditions.threads


@lru_cache(maxsize=1)  # once
def _warn_of_coarse_clock() -> None:
    if agent.clock_is_coarse():
        _log.warning(agent.COARSE)


def find_runtime(runtime: str | Runtime) -> Runtime:
    """Return the runtime of a name, or the one that is given itself.

    Raises:
        InputError: No runtime has this name.
    """
    if not isinstance(runtime, str):
        return runtime
    if runtime not in RUNTIMES:
        raise InputError(f"there is no runtime {runtime!r}", nearest(runtime, RUNTIMES))
    return RUNTIMES[runtime]


def load_openvino() -> Any:  # openvino has no types
    """Return the library, imported without its telemetry.

    The import sends an event and writes identifiers into the home folder, and no variable turns
    that off.  Where ``openvino_telemetry`` cannot be imported, OpenVINO uses an empty stand-in.
    """
    hidden = "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules
    if hidden:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        with needs_extra("openvino", "OpenVINO"):
            import openvino  # type: ignore[import-untyped,unused-ignore]
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]
    return openvino
