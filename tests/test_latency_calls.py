"""Tests of what surrounds a pass, on a made-up clock: preparation, whole call, a camera's pace."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum import Predictor
from tapetum.arch import find_architecture
from tapetum.errors import InputError
from tapetum.graph import random_weights, write_graph
from tapetum.latency import measure_latency
from tapetum.latency.benchmark import Benchmark
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.runtimes import RUNTIMES, OnnxRuntime
from tapetum.latency.timing import ForwardPass, time_paced
from tapetum.runtime import GraphSession, Manifest, Preparation, write_package
from test_cli import run, sentence

SIZE_PX, TYPICAL_PX = 32, (40, 56)
PASS_MS, PREPARE_MS, MS_PER_PIXEL = 2, 1, 0.005


@dataclass
class Clock(OnnxRuntime):
    """Lets time pass by the size of what is computed, and by nothing else."""

    now_ns: int = 0
    asleep_ns: int = 0

    def advance(self, ms: float) -> None:
        """Let time pass."""
        self.now_ns += round(1e6 * ms)

    def sleep(self, seconds: float) -> None:
        """Let time pass without work."""
        self.advance(1000 * seconds)
        self.asleep_ns += round(1e9 * seconds)

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """A pass takes the same time whatever it is."""
        del network, conditions
        return partial(self.advance, PASS_MS)

    def prepare_call(
        self, network: DeployedNetwork, conditions: Conditions, image: NDArray[np.uint8]
    ) -> ForwardPass:
        """A call takes the longer the larger its image is."""
        del network
        assert image.shape[2] == conditions.channels
        height, width, _ = image.shape
        return partial(self.advance, PREPARE_MS + PASS_MS + MS_PER_PIXEL * height * width)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every timing, in the place of ONNX Runtime."""
    clock = Clock()
    monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: clock.now_ns)
    monkeypatch.setattr("tapetum.latency.timing.time.sleep", clock.sleep)
    monkeypatch.setitem(RUNTIMES, "onnxruntime", clock)
    original = Preparation.resized

    def resized(self: Preparation, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        clock.advance(PREPARE_MS)
        return original(self, pixels)

    monkeypatch.setattr(Preparation, "resized", resized)
    return clock


def package_at(path: Path, **fields: object) -> Path:
    """A package with random weights."""
    architecture = find_architecture(
        "dc-net-reduced-integrated", channels=1, num_classes=3, boxes=False
    )
    manifest = Manifest.of(architecture, size_px=SIZE_PX, class_names="abc", **fields)
    write_package(path, write_graph(architecture, random_weights(architecture, seed=0)), manifest,
                  "A card.")  # fmt: skip
    return path


def call_ms(height: int, width: int) -> float:
    """What the made-up clock shows for a whole call."""
    return PREPARE_MS + PASS_MS + MS_PER_PIXEL * height * width


def timed(package: Path, **options: object) -> Benchmark:
    """A short benchmark."""
    return measure_latency(package, seconds=0.1, **options)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("stored", "given", "expected"),
    [
        (TYPICAL_PX, None, TYPICAL_PX),
        (TYPICAL_PX, (24, 20), (24, 20)),
        (None, None, (SIZE_PX, SIZE_PX)),
    ],
)
def test_a_package_is_timed_as_it_is_used(
    tmp_path: Path,
    stored: tuple[int, int] | None,
    given: tuple[int, int] | None,
    expected: tuple[int, int],
) -> None:
    """One pass at its own size; preparation and call for the image that is given, else a file."""
    found = timed(package_at(tmp_path / "p.tapetum", typical_px=stored), image_px=given)
    assert found.conditions.width_px == SIZE_PX
    assert found.timing.median_ms == PASS_MS
    assert found.calls is not None
    assert (found.calls.height_px, found.calls.width_px) == expected
    assert found.calls.preparation.median_ms == PREPARE_MS
    assert found.calls.prepared.median_ms == PREPARE_MS + PASS_MS
    assert found.calls.whole is not None
    assert found.calls.whole.median_ms == pytest.approx(call_ms(*expected))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("includes", ["network", "preparation", "call"])
def test_a_target_is_compared_with_what_it_includes(tmp_path: Path, includes: str) -> None:
    """Kept at just that latency, missed 10 % below it, for each meaning of the budget."""
    package = package_at(tmp_path / "p.tapetum", typical_px=TYPICAL_PX)
    takes = {"network": PASS_MS, "preparation": PREPARE_MS + PASS_MS, "call": call_ms(*TYPICAL_PX)}
    for target_ms, is_kept in ((takes[includes], True), (0.9 * takes[includes], False)):
        command = ("benchmark", package, "--seconds", 0.1, "--target-ms", target_ms)
        result = run(*command, "--budget-includes", includes, "--json")
        assert result.exit_code == (0 if is_kept else 1), result.output
        assert json.loads(result.stdout)["keeps_target"] == is_kept


@pytest.mark.usefixtures("clock")
def test_a_call_above_a_budget_that_one_pass_keeps_is_said(tmp_path: Path) -> None:
    """In words, with the size of the image; and not where the call keeps it, too."""
    package = package_at(tmp_path / "p.tapetum", typical_px=TYPICAL_PX)
    command = ("benchmark", package, "--seconds", 0.1, "--target-ms")
    told = run(*command, 1.1 * PASS_MS)
    assert told.exit_code == 0, told.output
    assert f"the whole call takes {call_ms(*TYPICAL_PX):.3f} ms on an image of" in told.stderr
    assert f"{TYPICAL_PX[1]} x {TYPICAL_PX[0]} px" in told.stderr
    assert "the whole call takes" not in run(*command, 1.1 * call_ms(*TYPICAL_PX)).stderr


@pytest.mark.parametrize("pass_ms", [1, 40, 120])
def test_paced_passes_begin_a_fixed_time_apart(clock: Clock, pass_ms: int) -> None:
    """However long one takes, unless it takes longer than the pace; warm-ups do not count."""
    begun: list[int] = []

    def forward() -> None:
        begun.append(clock.now_ns)
        clock.advance(pass_ms)

    found = time_paced(forward, pace_ms=100, num_passes=5)
    assert found.passes_ms == [pass_ms] * 5
    assert set(np.diff(begun[-5:])) == {1e6 * max(100, pass_ms)}


@pytest.mark.usefixtures("clock")
def test_the_paced_latency_stands_beside_the_steady_one(tmp_path: Path) -> None:
    """Of the network and of the whole call, as table and as JSON; none where no pace is given."""
    package = package_at(tmp_path / "p.tapetum", typical_px=TYPICAL_PX)
    command = ("benchmark", package, "--seconds", 0.1)
    assert "one each 50 ms, median" in run(*command, "--pace-ms", 50).stdout
    found = json.loads(run(*command, "--pace-ms", 50, "--json").stdout)["paced"]
    assert found["pace_ms"] == 50
    assert found["network"]["median_ms"] == PASS_MS
    assert found["network"]["num_passes"] == 30
    assert found["whole"]["median_ms"] == pytest.approx(call_ms(*TYPICAL_PX))
    assert json.loads(run(*command, "--pace-ms", 0, "--json").stdout)["paced"] is None
    slower = timed(package, pace_ms=PASS_MS + 1).paced
    assert slower is not None
    assert slower.whole is None


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("stored", [None, 1, 2])
def test_predictor_and_benchmark_use_the_same_threads(
    tmp_path: Path, stored: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the package's budget holds for, else all cores; an explicit number decides."""
    package = package_at(tmp_path / "p.tapetum", threads=stored)
    used = []
    original = GraphSession.__init__

    def init(self: GraphSession, *given: object, threads: int, **more: object) -> None:
        used.append(threads)
        original(self, *given, threads=threads, **more)

    monkeypatch.setattr(GraphSession, "__init__", init)
    monkeypatch.setattr("tapetum.provenance.usable_cores", lambda: 4)
    Predictor.open(package)
    Predictor.open(package, threads=3)
    assert used == [stored or 4, 3]
    assert timed(package).conditions.threads == (stored or 4)
    assert timed(package, threads=3).conditions.threads == 3


def test_what_has_no_call_is_refused_before_anything_is_timed(clock: Clock, tmp_path: Path) -> None:
    """A batch, a network without a package, and a runtime that runs no packages."""
    package = package_at(tmp_path / "p.tapetum")
    for options in ({"batch": 2}, {"network": "unet-s"}, {"runtime": "openvino"}):
        with pytest.raises(InputError):
            measure_latency(**{"network": package, "includes": "call", **options})
    assert "is not called with an image" in sentence(run("benchmark", "unet-s", "--image", "9x9"))
    assert clock.now_ns == 0


def test_the_call_of_a_package_is_what_the_predictor_does(tmp_path: Path) -> None:
    """Denoised image at full resolution, and label; with boxes where the network takes some."""
    whole = DeployedNetwork.open(package_at(tmp_path / "p.tapetum"))
    architecture = find_architecture("dc-net-reduced-integrated", channels=1, num_classes=3)
    manifest = Manifest.of(architecture, size_px=SIZE_PX, class_names="abc")
    boxed = DeployedNetwork.of(architecture)
    for network in (whole, DeployedNetwork(boxed.graph, boxed.inputs, architecture, 32, manifest)):
        conditions = Conditions.here(OnnxRuntime(), threads=1, batch=1, channels=1, size_px=SIZE_PX)
        image = np.random.default_rng(0).integers(0, 256, (24, 40, 1), np.uint8)
        answer = OnnxRuntime().prepare_call(network, conditions, image)()
        assert answer.pixels.shape == (24, 40, 1)
        assert set(answer.labels) <= set("abc")
