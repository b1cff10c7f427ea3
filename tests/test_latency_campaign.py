"""Tests of measuring: campaigns that continue after a kill, tables, checks and benchmarks."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from scripted_runtime import ScriptedRuntime
from tapetum.arch import find_architecture
from tapetum.arch.cost import multiply_adds
from tapetum.errors import InputError, MissingExtraError, RunError
from tapetum.latency import (
    Conditions,
    DeployedNetwork,
    Effort,
    LatencyTable,
    check_table,
    find_runtime,
    measure_table,
)
from tapetum.latency.benchmark import benchmark_network
from tapetum.latency.campaign import MEDIANS, Campaign, Measurements, draw, run_campaign
from tapetum.latency.timing import ForwardPass, PassCount, time_passes
from tapetum.progress import silent
from test_latency_table import CONDITIONS, small_space

SHORT = PassCount(warmups=1, warmup_ms=0, min_passes=1, min_ms=0)
MINUTE_S = 0.95 * 60  # of a time limit, whose last twentieth is kept for the fit


def campaign(**changes: object) -> Campaign:
    """A campaign on the small space and the scripted runtime."""
    fields = {"conditions": CONDITIONS, "space": small_space(), "seed": 0, **changes}
    return Campaign.model_validate(fields)


def effort(count: int, *, limit_s: float = 6000, max_rounds: int = 50) -> Effort:
    """An effort whose networks may be fewer than a table needs."""
    made = Effort(minutes=limit_s / MINUTE_S, max_rounds=max_rounds)
    object.__setattr__(made, "networks", count)
    return made


def measurements(
    requested: Campaign, runtime: ScriptedRuntime, folder: Path, **options: float
) -> Measurements:
    """The outcome of a campaign in a folder."""
    folder.mkdir(exist_ok=True)
    made = effort(**options)  # type: ignore[arg-type]
    return run_campaign(requested, runtime, folder, effort=made, passes=SHORT, progress=silent)


def latencies(measured: Measurements) -> list[float]:
    """The latency of each network."""
    return [sample.median_ms for sample in measured.samples]


def table_on(
    runtime: ScriptedRuntime, out: Path, *, networks: int = 120, **options: object
) -> LatencyTable:
    """A table of the runtime's space."""
    made = Effort(networks, max_rounds=5)
    return measure_table(
        runtime.space, runtime, CONDITIONS, out, effort=made, passes=SHORT, **options
    )


def test_a_killed_campaign_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the torn line is measured again, and the log ends as without the kill."""
    requested = campaign()
    runtime = ScriptedRuntime(requested.space, monkeypatch)
    whole = measurements(requested, runtime, tmp_path / "whole", count=4)
    assert runtime.num_prepared == 12  # without noise three rounds are enough
    text = (tmp_path / "whole" / MEDIANS).read_text()
    lines = text.splitlines(keepends=True)
    for torn in ("".join(lines[:7])[:-9], "", lines[0][:5]):  # in the seventh, none, in the first
        killed = tmp_path / f"{len(torn)}"
        killed.mkdir()
        (killed / MEDIANS).write_text(torn)
        runtime.num_prepared = 0
        assert measurements(requested, runtime, killed, count=4) == whole
        assert runtime.num_prepared == 12 - torn.count("\n")
        assert measurements(requested, runtime, killed, count=4) == whole
        assert runtime.num_prepared == 12 - torn.count("\n")


def test_a_full_disk_loses_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full disk tears in the middle of the log is measured again."""
    requested = campaign()
    runtime = ScriptedRuntime(requested.space, monkeypatch)
    whole = measurements(requested, runtime, tmp_path / "whole", count=4)
    lines = (tmp_path / "whole" / MEDIANS).read_text().splitlines(keepends=True)
    (tmp_path / "full").mkdir()
    torn = [*lines[:3], lines[3][:20] + "\n", "\0\0\n", "{}\n", *lines[4:]]
    (tmp_path / "full" / MEDIANS).write_text("".join(torn))
    runtime.num_prepared = 0
    again = measurements(requested, runtime, tmp_path / "full", count=4)
    assert latencies(again) == latencies(whole)
    assert runtime.num_prepared == 1


def test_rounds_continue_until_latencies_are_precise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A noisier machine needs more rounds for the same precision, and the noise is stated."""
    requested = campaign()
    num_rounds = []
    for noise in (0.01, 0.03):
        runtime = ScriptedRuntime(requested.space, monkeypatch, noise=noise)
        measured = measurements(requested, runtime, tmp_path / f"{noise}", count=30)
        assert measured.is_precise
        assert measured.noise == pytest.approx(noise / measured.num_rounds**0.5, rel=0.4)
        num_rounds.append(measured.num_rounds)
    assert num_rounds[0] < num_rounds[1]


def test_rounds_end_however_noisy_the_machine_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the most rounds or at the time limit, and the result is not called precise."""
    requested = campaign()
    runtime = ScriptedRuntime(requested.space, monkeypatch, noise=1)
    measured = measurements(requested, runtime, tmp_path / "rounds", count=30, max_rounds=4)
    assert not measured.is_precise
    assert measured.num_rounds == 4
    again = measurements(requested, runtime, tmp_path / "rounds", count=30, limit_s=1e-9)
    assert again == measured


def test_networks_that_are_timed_no_more_do_not_make_a_machine_noisy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A campaign that continues with fewer networks is as precise as one that began so."""
    requested = campaign()
    runtime = ScriptedRuntime(requested.space, monkeypatch, noise=0.01)
    first = measurements(requested, runtime, tmp_path / "rounds", count=40, max_rounds=1)
    assert (first.num_rounds, len(first.samples)) == (1, 40)
    fewer = measurements(requested, runtime, tmp_path / "rounds", count=20, max_rounds=20)
    assert fewer.is_precise
    assert 2 < fewer.num_rounds < 20
    assert len(fewer.samples) == 40


def test_a_slow_device_times_fewer_networks_rather_than_each_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three rounds fit into the time: in fewer, a disturbed median could not be told."""
    requested = campaign()
    runtime = ScriptedRuntime(requested.space, monkeypatch)
    monkeypatch.setattr(
        "tapetum.latency.campaign.time.monotonic", lambda: float(runtime.num_prepared)
    )
    measured = measurements(requested, runtime, tmp_path / "log", count=300, limit_s=300)
    assert len(measured.samples) == 100
    assert measured.num_rounds == 3


def test_measurements_of_another_request_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two conditions or two seeds never end up in one table."""
    runtime, out = ScriptedRuntime(small_space(), monkeypatch), tmp_path / "t.json"
    _stop_after(runtime, 70, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        table_on(runtime, out)
    log = tmp_path / "t.json.campaign" / MEDIANS
    before = log.read_bytes()
    with pytest.raises(RunError, match=r"latency campaign in .* with another request: seed"):
        table_on(runtime, out, seed=1)
    assert log.read_bytes() == before


def _stop_after(
    runtime: ScriptedRuntime, count: int, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Let the user interrupt a measurement; return what lets it continue."""
    prepare = runtime.prepare

    def stop(*given: object) -> ForwardPass:
        if runtime.num_prepared == count:
            raise KeyboardInterrupt
        return prepare(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime, "prepare", stop)
    return lambda: monkeypatch.setattr(runtime, "prepare", prepare)


def test_a_killed_table_ends_as_without_the_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the kill came before the folder held its request."""
    runtime = ScriptedRuntime(small_space(), monkeypatch)
    whole = table_on(runtime, tmp_path / "whole.json")
    go_on = _stop_after(runtime, runtime.num_prepared + 150, monkeypatch)
    (tmp_path / "t.json.campaign").mkdir()
    with pytest.raises(KeyboardInterrupt):
        table_on(runtime, tmp_path / "t.json")
    go_on()
    assert table_on(runtime, tmp_path / "t.json").entries == whole.entries
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.json", "whole.json"]


@pytest.mark.parametrize("moment", range(3))
def test_a_kill_while_measurements_are_removed_leaves_nothing_stuck(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is there, and can be measured again."""
    runtime, out = ScriptedRuntime(small_space(), monkeypatch), tmp_path / "t.json"
    moments, unlink, rmdir = iter(range(3)), Path.unlink, Path.rmdir

    def killed(remove: Callable[[Path], None], path: Path) -> None:
        is_ours = "t.json.campaign" in (path.parent.name, path.name)
        if is_ours and next(moments) == moment:
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda path, **_: killed(unlink, path))
        patch.setattr(Path, "rmdir", lambda path: killed(rmdir, path))
        with pytest.raises(KeyboardInterrupt):
            table_on(runtime, out, networks=60)
    first = LatencyTable.read(out)
    assert table_on(runtime, out, networks=60, overwrite=True).entries == first.entries
    assert list(tmp_path.iterdir()) == [out]


def test_a_table_needs_the_measure_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is timed, with a command that works from a clone."""
    runtime = ScriptedRuntime(small_space(), monkeypatch)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingExtraError, match=r"SciPy.* clone: pip install '\.\[measure\]'"):
        table_on(runtime, tmp_path / "t.json")
    assert runtime.num_prepared == 0
    assert list(tmp_path.iterdir()) == []


def test_draws_depend_on_seed_and_index_alone() -> None:
    """So that a campaign can go on anywhere, and a check shares no network with it."""
    one, other = campaign(), campaign(seed=1)
    assert draw(one, 3) == draw(one, 3)
    assert draw(one, 3) != draw(one, 4)
    assert draw(one, 3) != draw(other, 3)


def test_a_table_is_measured_checked_and_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device without noise, new networks are as predicted, and not by multiply-adds."""
    runtime, out = ScriptedRuntime(small_space(), monkeypatch), tmp_path / "table.json"
    table = table_on(runtime, out)
    assert list(tmp_path.iterdir()) == [out]
    check = check_table(table, runtime, num_networks=30, passes=SHORT)
    assert check.table.mean < 0.01
    assert check.table.mean < check.multiply_adds.mean / 3
    assert check.table.rank_correlation > 0.99
    assert check.repeating.mean == pytest.approx(0)
    assert check.repeating.rank_correlation == pytest.approx(1)
    assert abs(check.bias) < 0.01


def test_a_slower_machine_is_told_from_a_table_that_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The median error is the change of speed; apart from it, the table is as good as before."""
    runtime = ScriptedRuntime(small_space(), monkeypatch, noise=0.02)
    table = table_on(runtime, tmp_path / "t")
    before, after = (
        check_table(table, runtime, num_networks=60, passes=SHORT) for runtime.factor in (1.0, 1.25)
    )
    assert before.bias == pytest.approx(0, abs=0.02)
    assert after.bias == pytest.approx(-0.2, abs=0.02)
    assert after.table.mean == pytest.approx(0.2, abs=0.02)
    assert after.same_speed.mean == pytest.approx(before.same_speed.mean, abs=0.01)
    for check in (before, after):
        assert 0.85 <= check.coverage <= 0.97


@pytest.mark.parametrize("noise", [pytest.param(0.005, marks=pytest.mark.slow), 0.04])
def test_the_interval_of_a_check_is_for_the_noise_that_it_meets(
    noise: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine in ten lie inside whether the machine has become quieter or noisier since."""
    runtime = ScriptedRuntime(small_space(), monkeypatch, noise=0.02)
    table = table_on(runtime, tmp_path / "t")
    runtime.noise = noise
    check = check_table(table, runtime, num_networks=100, passes=SHORT)
    assert (check.interval > table.accuracy.interval) == (noise > 0.02)
    assert 0.85 <= check.coverage <= 1


def test_too_little_time_keeps_the_measurements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no table of a handful of networks, and nothing is lost."""
    space, out = small_space(), tmp_path / "table.json"
    runtime = ScriptedRuntime(space, monkeypatch)
    monkeypatch.setattr(
        "tapetum.latency.campaign.time.monotonic", lambda: float(runtime.num_prepared)
    )
    measured = partial(measure_table, space, runtime, CONDITIONS, out, passes=SHORT)
    with pytest.raises(InputError, match=r"only 2[01] networks could be timed in 0\.35"):
        measured(effort=effort(100, limit_s=20))
    assert not out.exists()
    measured(effort=effort(80))
    assert runtime.num_prepared == 240
    with pytest.raises(InputError, match="exists already"):
        measured(effort=effort(100))


def test_a_table_of_a_shared_core_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused after some seconds, and the next measurement repeats every network."""
    monkeypatch.setattr("tapetum.latency.timing.QUIET_SHARE", 0.9)
    space, out = small_space(), tmp_path / "table.json"
    busy = ScriptedRuntime(space, monkeypatch, waits_ms=[100.0])
    with pytest.raises(
        InputError, match=r"our passes got \d+ % of it; a latency table .* not kept"
    ):
        table_on(busy, out)
    assert busy.num_prepared == 60
    assert not out.exists()
    quiet = ScriptedRuntime(space, monkeypatch)
    table_on(quiet, out)
    assert quiet.num_prepared == 3 * 120


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"networks": 20}, "with 20 networks .* request 60 networks or more"),
        ({"minutes": 0.0}, "in 0 minutes"),
        ({"minutes": float("nan")}, "nan minutes"),
        ({"max_rounds": 0}, "at most 0 rounds"),
    ],
)
def test_an_effort_that_makes_no_table_is_refused(change: dict[str, float], words: str) -> None:
    """With the number and what is possible."""
    with pytest.raises(InputError, match=words):
        Effort(**change)  # type: ignore[arg-type]


def test_a_table_of_another_runtime_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is timed."""
    runtime = ScriptedRuntime(small_space(), monkeypatch)
    table = table_on(runtime, tmp_path / "table.json")
    runtime.num_prepared = 0
    monkeypatch.setattr(runtime, "name", "openvino")
    with pytest.raises(InputError, match=r"t\.json holds for .*runtime onnxruntime, not openvino"):
        check_table(table, runtime, num_networks=3, what="t.json")
    with pytest.raises(InputError, match="0 networks"):
        check_table(table, runtime, num_networks=0)
    assert runtime.num_prepared == 0


def test_a_graph_is_timed_under_the_runtime_that_ships() -> None:
    """A real network: 64 times the work takes longer."""
    space, runtime = small_space(), find_runtime("onnxruntime")
    network = DeployedNetwork.of(space.architecture(space.random(np.random.default_rng(0))))
    passes = PassCount(warmups=2, warmup_ms=0, min_passes=5, min_ms=0)
    fastest = []
    for size_px in (32, 256):
        conditions = Conditions.here(runtime, threads=1, batch=1, channels=1, size_px=size_px)
        fastest.append(min(time_passes(runtime.prepare(network, conditions), passes).passes_ms))
    assert fastest[0] < fastest[1]


def test_an_unknown_runtime_is_refused_with_the_nearest() -> None:
    """A slip of the hand."""
    with pytest.raises(InputError, match=r"no runtime 'onnx'.*onnxruntime"):
        find_runtime("onnx")


def test_conditions_are_told_in_a_line() -> None:
    """For the head of a table."""
    conditions = Conditions.model_validate(CONDITIONS.model_dump())
    assert str(conditions) == (
        "onnxruntime 1, fp32, 1 thread, batch 1, 1 x 32 x 32 px, a made-up one"
    )


def test_a_graph_is_timed_beside_the_machines_peak() -> None:
    """Median, tail and spread of one graph, its images a second, and its share of the peak."""
    runtime = find_runtime("onnxruntime")
    for name, channels in (("unet-s", 3), ("dc-net-reduced-integrated", 1)):
        network = DeployedNetwork.open(name, channels=channels, num_classes=5)
        conditions = Conditions.here(runtime, threads=1, batch=2, channels=channels, size_px=48)
        found = benchmark_network(network, runtime, conditions, seconds=0.2)
        assert 0 < found.timing.median_ms <= found.timing.p95_ms
        assert 3 <= found.timing.num_rounds <= 10
        assert found.images_per_second == pytest.approx(2000 / found.timing.median_ms)
        assert found.multiply_adds is not None
        assert found.peak_share is not None
        assert found.peak_share > 0


def test_half_as_quick_as_dense_convolutions_is_half_of_the_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the multiply-adds of both and a made-up clock."""
    network = DeployedNetwork.open("unet-s", channels=3, num_classes=5)
    assert network.architecture is not None
    now_ns = [0]
    monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: now_ns[0])

    def prepare(what: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        assert what.architecture is not None
        cost = multiply_adds(what.architecture, conditions.height_px, conditions.width_px)
        each_ns = (2 if what is network else 1) * conditions.batch * cost

        def run() -> None:
            now_ns[0] += each_ns

        return run

    runtime = find_runtime("onnxruntime")
    monkeypatch.setattr(runtime, "prepare", prepare)
    conditions = Conditions.here(runtime, threads=1, batch=2, channels=3, size_px=48)
    assert benchmark_network(network, runtime, conditions, seconds=0.2).peak_share == pytest.approx(
        0.5
    )


def test_a_benchmark_on_a_shared_core_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every second pass is interrupted: the others count, and the share is told and kept."""
    monkeypatch.setattr("tapetum.latency.agent.FULL_SHARE", 0.95)
    monkeypatch.setattr("tapetum.latency.timing.QUIET_SHARE", 0.9)
    space = small_space()
    architecture = space.architecture(space.random(np.random.default_rng(0)))
    runtime = ScriptedRuntime(space, monkeypatch, waits_ms=[0.0, 5.0])
    network = DeployedNetwork.of(architecture)
    found = benchmark_network(network, runtime, CONDITIONS, seconds=0.2).timing
    assert found.median_ms == pytest.approx(runtime.true_ms(architecture))
    assert found.num_preempted > 0
    assert found.shared.startswith("another process uses this core: ")
    assert "another process uses this core: " in caplog.text


def test_a_graph_of_boxes_gets_boxes(tmp_path: Path) -> None:
    """Two in each image, inside of it."""
    find_architecture("dc-net-reduced-integrated").write(tmp_path / "boxes.json")
    network = DeployedNetwork.open(tmp_path / "boxes.json", channels=3, num_classes=5)
    conditions = CONDITIONS.model_copy(update={"batch": 3, "height_px": 96, "width_px": 80})
    boxes = network.random_inputs(conditions)["boxes"]
    assert boxes.shape == (3, 2, 4)
    assert boxes.min() >= 0
    assert (boxes[..., 2] <= 80).all()
    assert (boxes[..., 3] <= 96).all()


def test_images_that_a_graph_does_not_take_are_refused() -> None:
    """With the shape that it takes."""
    network = DeployedNetwork.open("unet-s", channels=3, num_classes=5)
    with pytest.raises(InputError, match="noisy of shape any x 3 x any x any, not 1 x 1 x 32 x 32"):
        network.random_inputs(CONDITIONS)


@pytest.mark.parametrize(
    ("name", "words"),
    [("unet-z", "is neither"), ("no.onnx", "cannot read"), ("no.json", "cannot read")],
)
def test_what_cannot_be_timed_is_refused(name: str, words: str) -> None:
    """A slip in a name, a file that is not there."""
    with pytest.raises(InputError, match=words):
        DeployedNetwork.open(name, channels=3, num_classes=5)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    """In our words."""
    path = tmp_path / "image.onnx"
    path.write_bytes(b"\x89PNG no graph at all")
    with pytest.raises(InputError, match="no ONNX graph"):
        DeployedNetwork.open(path, channels=3, num_classes=5)


def test_openvino_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    """Its telemetry is off, in a fresh process with a fresh home; elsewhere it is untouched."""
    code = (
        "import sys; from tapetum.latency.runtimes import load_openvino\n"
        "load_openvino().Core()\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])\n"
    )
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
    assert list(tmp_path.rglob("*")) == []
