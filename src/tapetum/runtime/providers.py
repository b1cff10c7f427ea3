"""Execution providers of ONNX Runtime by short names, and what they really run.

ONNX Runtime falls back without a word: where the libraries of a provider do not load it uses the
processor, and operators that a provider lacks go there as well. Here the first is an error, and the
second is counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tapetum.errors import InputError, nearest

__all__ = ["PROVIDERS", "full_name", "placement", "placement_text", "with_options"]

PROVIDERS: Mapping[str, str] = {
    "acl": "ACLExecutionProvider",
    "armnn": "ArmNNExecutionProvider",
    "cann": "CANNExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "nnapi": "NnapiExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "rknpu": "RknpuExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "vitisai": "VitisAIExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
"""The name of each provider in ONNX Runtime."""

_SHORT = {full: short for short, full in PROVIDERS.items()}
_PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "directml": "onnxruntime-directml",
    "openvino": "onnxruntime-openvino",
    "qnn": "onnxruntime-qnn",
    "tensorrt": "onnxruntime-gpu",
}


def full_name(provider: str, available: Sequence[str]) -> str:
    """Return ONNX Runtime's name of a provider, whose short name may be in any case."""
    short = provider.lower()
    if short not in PROVIDERS:
        raise InputError(f"there is no provider {provider!r}", nearest(short, PROVIDERS))
    if PROVIDERS[short] not in available:
        here = ", ".join(sorted(_SHORT[name] for name in available if name in _SHORT))
        package = f" (pip install {_PACKAGES[short]} in its place)" if short in _PACKAGES else ""
        raise InputError(
            f"the ONNX Runtime of this machine has no provider {short!r}, only {here}",
            f"use one of these, or install an ONNX Runtime with it{package}",
        )
    return PROVIDERS[short]


def with_options(name: str, threads: int) -> list[tuple[str, dict[str, str]]]:
    """Return a provider as ONNX Runtime takes it, told the number of threads where it asks."""
    keys = {"openvino": "num_of_threads", "xnnpack": "intra_op_num_threads"}
    key = keys.get(_SHORT[name])
    return [(name, {} if key is None else {key: str(threads)})]


def placement(session: Any, name: str) -> dict[str, int]:
    """Return how many operators each provider runs, by its short name.

    Versions of ONNX Runtime that do not say it give a count of zero.
    """
    started = session.get_providers()
    counts = Counter[str]()
    if hasattr(session, "get_provider_graph_assignment_info"):  # since 1.24
        for part in session.get_provider_graph_assignment_info():
            counts[_SHORT.get(part.ep_name, part.ep_name)] += len(part.get_nodes())
    short = _SHORT[name]
    if name not in started or (counts and not counts[short]):
        why = "could not start" if name not in started else "runs no operator of this network on"
        raise InputError(
            f"ONNX Runtime {why} {short!r}, and would use the processor instead",
            "check its drivers and libraries, or use provider='cpu'",
        )
    return dict(counts) or {short: 0}


def placement_text(placed: Mapping[str, int], first: str) -> str:
    """Return what really runs: ``cuda``, or ``xnnpack (12 of 60 operators), cpu (48)``."""
    if set(placed) == {first}:
        return first
    total = sum(placed.values())
    others = [f"{name} ({count})" for name, count in sorted(placed.items()) if name != first]
    return ", ".join([f"{first} ({placed[first]} of {total} operators)", *others])
