"""A made-up runtime whose clock the test turns: every latency is known, whatever the machine."""

import math

import numpy as np
import pytest

from tapetum.arch import Architecture, Space
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.timing import ForwardPass
from test_latency_table import CONDITIONS, true_ms


def without_graph(architecture: Architecture) -> DeployedNetwork:
    """A network of which only the architecture matters."""
    return DeployedNetwork(b"", {}, architecture)


class ScriptedRuntime:
    """Moves the clock of timings by the true latency of each network, times a factor and noise."""

    name, version = CONDITIONS.runtime, CONDITIONS.runtime_version
    precision, device = CONDITIONS.precision, CONDITIONS.device

    def __init__(
        self, space: Space, monkeypatch: pytest.MonkeyPatch, *, noise: float = 0, factor: float = 1
    ) -> None:
        self.space, self.noise, self.factor = space, noise, factor
        self.generator = np.random.default_rng(0)
        self.now_ns = 0
        self.num_prepared = 0
        monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: self.now_ns)
        monkeypatch.setattr("tapetum.latency.timing.time.sleep", lambda _: None)
        monkeypatch.setattr(DeployedNetwork, "of", without_graph)  # writing it takes milliseconds

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """A pass of the network moves the clock, by another noise each time it is prepared."""
        del conditions
        self.num_prepared += 1
        noise = math.exp(self.noise * self.generator.standard_normal())
        assert network.architecture is not None
        true = true_ms(self.space, self.space.choices(network.architecture))
        pass_ns = round(1e6 * noise * self.factor * true)

        def forward() -> None:
            self.now_ns += pass_ns

        return forward
