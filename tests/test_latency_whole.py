"""Laws of timing many networks whole, of the model fitted to them, and of the grid of widths."""

import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum.arch import Architecture, Shape, ShapeSpace, cost
from tapetum.latency import (
    Conditions,
    NetworkTimer,
    TimedShapes,
    Timing,
    find_runtime,
    probe_widths,
)
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.model import features_of, fit_rates
from tapetum.latency.timing import ForwardPass, Prepare, Round
from tapetum.latency.vector import WIDTHS, WidthStep
from test_latency_table import CONDITIONS

SPACE = ShapeSpace(width_step=16, size_px=64, image_channels=3, num_classes=10)
HERE = CONDITIONS.model_copy(update={"channels": 3, "height_px": 64, "width_px": 64})


def formula_ms(network: Architecture) -> float:
    """A made-up device: calls, layers, multiply-adds, depth-wise ones, elements."""
    total = 0.03
    for layer in cost.layer_costs(network, 64, 64):
        rate = 8e-8 if layer.path.endswith(".depthwise") else 2.1e-8
        total += 0.004 + rate * layer.multiply_adds + 4e-7 * layer.elements
    return total


def by_formula(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
    """Time networks on the made-up device."""
    return [Timing.of([Round([formula_ms(one)] * 3)] * num_rounds) for one in networks]


def shapes(count: int, *, seed: int = 0) -> list[Shape]:
    """Random shapes of at most some milliseconds."""
    generator = np.random.default_rng(seed)
    return [SPACE.scaled(SPACE.draw(generator), 0.6) for _ in range(count)]


class Drift:
    """A clock that the test turns, on a machine whose speed drifts, and what was prepared."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, per_prepared: float) -> None:
        self.now_ns, self.per_prepared = 0, per_prepared
        self.prepared: list[str] = []
        for clock in ("perf_counter_ns", "thread_time_ns", "process_time_ns"):
            monkeypatch.setattr(f"tapetum.latency.timing.time.{clock}", lambda: self.now_ns)
        monkeypatch.setattr("tapetum.latency.agent.clock_is_coarse", lambda: False)

    def open(self, network: Architecture) -> Prepare:
        """A network whose name is its latency in milliseconds."""

        def prepare() -> ForwardPass:
            slower = (1 + self.per_prepared) ** len(self.prepared)
            self.prepared.append(network.name)
            pass_ns = round(1e6 * float(network.name) * slower)

            def forward() -> None:
                self.now_ns += pass_ns

            return forward

        return prepare


def named(milliseconds: float) -> Architecture:
    """A network of that latency on a drifting machine."""
    return SPACE.architecture(SPACE.smallest(), f"{milliseconds}")


def test_slow_drift_is_taken_out_of_quick_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty equal networks while the machine becomes 16 % slower: equal within 2 %."""
    machine = Drift(monkeypatch, per_prepared=0.002)
    timer = NetworkTimer(machine.open, named(1.0))
    found = [one.median_ms for one in timer([named(4.0)] * 40)]
    assert max(found[3:-3]) / min(found[3:-3]) < 1.001
    assert max(found) / min(found) < 1.02
    assert statistics.median(found) == pytest.approx(4 * 1.002**40, rel=0.01)


def test_networks_take_turns_in_several_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A B A B, without anchors."""
    machine = Drift(monkeypatch, per_prepared=0.0)
    first, second = NetworkTimer(machine.open, named(1.0))([named(2), named(3)], num_rounds=3)
    assert machine.prepared == ["2", "3"] * 3
    assert (first.median_ms, second.median_ms) == (2.0, 3.0)
    assert first.num_rounds == 3


def test_a_quick_timing_takes_a_tenth_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of computing: the network's warm-up and passes, and those of the anchor."""
    machine = Drift(monkeypatch, per_prepared=0.0)
    NetworkTimer(machine.open, named(1.0))([named(2.0)] * 10)
    assert machine.now_ns / 1e9 / 10 < 0.15


def test_shapes_are_timed_once() -> None:
    """Known ones are not timed again, unless for more rounds."""
    asked: list[int] = []

    def time(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        asked.append(len(networks))
        return by_formula(networks, num_rounds=num_rounds)

    some = shapes(4)
    timed = TimedShapes(conditions=HERE, space=SPACE).timed([*some[:3], some[0]], time)
    timed = timed.timed(some, time)
    timed = timed.timed(some[:2], time, num_rounds=5).timed(some, time)
    assert asked == [3, 1, 2]
    assert [one.shape for one in timed.shapes] == some
    assert TimedShapes.from_json(timed.to_json(), source="memory") == timed


def test_the_model_predicts_and_ranks() -> None:
    """On shapes that it was not fitted to: within 3 % on average, and nearly in order."""
    timed = TimedShapes(conditions=HERE, space=SPACE).timed(shapes(24), by_formula)
    predict, fresh = timed.predictor(), shapes(30, seed=1)
    true = np.array([formula_ms(SPACE.architecture(shape)) for shape in fresh])
    predicted = np.array([predict(shape) for shape in fresh])
    assert np.abs(predicted / true - 1).mean() < 0.03
    ranks = [np.argsort(np.argsort(values)) for values in (true, predicted)]
    assert np.corrcoef(ranks)[0, 1] > 0.98


def test_the_model_finds_the_speed_of_a_slow_machine_from_one_network() -> None:
    """Ten times slower: predictions are ten times higher."""
    one, other = (rows_of([shape])[0] for shape in shapes(2))
    quick, slow = (fit_rates(one[np.newaxis], np.array([ms])) for ms in (1.0, 10.0))
    assert one @ quick == pytest.approx(1.0, rel=0.01)
    assert other @ slow == pytest.approx(10 * other @ quick, rel=1e-6)


def test_no_rate_is_negative() -> None:
    """However noisy the latencies are, so that a larger network is never predicted faster."""
    generator, some = np.random.default_rng(0), shapes(12)
    latencies = [formula_ms(SPACE.architecture(one)) for one in some]
    rows = rows_of([*some, SPACE.scaled(some[0], 2)])
    rates = fit_rates(rows[:-1], np.array(latencies) * generator.uniform(0.5, 2, len(some)))
    assert (rates >= 0).all()
    assert rows[-1] @ rates > rows[0] @ rates


def rows_of(some: Sequence[Shape]) -> NDArray[np.float64]:
    """The features of some shapes."""
    return np.stack([features_of(SPACE.architecture(shape), 64, 64, 16) for shape in some])


class Blocks:
    """A runtime that computes channels in blocks, with noise that only slows."""

    name, version, precision, device = "made-up", "1", "fp32", "made-up"
    uses_cores = runs_packages = True

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: int, *, noise: float) -> None:
        self.step, self.noise, self.now_ns = step, noise, 0
        self.generator = np.random.default_rng(step)
        for clock in ("perf_counter_ns", "thread_time_ns", "process_time_ns"):
            monkeypatch.setattr(f"tapetum.latency.timing.time.{clock}", lambda: self.now_ns)
        monkeypatch.setattr("tapetum.latency.agent.clock_is_coarse", lambda: False)

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """Every channel of a chain is rounded up to whole blocks."""
        width = conditions.channels
        padded = -(-width // self.step) * self.step
        slower = 1 + self.noise * self.generator.exponential()
        pass_ns = round(1e6 * slower * (0.02 + 1e-3 * padded**2))
        assert network.architecture is not None

        def forward() -> None:
            self.now_ns += pass_ns

        return forward


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("step", [4, 8, 16])
def test_the_grid_of_widths_is_measured(
    step: WidthStep, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the blocks of the runtime, on a quiet and on a noisy machine, in a second."""
    runtime = Blocks(monkeypatch, step, noise=noise)
    found = probe_widths(runtime, HERE)  # type: ignore[arg-type]
    assert found.width_step == step
    assert set(found.rates) == set(WIDTHS)
    assert f"channel counts are multiples of {step}, " in str(found)
    assert runtime.now_ns < 2e9


def test_shapes_that_were_timed_on_a_shared_core_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mean share, and after a new start as well."""
    monkeypatch.setattr("tapetum.latency.timing.QUIET_SHARE", 0.9)

    def time(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        rounds = [Round([2.0], num_preempted=1, wall_ms=10.0, cpu_ms=4.5)] * num_rounds
        return [Timing.of(rounds) for _ in networks]

    timed = TimedShapes(conditions=HERE, space=SPACE).timed(shapes(2), time)
    assert timed.shared == "another process uses this core: our passes got 45 % of it"
    assert TimedShapes.from_json(timed.to_json(), source="memory").shared == timed.shared
    assert TimedShapes(conditions=HERE, space=SPACE).timed(shapes(2), by_formula).shared == ""


def shared_by_formula(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
    """Time networks three times as slowly, on a core of which they get less than half."""
    return [
        Timing.of([Round([3 * formula_ms(one)], wall_ms=10.0, cpu_ms=4.5)] * num_rounds)
        for one in networks
    ]


def test_a_shape_that_was_timed_on_a_shared_core_is_timed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until it has the core for itself."""
    monkeypatch.setattr("tapetum.latency.timing.QUIET_SHARE", 0.9)
    (shape,) = shapes(1)
    busy = TimedShapes(conditions=HERE, space=SPACE).timed([shape], shared_by_formula)
    quiet = busy.timed([shape], by_formula)
    assert len(quiet.shapes) == 1
    assert quiet.shapes[0].timing.median_ms < busy.shapes[0].timing.median_ms
    assert quiet.timed([shape], shared_by_formula) is quiet


def test_shapes_that_were_timed_on_a_shared_core_do_not_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where ten others were not: predictions are as if the former were unknown."""
    monkeypatch.setattr("tapetum.latency.timing.QUIET_SHARE", 0.9)
    quiet = TimedShapes(conditions=HERE, space=SPACE).timed(shapes(12), by_formula)
    mixed = quiet.timed(shapes(12, seed=1), shared_by_formula)
    for shape in shapes(5, seed=2):
        assert mixed.predictor()(shape) == quiet.predictor()(shape)


def test_a_network_without_a_layer_for_int8_is_timed_in_fp32() -> None:
    """The smallest shape has none: it would ship so."""
    runtime = find_runtime("onnxruntime")
    conditions = HERE.model_copy(update={"precision": "int8"})
    timer = NetworkTimer.of(runtime, conditions, named(1))
    for shape in (SPACE.smallest(), SPACE.plain()):
        assert timer.open(SPACE.architecture(shape))()() is not None
