"""Laws of measuring: a campaign that was killed goes on, and a check is of fresh networks."""

import math
import statistics
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tapetum.arch import Architecture, find_architecture
from tapetum.arch.cost import multiply_adds
from tapetum.arch.space import Space
from tapetum.errors import InputError
from tapetum.latency import (
    Block,
    Drift,
    LatencyTable,
    benchmark,
    find_runtime,
    open_subject,
    prepare_architecture,
    range_of,
)
from tapetum.latency.campaign import Campaign, Measurements, Prepare, draw, measure
from tapetum.latency.check import check_table
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import Subject, feeds_of
from tapetum.latency.measure import adjust, conditions_here, measure_table, verify
from tapetum.latency.timing import Run
from tapetum.progress import silent
from test_latency_table import CONDITIONS, small_space, true_ms

SHORT = Block(warmups=1, warmup_ms=0, min_passes=1, min_ms=0)


class Device:
    """A made-up device whose clock the test turns: each network takes what it truly takes."""

    def __init__(self, space: Space, monkeypatch: pytest.MonkeyPatch, *, noise: float = 0) -> None:
        self.space, self.noise = space, noise
        self.speed, self.extra_ms = 1.0, 0.0
        self.generator = np.random.default_rng(0)
        self.now_ns = 0
        self.num_prepared = 0
        monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: self.now_ns)

    def prepare(self, architecture: Architecture) -> Run:
        """A pass of the network moves the clock by its latency, and by the mood of this visit."""
        self.num_prepared += 1
        mood = math.exp(self.noise * self.generator.standard_normal())
        true = true_ms(self.space, self.space.choices(architecture))
        pass_ns = round(1e6 * mood * (true / self.speed + self.extra_ms))

        def run() -> None:
            self.now_ns += pass_ns

        return run


def campaign(**changes: object) -> Campaign:
    """Of the small space, on the made-up device."""
    fields = {"conditions": CONDITIONS, "space": small_space(), "seed": 0, **changes}
    return Campaign.model_validate(fields)


def run_campaign(asked: Campaign, prepare: Prepare, log: Path, *, count: int) -> list[float]:
    """The latencies of so many networks."""
    return [one.median_ms for one in measurements(asked, prepare, log, count=count).samples]


def measurements(
    asked: Campaign, prepare: Prepare, log: Path, *, count: int, limit_s: float = 60
) -> Measurements:
    """What comes of so many networks."""
    return measure(asked, prepare, log, count=count, limit_s=limit_s, block=SHORT, progress=silent)


def table_of(device: Device, out: Path) -> LatencyTable:
    """Of two hundred networks of the device's space."""
    return measure_table(
        device.space, CONDITIONS, device.prepare, out, count=200, limit_s=60, block=SHORT
    )


def test_a_measurement_that_was_killed_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is measured twice but the line that was torn, and all ends as without the kill."""
    asked = campaign()
    device = Device(asked.space, monkeypatch)
    whole = run_campaign(asked, device.prepare, tmp_path / "whole", count=4)
    assert device.num_prepared == 12  # no noise: three rounds are enough
    lines = (tmp_path / "whole").read_text().splitlines(keepends=True)
    log = tmp_path / "killed"
    log.write_text("".join(lines[:8])[:-9])  # the kill came in the middle of the seventh visit
    device.num_prepared = 0
    assert run_campaign(asked, device.prepare, log, count=4) == whole
    assert device.num_prepared == 6
    assert log.read_text() == "".join(lines)
    assert run_campaign(asked, device.prepare, log, count=4) == whole
    assert device.num_prepared == 6


def test_rounds_go_on_until_latencies_are_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is noisier takes more rounds for the same sureness, and says what is left."""
    asked = campaign()
    num_rounds = []
    for noise in (0.01, 0.03):
        device = Device(asked.space, monkeypatch, noise=noise)
        found = measurements(asked, device.prepare, tmp_path / f"{noise}", count=30)
        assert found.is_sure
        assert found.noise == pytest.approx(noise / found.num_rounds**0.5, rel=0.4)
        num_rounds.append(found.num_rounds)
    assert num_rounds[0] < num_rounds[1]


def test_time_that_is_over_ends_a_measurement_that_is_not_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is by then counts, and is not taken for sure."""
    asked = campaign()
    device = Device(asked.space, monkeypatch, noise=1)
    found = measurements(asked, device.prepare, tmp_path / "log", count=30, limit_s=0.2)
    assert not found.is_sure
    again = measurements(asked, device.prepare, tmp_path / "log", count=30, limit_s=0)
    assert again == found


def test_too_slow_a_device_times_fewer_networks_rather_than_each_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three visits each fit into the time; a single one could not be told from a disturbed one."""
    asked, seconds = campaign(), [0.0]
    device = Device(asked.space, monkeypatch)

    def prepare(architecture: Architecture) -> Run:
        seconds[0] += 1  # of making it ready
        return device.prepare(architecture)

    monkeypatch.setattr("tapetum.latency.campaign.time.monotonic", lambda: seconds[0])
    found = measurements(asked, prepare, tmp_path / "log", count=300, limit_s=300)
    assert len(found.samples) == 100
    assert found.num_rounds == 3


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"conditions": CONDITIONS.model_copy(update={"threads": 2})}],
    ids=str,
)
def test_a_log_of_something_else_is_refused(
    change: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two conditions or two seeds never end up in one table."""
    log = tmp_path / "log"
    device = Device(small_space(), monkeypatch)
    run_campaign(campaign(), device.prepare, log, count=2)
    before = log.read_text()
    with pytest.raises(InputError, match="other conditions, another space or another seed"):
        run_campaign(campaign(**change), device.prepare, log, count=2)
    assert log.read_text() == before


def test_draws_depend_on_seed_and_index_alone() -> None:
    """So that a campaign can go on anywhere, and a check shares no network with it."""
    one, other = campaign(), campaign(seed=1)
    assert draw(one, 3) == draw(one, 3)
    assert draw(one, 3) != draw(one, 4)
    assert draw(one, 3) != draw(other, 3)


def test_a_table_is_measured_checked_and_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device without noise: fresh networks as predicted, and better than multiply-adds."""
    device, out = Device(small_space(), monkeypatch), tmp_path / "table.json"
    table = table_of(device, out)
    assert list(tmp_path.iterdir()) == [out]
    check = check_table(table, device.prepare, num_networks=30, block=SHORT, progress=silent)
    assert check.table.mean < 0.01
    assert check.table.mean < check.multiply_adds.mean / 3
    assert check.table.rank_correlation > 0.99
    assert check.repeating.mean == pytest.approx(0)
    assert check.repeating.rank_correlation == pytest.approx(1)
    assert abs(check.bias) < 0.01


def test_a_machine_that_has_slowed_down_is_told_from_a_table_that_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions are off by as much, and nine in ten measurements are inside as before."""
    device = Device(small_space(), monkeypatch, noise=0.02)
    table = table_of(device, tmp_path / "t")
    before, after = (
        check_table(table, device.prepare, num_networks=60, block=SHORT, progress=silent)
        for device.speed in (1.0, 0.8)
    )
    assert before.drift is not None
    assert after.drift is not None
    assert before.drift.typical == pytest.approx(0, abs=0.02)
    assert after.drift.typical == pytest.approx(0.25, abs=0.02)
    assert after.bias == pytest.approx(-0.2, abs=0.02)
    assert before.at_its_speed is not None
    assert after.at_its_speed is not None
    assert after.at_its_speed.mean == pytest.approx(before.at_its_speed.mean, abs=0.01)
    assert after.later is not None
    assert after.later.mean == pytest.approx(0.2, abs=0.02)
    for check in (before, after):
        assert 0.85 <= check.coverage <= 0.95
    assert before.coverage_as_stated > 0.5
    assert after.coverage_as_stated == 0


@pytest.mark.parametrize("extra_ms", [0.0, -0.1])
def test_an_adjusted_table_is_right_at_the_speed_of_now(
    extra_ms: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it states holds again, where large networks have slowed down by more, too."""
    device = Device(small_space(), monkeypatch, noise=0.01)
    table = table_of(device, tmp_path / "t")
    table.predict(draw(campaign(), 0))  # works the prices out, which the new table may not keep
    device.speed, device.extra_ms = 0.8, extra_ms
    bring = partial(adjust, prepare=device.prepare, here=CONDITIONS, what="t", block=SHORT)
    adjusted, drift = bring(table, out=tmp_path / "now")
    took_ms = [witness.median_ms for witness in table.witnesses]
    typical = statistics.median(0.25 + extra_ms / then_ms for then_ms in took_ms)
    assert drift.typical == pytest.approx(typical, abs=0.01)
    for then_ms in (took_ms[0], took_ms[-1]):
        assert drift.now(then_ms) == pytest.approx(1.25 * then_ms + extra_ms, rel=0.015)
    assert LatencyTable.read(tmp_path / "now") == adjusted
    check = check_table(adjusted, device.prepare, num_networks=60, block=SHORT, progress=silent)
    assert check.drift is not None
    assert check.drift.typical == pytest.approx(0, abs=0.01)
    assert check.table.mean < 0.02
    assert check.coverage >= 0.85
    cost = multiply_adds(device.space.architecture(table.witnesses[0].choices), 32, 32)
    by_cost_ms = table.baseline.predict(cost)
    assert adjusted.baseline.predict(cost) == pytest.approx(drift.now(by_cost_ms))
    assert drift.now(by_cost_ms) == pytest.approx(1.25 * by_cost_ms + extra_ms, rel=0.02)
    again = bring(adjusted, out=tmp_path / "again").drift
    assert again.typical == pytest.approx(0, abs=0.005)


def test_a_machine_that_has_changed_beyond_a_line_wants_a_new_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the adjusted table would say that a network takes no time, and nothing is written."""
    device = Device(small_space(), monkeypatch)
    table = table_of(device, tmp_path / "t")
    nothing = Drift(fixed_ms=-range_of(table).fastest_ms, factor=0.9, typical=-0.5)
    monkeypatch.setattr("tapetum.latency.measure.measure_drift", lambda *_, **__: nothing)
    with pytest.raises(InputError, match=r"changed too much to adjust t: the fastest .* anew"):
        adjust(table, device.prepare, CONDITIONS, tmp_path / "never", what="t", block=SHORT)
    assert not (tmp_path / "never").exists()


def test_a_table_that_knows_none_of_its_networks_cannot_be_adjusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, and nothing is written."""
    device = Device(small_space(), monkeypatch)
    unable = table_of(device, tmp_path / "t").model_copy(update={"witnesses": ()})
    with pytest.raises(InputError, match="does not hold what its own networks took"):
        adjust(unable, device.prepare, CONDITIONS, tmp_path / "never", what="t", block=SHORT)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("noise", [0.005, 0.04])
def test_the_interval_of_a_check_is_for_the_noise_that_it_meets(
    noise: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine in ten lie inside whether the machine has become quieter or noisier since."""
    device = Device(small_space(), monkeypatch, noise=0.02)
    table = table_of(device, tmp_path / "t")
    device.noise = noise
    check = check_table(table, device.prepare, num_networks=100, block=SHORT, progress=silent)
    assert (check.interval > table.accuracy.interval) == (noise > 0.02)
    assert 0.85 <= check.coverage <= 1


def test_too_little_time_leaves_the_log_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No table of a handful of networks, and nothing lost."""
    space, out = small_space(), tmp_path / "table.json"
    device = Device(space, monkeypatch)
    monkeypatch.setattr(
        "tapetum.latency.campaign.time.monotonic", lambda: float(device.num_prepared)
    )
    measured = partial(measure_table, space, CONDITIONS, device.prepare, out, block=SHORT)
    with pytest.raises(InputError, match="only 20 networks could be timed in 20 seconds"):
        measured(count=100, limit_s=20)
    assert not out.exists()
    measured(count=100, limit_s=6000)
    assert device.num_prepared == 300
    with pytest.raises(InputError, match="exists already"):
        measured(count=100, limit_s=6000)
    with pytest.raises(InputError, match="a table of 20 networks; give 60 or more"):
        measured(count=20, limit_s=6000, overwrite=True)


def test_a_table_of_another_runtime_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is timed."""
    device, out = Device(small_space(), monkeypatch), tmp_path / "table.json"
    table = table_of(device, out)
    device.num_prepared = 0
    here = CONDITIONS.model_copy(update={"runtime": "openvino"})
    with pytest.raises(InputError, match=r"t\.json holds for .*runtime onnxruntime, not openvino"):
        verify(table, device.prepare, here, what="t.json", num_networks=3)
    assert device.num_prepared == 0


def test_a_graph_is_timed_under_the_runtime_that_ships() -> None:
    """A real network: more work takes longer."""
    space, runtime = small_space(), find_runtime("onnxruntime")
    latencies = []
    for side_px in (32, 256):
        conditions = conditions_here(
            runtime, threads=1, batch=1, channels=1, height_px=side_px, width_px=side_px
        )
        choices = space.random(np.random.default_rng(0))
        run = prepare_architecture(runtime, conditions, space.architecture(choices))
        run()
        latencies.append(min(_times(run)))
    assert latencies[0] < latencies[1]


def _times(run: Run) -> list[float]:
    from tapetum.latency.timing import time_block

    return time_block(run, Block(warmups=2, warmup_ms=0, min_passes=5, min_ms=0))


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
        subject = open_subject(name, channels=channels, num_classes=5)
        conditions = conditions_here(
            runtime, threads=1, batch=2, channels=channels, height_px=48, width_px=48
        )
        found = benchmark(subject, runtime, conditions, seconds=0.2)
        assert 0 < found.timing.median_ms <= found.timing.p95_ms
        assert found.timing.num_rounds == 6
        assert found.images_per_second == pytest.approx(2000 / found.timing.median_ms)
        assert found.multiply_adds is not None
        assert found.peak_share is not None
        assert found.peak_share > 0


def test_half_as_quick_as_dense_convolutions_is_half_of_the_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the multiply-adds of both and a made-up clock."""
    subject = open_subject("unet-s", channels=3, num_classes=5)
    assert subject.architecture is not None
    now_ns = [0]
    monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: now_ns[0])

    def prepare(what: Subject, conditions: Conditions) -> Run:
        assert what.architecture is not None
        cost = multiply_adds(what.architecture, conditions.height_px, conditions.width_px)
        each_ns = (2 if what is subject else 1) * conditions.batch * cost

        def run() -> None:
            now_ns[0] += each_ns

        return run

    runtime = find_runtime("onnxruntime")
    monkeypatch.setattr(runtime, "prepare", prepare)
    conditions = conditions_here(runtime, threads=1, batch=2, channels=3, height_px=48, width_px=48)
    assert benchmark(subject, runtime, conditions, seconds=0.2).peak_share == pytest.approx(0.5)


def test_a_graph_of_boxes_gets_boxes(tmp_path: Path) -> None:
    """Two in each image, inside of it."""
    find_architecture("dc-net-reduced-integrated").write(tmp_path / "boxes.json")
    subject = open_subject(str(tmp_path / "boxes.json"), channels=3, num_classes=5)
    conditions = CONDITIONS.model_copy(update={"batch": 3, "height_px": 96, "width_px": 80})
    boxes = feeds_of(subject, conditions)["boxes"]
    assert boxes.shape == (3, 2, 4)
    assert boxes.min() >= 0
    assert (boxes[..., 2] <= 80).all()
    assert (boxes[..., 3] <= 96).all()


def test_images_that_a_graph_does_not_take_are_refused() -> None:
    """With the shape that it takes."""
    subject = open_subject("unet-s", channels=3, num_classes=5)
    with pytest.raises(InputError, match="noisy of shape any x 3 x any x any, not 1 x 1 x 32 x 32"):
        feeds_of(subject, CONDITIONS)


@pytest.mark.parametrize(
    ("name", "words"),
    [("unet-z", "is no architecture"), ("no.onnx", "cannot read"), ("no.json", "cannot read")],
)
def test_what_cannot_be_timed_is_refused(name: str, words: str) -> None:
    """A slip in a name, a file that is not there."""
    with pytest.raises(InputError, match=words):
        open_subject(name, channels=3, num_classes=5)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    """In our words."""
    path = tmp_path / "image.onnx"
    path.write_bytes(b"\x89PNG no graph at all")
    with pytest.raises(InputError, match="no ONNX graph"):
        open_subject(str(path), channels=3, num_classes=5)
