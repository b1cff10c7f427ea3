"""Execution providers: asked for by name, and never replaced without a word."""

from types import SimpleNamespace
from typing import Any

import pytest

from packages import JOINT, toy
from tapetum.errors import InputError
from tapetum.runtime import GraphSession, Predictor, load_onnxruntime
from tapetum.runtime.providers import (
    PROVIDERS,
    full_name,
    placement,
    placement_text,
    with_options,
)

CPU, XNNPACK = "CPUExecutionProvider", "XnnpackExecutionProvider"


def session_of(started: list[str], **operators: int) -> Any:
    """A session as ONNX Runtime would report it."""
    parts = [
        SimpleNamespace(ep_name=PROVIDERS[name], get_nodes=lambda count=count: [None] * count)
        for name, count in operators.items()
    ]
    return SimpleNamespace(
        get_providers=lambda: started, get_provider_graph_assignment_info=lambda: parts
    )


def test_the_processor_runs_by_default() -> None:
    """The provider that is reported is the one that ran every operator."""
    package = toy(JOINT)
    assert GraphSession(package.graph_bytes).provider == "cpu"
    assert Predictor(package, threads=1, provider="CPU").provider == "cpu"


def test_names_are_those_of_onnx_runtime() -> None:
    """Each provider that this ONNX Runtime could have been built with can be asked for."""
    theirs = set(load_onnxruntime().get_all_providers())
    unused = {"AzureExecutionProvider", "JsExecutionProvider", "WebNNExecutionProvider"}
    assert theirs - unused - {"VSINPUExecutionProvider"} <= set(PROVIDERS.values())


def test_a_provider_that_is_not_here_is_refused_with_those_that_are() -> None:
    """The sentence says how to get it."""
    assert full_name("XNNPACK", [XNNPACK, CPU]) == XNNPACK
    with pytest.raises(InputError, match=r"only cpu, xnnpack;.*onnxruntime-gpu"):
        full_name("cuda", [XNNPACK, CPU, "AzureExecutionProvider"])
    with pytest.raises(InputError, match="did you mean 'cuda'"):
        full_name("cud", [CPU])


def test_a_silent_fallback_is_an_error() -> None:
    """ONNX Runtime uses the processor where a provider does not start, or has nothing to do."""
    with pytest.raises(InputError, match=r"could not start 'xnnpack'.*provider='cpu'"):
        placement(session_of([CPU], cpu=9), XNNPACK)
    with pytest.raises(InputError, match="runs no operator of this network on 'xnnpack'"):
        placement(session_of([XNNPACK, CPU], cpu=9), XNNPACK)


def test_operators_that_another_provider_runs_are_counted() -> None:
    """They may be most of the time."""
    placed = placement(session_of([XNNPACK, CPU], xnnpack=12, cpu=48), XNNPACK)
    assert placed == {"xnnpack": 12, "cpu": 48}
    assert placement_text(placed, "xnnpack") == "xnnpack (12 of 60 operators), cpu (48)"
    assert placement_text({"cuda": 60}, "cuda") == "cuda"


def test_an_onnx_runtime_that_does_not_count_is_believed() -> None:
    """Versions before 1.24 say only what was started."""
    old = SimpleNamespace(get_providers=lambda: [XNNPACK, CPU])
    assert placement_text(placement(old, XNNPACK), "xnnpack") == "xnnpack"


def test_providers_with_threads_of_their_own_are_told_the_number() -> None:
    """Otherwise they would use all cores."""
    assert with_options(XNNPACK, 3) == [(XNNPACK, {"intra_op_num_threads": "3"})]
    assert with_options(CPU, 3) == [(CPU, {})]
