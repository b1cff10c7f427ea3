"""A made-up runtime whose clock the test turns: every latency is known, whatever the machine."""

import math
import os
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum.arch import Architecture, Space
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.timing import ForwardPass
from tapetum.runtime import Precision
from test_latency_table import CONDITIONS, true_ms

DENSE_MS = 1.0  # of the convolutions that stand for the machine's peak
PREPARE_MS = 0.5  # of any image


def without_graph(architecture: Architecture, *, precision: Precision = "fp32") -> DeployedNetwork:
    """A network of which only the architecture matters."""
    return DeployedNetwork(b"", {}, architecture, precision=precision)


class ScriptedRuntime:
    """Moves the clock of timings by the true latency of each network, times a factor and noise.

    Another process takes the core during a pass for the next of ``waits_ms``, over and over.
    """

    name, version = CONDITIONS.runtime, CONDITIONS.runtime_version
    precision, device = CONDITIONS.precision, CONDITIONS.device
    runs_packages = uses_cores = True

    def __init__(
        self,
        space: Space,
        monkeypatch: pytest.MonkeyPatch,
        *,
        noise: float = 0,
        factor: float = 1,
        waits_ms: Sequence[float] = (0.0,),
    ) -> None:
        self.space, self.noise, self.factor = space, noise, factor
        self.generator = np.random.default_rng(0)
        self.now_ns = 0
        self.cpu_ns = 0
        self.waits_ms = cycle(waits_ms)
        self.num_prepared = 0
        monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: self.now_ns)
        for clock in ("thread_time_ns", "process_time_ns"):
            monkeypatch.setattr(f"tapetum.latency.timing.time.{clock}", lambda: self.cpu_ns)
        monkeypatch.setattr("tapetum.latency.timing.time.sleep", lambda _: None)
        monkeypatch.setattr("tapetum.latency.agent.clock_is_coarse", lambda: False)
        # Nothing is timed here, so nobody has to wait for a real measurement.
        monkeypatch.setattr("tapetum.latency.lock.LOCK_NAME", f"scripted-{os.getpid()}")
        monkeypatch.setattr(DeployedNetwork, "of", without_graph)  # writing it takes milliseconds
        # Other runtimes would be timed as they are.
        monkeypatch.setattr("tapetum.jobs.remedies.find_spec", lambda _: None)
        monkeypatch.setattr(
            "tapetum.latency.calls._prepared", lambda *_: self.advance(round(1e6 * PREPARE_MS))
        )

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """A pass of the network moves the clock, by another noise each time it is prepared."""
        del conditions
        return self._pass(1, network)

    def prepare_call(
        self, network: DeployedNetwork, conditions: Conditions, image: NDArray[np.uint8]
    ) -> ForwardPass:
        """A call prepares the image, labels it, and takes a pass of its share of pixels."""
        height, width, _ = image.shape
        passes = 1 + height * width / conditions.height_px**2
        return self._pass(passes, network, more_ms=PREPARE_MS)

    def _pass(self, passes: float, network: DeployedNetwork, *, more_ms: float = 0) -> ForwardPass:
        self.num_prepared += 1
        noise = math.exp(self.noise * self.generator.standard_normal())
        assert network.architecture is not None
        is_dense = network.architecture.name == "dense"
        true = DENSE_MS if is_dense else self.true_ms(network.architecture)
        pass_ns = round(1e6 * (noise * self.factor * passes * true + more_ms))

        def forward() -> None:
            self.advance(pass_ns)
            self.now_ns += round(1e6 * next(self.waits_ms))

        return forward

    def advance(self, pass_ns: int) -> None:
        """Let the processor work for so long."""
        self.now_ns += pass_ns
        self.cpu_ns += pass_ns

    def true_ms(self, architecture: Architecture) -> float:
        """What one pass of a network of the space takes."""
        return true_ms(self.space, self.space.choices(architecture))
