"""A device whose latencies follow from multiply-adds, and a race in this process, for tests."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scripted_runtime import ScriptedRuntime
from tapetum.arch import Architecture, cost
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.timing import ForwardPass
from test_latency_table import small_space
from tiny_race import Here, _Timeless

CALL_MS, MULTIPLY_ADDS_A_MS, INT8_SHARE = 0.02, 4e7, 0.5


def formula_ms(architecture: Architecture, size_px: int) -> float:
    """What one pass takes on this device."""
    return CALL_MS + cost.multiply_adds(architecture, size_px, size_px) / MULTIPLY_ADDS_A_MS


class ShapeRuntime(ScriptedRuntime):
    """Moves the clock of timings by the multiply-adds of each network, times ``factor``."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, size_px: int = 32, factor: float = 1
    ) -> None:
        super().__init__(small_space(num_slots=1, num_classes=2), monkeypatch, factor=factor)
        self.size_px = size_px
        # All passes are alike, and short: a round has thousands where their time is its end.
        monkeypatch.setattr("tapetum.latency.agent.MOST_PASSES", 10)

    def _pass(self, passes: float, network: DeployedNetwork, *, more_ms: float = 0) -> ForwardPass:
        """A network in int8 takes half of the time."""
        share = INT8_SHARE if network.precision == "int8" else 1
        return super()._pass(share * passes, network, more_ms=more_ms)

    def true_ms(self, architecture: Architecture) -> float:
        """By the formula of the device."""
        return formula_ms(architecture, self.size_px)


def race_in_this_process(monkeypatch: pytest.MonkeyPatch, *, step_s: float = 1.0) -> None:
    """Let races compute here, by a given pace, so that no clock decides."""
    module = sys.modules["tapetum.search.race"]

    @contextmanager
    def open_workers(*_: Any) -> Iterator[Here]:
        yield Here(step_s)

    monkeypatch.setattr(module, "open_workers", open_workers)
    monkeypatch.setattr(module, "Starter", _Timeless)
    monkeypatch.setattr("tapetum.search.plan.fewest_steps", lambda _: 3)
    monkeypatch.setattr("tapetum.jobs.planning.how_many", lambda *_, **__: 4)
