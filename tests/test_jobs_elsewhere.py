"""What a device has timed, opened for a fit; what does not fit is refused in one sentence."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from few_digits import dataset
from tapetum.arch import ShapeSpace, ladder
from tapetum.data import Dataset
from tapetum.errors import InputError
from tapetum.formats import precision
from tapetum.jobs import fit
from tapetum.jobs.elsewhere import int8_ratio, open_timings, shapes_for
from tapetum.jobs.fitting import fit_options
from tapetum.latency import Timing
from tapetum.latency.bundle import DeviceTimings, Job, block_networks, shape_networks, write_bundle
from tapetum.latency.timing import Round
from tapetum.runtime import open_package
from test_cli import photos
from test_latency_table import small_space

__all__ = ["dataset", "photos"]  # the fixtures

FORM: dict[str, Any] = {"size_px": 28, "image_channels": 1, "num_classes": 10}


def timings(path: Path, *, int8: float = 0.5, **changes: Any) -> Path:
    """What a device found that needs a millisecond for a million multiply-adds.

    Args:
        path: The folder.
        int8: Latency of int8 over that of fp32.
        changes: Other fields of the space.
    """
    job = _job(ShapeSpace(width_step=16, **FORM | changes))
    rounds = [
        [([one.multiply_adds / 1e6 * (int8 if one.precision == "int8" else 1)], 0, 1.0, 1.0)]
        for one in job.networks
    ]
    found = {"job_sha256": "", "device": "a board", "runtime_version": "1", "cores": 4}
    file = path / "pi.json"
    DeviceTimings.model_validate({**found, "job": job, "rounds": rounds}).write(file)
    return file


@lru_cache
def _job(space: ShapeSpace) -> Job:
    with TemporaryDirectory() as folder:
        shapes = ladder.steps(space, 12, budget_ms=1.0)
        named, empty = shape_networks(space, shapes.items()), Job(space=space, threads=2)
        return write_bundle(Path(folder) / "pi.zip", empty, named, size_px=space.size_px)


def options(latency: Path, **changes: Any) -> Any:
    """The options of a fit for that device."""
    return fit_options("digits", "out", target_ms=1.0, latency=latency, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threads": 1}, "--threads is 1, but .* was measured with 2"),
        ({"size_px": 64}, "--size is 64, but .* was measured with 28"),
        ({"runtime": "openvino"}, "--runtime is openvino"),
        ({"start": "earlier"}, "--start with --latency"),
    ],
)
def test_an_option_that_differs_from_what_was_timed_is_refused(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Both values are named; the same ones are welcome."""
    file = timings(tmp_path)
    assert open_timings(options(file, threads=2, size_px=28)) is not None
    with pytest.raises(InputError, match=said):
        open_timings(options(file, **changes))


def test_a_table_of_prices_is_for_the_published_search(tmp_path: Path) -> None:
    """The message names the command that times whole networks."""
    (tmp_path / "table.json").write_text('{"format": "tapetum-latency-table"}')
    space = small_space()
    empty, named = Job(space=space, threads=1), block_networks(space, 1)
    job = write_bundle(tmp_path / "a.zip", empty, named, size_px=28, precisions=("fp32",))
    facts = {"job_sha256": "", "device": "a made-up one", "runtime_version": "1", "job": job}
    DeviceTimings.model_validate({**facts, "rounds": [[]]}).write(tmp_path / "blocks.json")
    for name in ("table.json", "blocks.json"):
        with pytest.raises(InputError, match=f"{name} has prices .* tapetum latency bundle"):
            open_timings(options(tmp_path / name))


@pytest.mark.parametrize(("boxes", "said"), [(True, "labelled boxes"), (False, "--size")])
def test_images_of_another_form_are_refused(
    tmp_path: Path, dataset: Dataset, boxes: bool, said: str
) -> None:
    """A command writes another bundle, unless the labels are those of boxes."""
    info = dataset.info.model_copy(update={"has_boxes": boxes})
    known = {"size_px": info.size_px, "image_channels": info.channels, "boxes": info.has_boxes}
    found = DeviceTimings.read(timings(tmp_path, **known, num_classes=7))
    space = shapes_for(found, "fp32", info).space
    assert space.num_classes == (len(info.class_names) or None)
    other = DeviceTimings.read(timings(tmp_path, **known | {"size_px": info.size_px + 4}))
    with pytest.raises(InputError, match=said):
        shapes_for(other, "fp32", info)


@pytest.mark.parametrize("ratio", [0.4, 1.1])
def test_int8_is_compared_on_networks_near_the_budget(ratio: float, tmp_path: Path) -> None:
    """The median over networks that were timed in both formats."""
    found = DeviceTimings.read(timings(tmp_path, int8=ratio))
    fp32, int8 = (found.shapes(one) for one in found.precisions)
    assert int8_ratio(fp32, int8, 1.0) == pytest.approx(ratio)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1.0, 1.5])
def test_a_fit_for_a_device_elsewhere_takes_what_was_timed_there(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: float
) -> None:
    """Nothing is timed here. Package and report say what took how long, and on which device.

    A budget that leaves much of its time unused is called missed.
    """

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("timed here")

    monkeypatch.setattr("tapetum.latency.timing.time_round", refuse)
    file = timings(tmp_path, size_px=32, num_classes=2)
    found = DeviceTimings.read(file).shapes("fp32")
    target_ms = times * max(one.timing.median_ms for one in found.shapes)
    options = {"method": "none", "precision": "fp32", "batch_size": 4, "epochs": 1}
    result = fit(photos, tmp_path / "fit", target_ms=target_ms, latency=file, **options)
    delivery = result.delivery
    assert delivery.benchmark is None
    assert result.misses_budget == (times > 1)
    assert 0.9 <= times * delivery.predicted_ms / target_ms <= 1.02
    shipped = open_package(result.package).manifest.architecture
    same = [one for one in found.shapes if one.timing.median_ms == delivery.predicted_ms]
    assert found.space.architecture(same[0].shape).encoder == shipped.encoder
    assert delivery.command.startswith("tapetum benchmark model.tapetum --target-ms")
    assert "--threads 2" in delivery.command
    text = result.report.read_text()
    assert "was measured on a board" in text
    assert "timed on the device" in text
    assert ("no better network that was timed" in text) == (times > 1)


def test_a_budget_that_the_device_cannot_keep_is_refused(photos: Path, tmp_path: Path) -> None:
    """Before there is a folder; the message names the device and the fastest latency there."""
    file = timings(tmp_path, size_px=32, num_classes=2)
    with pytest.raises(InputError, match=r"no network meets .* a board"):
        fit(photos, tmp_path / "fit", target_ms=1e-4, latency=file, epochs=1)
    assert not (tmp_path / "fit").exists()


@pytest.mark.slow
def test_the_speed_of_the_device_decides_on_int8(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where int8 is slower on the workstation; the package keeps what the device says."""
    slow = {"fp32": 1.0, "int8": 5.0}

    def time_here(prepared: Sequence[object], **_: object) -> list[Timing]:
        return [Timing.of([Round([ms])]) for ms in list(slow.values())[: len(prepared)]]

    monkeypatch.setattr(precision, "time_interleaved", time_here)
    monkeypatch.setattr(precision, "MOST_DB", 1e3)  # the training is too short for its scores
    monkeypatch.setattr(precision, "MOST_POINTS", 1e3)
    file = timings(tmp_path, size_px=32, num_classes=2, int8=0.4)
    ms = [one.timing.median_ms for one in DeviceTimings.read(file).shapes("int8").shapes]
    options = {"method": "none", "batch_size": 4, "epochs": 1, "latency": file}
    result = fit(photos, tmp_path / "fit", target_ms=max(ms), **options)
    assert open_package(result.package).manifest.precision == "int8"
    assert any("int8 is 2.50 times as fast as fp32" in one for one in result.delivery.remarks)
    assert result.budget.fp32_times == pytest.approx(2.5)
