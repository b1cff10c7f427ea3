"""Laws of the remedies of a budget out of reach: each was timed, and what helps is named."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.arch import Architecture, ShapeSpace
from tapetum.jobs.device import Device
from tapetum.jobs.remedies import timed_remedies
from tapetum.latency import Conditions, find_runtime
from tapetum.latency.runtimes import OpenVino
from tiny_training import TINY_DATA

SPACE = ShapeSpace(width_step=8, size_px=64, image_channels=3, num_classes=4)


@dataclass(frozen=True)
class Formula(Device):
    """A device of 1 ms for 64 px, by the pixels: half of it in int8 or with four threads.

    OpenVINO takes a quarter.
    """

    def timer(self, space: ShapeSpace) -> Callable[..., Any]:
        """Times by the formula."""
        del space
        here = self.conditions
        share = (here.width_px / 64) ** 2 / here.threads**0.5
        share *= 0.5 if here.precision == "int8" else 1.0
        share *= 0.25 if self.runtime.name == "openvino" else 1.0

        def timed(networks: list[Architecture], *, num_rounds: int) -> list[SimpleNamespace]:
            assert num_rounds > 0
            return [SimpleNamespace(median_ms=share) for _ in networks]

        return timed


def remedies(
    target_ms: float,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cores: int = 4,
    spec: object = None,
    **changes: Any,
) -> str:
    """What is told for a budget, with so many cores; OpenVINO is there where it has a ``spec``."""
    monkeypatch.setattr("tapetum.jobs.remedies.usable_cores", lambda: cores)
    monkeypatch.setattr("tapetum.jobs.remedies.find_spec", lambda _: spec)
    runtime = find_runtime("onnxruntime")
    conditions = Conditions.here(runtime, threads=1, batch=1, channels=3, size_px=64)
    precision = changes.pop("precision", "fp32")
    conditions = conditions.model_copy(update={"precision": precision})
    device = Formula(runtime, conditions, TINY_DATA, **changes)
    return timed_remedies(device, SPACE, target_ms, 1.0)


def test_what_keeps_the_budget_is_told_from_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size, with the latency that it gives; int8 and threads are not enough for a quarter."""
    told = remedies(0.3, monkeypatch)
    enough, others = told.split("; timed, but not enough: ")
    assert enough == (
        "ask for 1.1 ms or more, or give --size 32 (0.25 ms) or --size 16 (0.062 ms): timed here, "
        "with the smallest network"
    )
    assert (
        others == "--threads 4 (0.5 ms), --precision int8 (0.5 ms); another --runtime was not timed"
    )


def test_no_size_is_smaller_than_an_image_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a budget far out of reach no size is tried."""
    assert "--size" not in remedies(0.001, monkeypatch)


def test_what_does_not_help_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads than cores, and the precision that is used already."""
    told = remedies(0.6, monkeypatch, cores=1, precision="int8")
    assert "--threads" not in told
    assert "int8" not in told


@pytest.mark.parametrize("includes", ["call", "preparation"])
def test_a_budget_of_the_network_alone_is_tried(
    includes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the budget includes more."""
    assert "--budget-includes network" in remedies(0.6, monkeypatch, includes=includes)
    assert "--budget-includes" not in remedies(0.6, monkeypatch)


@pytest.mark.parametrize("includes", ["network", "call"])
def test_another_runtime_that_is_installed_is_tried(
    includes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the budget includes the call of a package, which runs in ONNX Runtime alone."""
    monkeypatch.setattr(OpenVino, "version", "1")
    told = remedies(0.3, monkeypatch, spec=object(), includes=includes)
    assert ("--runtime openvino (0.25 ms)" in told) == (includes == "network")
    assert ("another --runtime was not timed" in told) == (includes == "call")
