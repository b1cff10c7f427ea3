"""Run one graph in ONNX Runtime, and reduce a graph to some of its outputs.

ONNX Runtime computes the whole graph whichever outputs are requested. :func:`keep_outputs`
therefore reduces a graph with two branches to the nodes behind the requested outputs.

Weights of a trained network can be denormal numbers, which processors handle 5 to 30 times slower
(onnxruntime issues 5472 and 7448). The session takes them as zero.

Since version 1.32 ONNX Runtime sends telemetry: its import writes a device identifier and an event
database below the home folder. :func:`load_onnxruntime` turns this off and is the only place that
imports the library.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError, PackageError
from tapetum.provenance import has_int8_instructions, require_cores, usable_cores
from tapetum.runtime.providers import full_name, placement, placement_text, with_options

if TYPE_CHECKING:  # imported where they are used, so that this module loads quickly
    import onnx

__all__ = ["GraphSession", "as_text", "fits", "keep_outputs", "load_onnxruntime"]

_QUIET = 4  # log fatal errors only: every error is raised as well


def load_onnxruntime() -> Any:  # onnxruntime has no types
    """Import ONNX Runtime, with its telemetry off unless the user has set the variable."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


class GraphSession:
    """A graph, ready to run on the processor of this machine.

    Args:
        model: The serialised ONNX graph.
        threads: Threads that share the work of one layer; by default one per usable core.
        provider: What computes: ``cpu``, or another execution provider of this ONNX Runtime.

    Raises:
        PackageError: ONNX Runtime does not accept the graph.
        InputError: ``threads`` is below one or above the usable cores; or the provider is not
            there, does not start, or runs nothing of the graph.
    """

    MOST_THREADS: ClassVar = 1024  # of any device

    def __init__(self, model: bytes, *, threads: int | None = None, provider: str = "cpu") -> None:
        onnxruntime = load_onnxruntime()
        if threads is not None:
            require_cores(threads)
        self.threads = threads or usable_cores()
        name = full_name(provider, onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(
                model, _session_options(self.threads), providers=with_options(name, self.threads)
            )
        except _runtime_faults() as error:
            raise PackageError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load the graph: {_short(error)}",
                "update onnxruntime, or export the network again",
            ) from error
        self._placement = placement(self._session, name)
        self._requested = provider.lower()
        self._shapes = {entry.name: tuple(entry.shape) for entry in self._session.get_inputs()}

    @property
    def provider(self) -> str:
        """What computes; where others help out, how many operators each one runs."""
        return placement_text(self._placement, self._requested)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs of :meth:`run`."""
        return tuple(self._shapes)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs of :meth:`run`."""
        return tuple(entry.name for entry in self._session.get_outputs())

    def run(
        self, outputs: Sequence[str], feeds: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Run the graph once.

        Args:
            outputs: Names of the requested outputs.
            feeds: One float32 array for each input: ``noisy``, (n, c, h, w), in [0, 1], and
                ``boxes``, (n, k, 4), in pixels.

        Returns:
            The outputs, in the requested order.

        Raises:
            InputError: A feed or output does not fit the graph, or the memory is not enough.
        """
        self._check(outputs, feeds)
        try:
            return list(self._session.run(list(outputs), dict(feeds)))
        except _runtime_faults() as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in feeds.items())
            raise InputError(
                f"the graph failed on {shapes}: {_short(error)}",
                "try a smaller image, or a lower memory limit so that it is tiled",
            ) from error

    def _check(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[np.float32]]) -> None:
        """Raise an error if names, types or shapes differ from those of the graph."""
        for name in outputs:
            if name not in self.output_names:
                remedy = f"it has {', '.join(self.output_names)}"
                raise InputError(f"the graph has no output {name!r}", remedy)
        if set(feeds) != set(self._shapes):
            remedy = f"feed it just {_names(self._shapes)}"
            raise InputError(f"the graph was fed {_names(feeds)}", remedy)
        for name, array in feeds.items():
            if array.dtype != np.float32 or not fits(array.shape, self._shapes[name]):
                raise InputError(
                    f"input {name!r} is {array.dtype} of shape {array.shape}",
                    f"this graph takes float32 of shape {as_text(self._shapes[name])}",
                )


def keep_outputs(model: "onnx.ModelProto", outputs: Iterable[str]) -> "onnx.ModelProto":
    """Return a copy of a graph, reduced to the nodes, weights and inputs that some outputs need."""
    import onnx

    wanted, graph = list(outputs), model.graph
    declared = {value.name for value in graph.output}
    for name in wanted:
        if name not in declared:
            raise InputError(f"the graph has no output {name!r}", f"it has {_names(declared)}")
    nodes, needed = _needed_nodes(graph, wanted)
    kept = onnx.helper.make_graph(
        nodes,
        graph.name,
        [value for value in graph.input if value.name in needed],
        [value for value in graph.output if value.name in wanted],
        [tensor for tensor in graph.initializer if tensor.name in needed],
        doc_string=graph.doc_string,
        value_info=[value for value in graph.value_info if value.name in needed],
    )
    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    smaller.graph.CopyFrom(kept)
    return smaller


def _needed_nodes(
    graph: "onnx.GraphProto", outputs: Iterable[str]
) -> tuple[list["onnx.NodeProto"], set[str]]:
    """Return the nodes behind ``outputs`` in their order, and the values that they touch."""
    needed = set(outputs)
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # a graph is sorted: readers of a value come after it
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed.update(node.output, node.input)
    needed.discard("")  # an omitted optional input
    return kept[::-1], needed


def _session_options(threads: int) -> Any:  # onnxruntime has no types
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _QUIET
    # A memory plan for each size of image would take memory for each, and saves no time.
    options.enable_mem_pattern = False
    options.inter_op_num_threads = 1
    # Never 0: ONNX Runtime would use all cores of the machine, not those of the container.
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if not has_int8_instructions():
        # Sums of 8-bit products would overflow. Elsewhere this mode halves the speed of int8.
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _runtime_faults() -> tuple[type[Exception], ...]:
    """Return the exceptions of ONNX Runtime, which have no common parent."""
    state = load_onnxruntime().capi.onnxruntime_pybind11_state
    types = [value for value in vars(state).values() if isinstance(value, type)]
    own = [value for value in types if issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError, MemoryError)


def _short(error: BaseException) -> str:
    """Return the first line of a message, without source positions of onnxruntime."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300].rstrip(" .")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def fits(shape: tuple[int | None, ...], declared: tuple[int | str | None, ...]) -> bool:
    """Return whether a shape agrees with a declared one, where only numbers are fixed."""
    return len(shape) == len(declared) and all(
        size == want for size, want in zip(shape, declared, strict=True) if isinstance(want, int)
    )


def as_text(shape: tuple[int | str | None, ...]) -> str:
    """Return a shape in brackets."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
