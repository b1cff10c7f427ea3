"""The main job from end to end, on a device whose latencies are known."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripted_runtime import PREPARE_MS, ScriptedRuntime
from tapetum.errors import InputError
from tapetum.jobs import FitResult, fit
from tapetum.jobs.device import Overhead
from tapetum.jobs.fitting import fit_options
from tapetum.jobs.request import open_request
from tapetum.jobs.request_tfnas import TfNasSettings
from tapetum.latency import Budget
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.timing import ForwardPass
from tapetum.runtime import open_package
from tapetum.search.recipe import SWIFT_SEARCH
from test_cli import photos
from test_latency_table import small_space, table_of, true_ms

__all__ = ["photos"]  # the fixture

SPACE = small_space(num_slots=3, num_classes=2)
TARGET_MS = 6.0
DRIFT, PERIOD_S = 0.02, 20.0


class DriftingRuntime(ScriptedRuntime):
    """A device whose speed drifts by 2 % either way within seconds."""

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> ForwardPass:
        """As the scripted one, but slower or faster by the time of the clock."""
        self.factor = 1 + DRIFT * math.sin(2 * math.pi * self.now_ns / 1e9 / PERIOD_S)
        return super().prepare(network, conditions)


def fit_on(device: ScriptedRuntime, photos: Path, out: Path, **options: object) -> FitResult:
    """A fit of one epoch on twenty small images."""
    recipe = out.with_name("search.json")
    SWIFT_SEARCH.model_copy(update={"batch_size": 2, "warmup_epochs": 0, "epochs": 1}).write(recipe)
    settings = {
        "method": "tf-nas",
        "target_ms": TARGET_MS,
        "networks": 60,
        "controls": False,
        "batch_size": 4,
    }
    return fit(
        photos,
        out,
        space=SPACE,
        runtime=device,
        size_px=32,
        search_recipe=recipe,
        epochs=1,
        **(settings | options),
    )


@pytest.mark.slow
def test_the_budget_is_kept_on_a_device_that_drifts(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package takes what was requested, by the clock and by the formula of the device."""
    device = DriftingRuntime(SPACE, monkeypatch)
    result = fit_on(device, photos, tmp_path / "fit")
    delivery = result.delivery
    assert not delivery.note
    assert not delivery.command
    assert delivery.timing is not None
    least_ms, most_ms = (1 - Budget.BELOW) * TARGET_MS, (1 + Budget.TOLERANCE) * TARGET_MS
    assert least_ms <= delivery.timing.median_ms <= most_ms
    architecture = open_package(result.package).manifest.architecture
    formula_ms = true_ms(SPACE, SPACE.choices(architecture))
    assert (1 - DRIFT) * least_ms <= formula_ms <= (1 + DRIFT) * most_ms
    assert delivery.timing.median_ms == pytest.approx(formula_ms, rel=DRIFT)
    assert result.selection.predicted_ms == pytest.approx(formula_ms, rel=2 * DRIFT)
    assert f"The package keeps the budget of {TARGET_MS:g} ms" in result.report.read_text()


@pytest.mark.parametrize("includes", [pytest.param("preparation", marks=pytest.mark.slow), "call"])
def test_a_budget_includes_what_was_requested(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, includes: str
) -> None:
    """The package keeps it, and uses it, by the formula of the device for files of 40 x 36 px."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    passes = {"preparation": 1, "call": 1 + 40 * 36 / 32**2}[includes]
    target_ms = PREPARE_MS + passes * TARGET_MS
    result = fit_on(device, photos, tmp_path / "fit", budget_includes=includes, target_ms=target_ms)
    overhead, delivery = Overhead.read(tmp_path / "fit" / "overhead.json"), result.delivery
    assert (overhead.height_px, overhead.width_px) == (40, 36)
    assert overhead.fixed_ms == pytest.approx(PREPARE_MS)
    assert overhead.passes == pytest.approx(passes)
    pass_ms = device.true_ms(open_package(result.package).manifest.architecture)
    assert delivery.timing is not None
    assert delivery.timing.median_ms == pytest.approx(PREPARE_MS + passes * pass_ms)
    assert (1 - Budget.BELOW) * target_ms <= delivery.timing.median_ms <= target_ms
    assert delivery.keeps_target
    assert "the package keeps the budget" in delivery.verdict[0]


@pytest.mark.parametrize("includes", ["network", "preparation", "call"])
def test_a_budget_far_out_of_reach_is_refused_in_seconds(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, includes: str
) -> None:
    """Before the table is measured, with the latency of the fastest network; no folder is left."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    passes = {"network": 1, "preparation": 1, "call": 1 + 40 * 36 / 32**2}[includes]
    prepare_ms = 0 if includes == "network" else PREPARE_MS
    least_ms = prepare_ms + passes * table_of(SPACE).range.fastest_ms
    options = {"budget_includes": includes, "target_ms": least_ms / 2}
    with pytest.raises(InputError, match="its smallest one takes") as refused:
        fit_on(device, photos, tmp_path / "fit", **options)
    found = re.search(r"takes ([0-9.]+) ms", refused.value.problem)
    assert found is not None
    assert float(found[1]) == pytest.approx(least_ms, rel=0.1)
    assert device.num_prepared == 6
    assert not (tmp_path / "fit").exists()


def test_an_infeasible_budget_names_what_would_keep_it() -> None:
    """The numbers in the message are feasible, for the whole call and for the network alone."""
    table, generator = table_of(SPACE), np.random.default_rng(0)
    fastest_ms = table.range.fastest_ms
    for _ in range(200):
        fixed_ms, passes = generator.uniform(0, 50), generator.uniform(0.5, 400)
        overhead = Overhead(includes="call", fixed_ms=fixed_ms, passes=passes)
        least_ms = overhead.latency_ms(fastest_ms)
        assert overhead.budget(table, 1.001 * least_ms).target_ms >= fastest_ms
        with pytest.raises(InputError, match="no network of small keeps") as refused:
            overhead.budget(table, generator.uniform(0.01, 0.999) * least_ms)
        numbers = re.findall(r"([0-9.]+(?:e[+][0-9]+)?) ms or more", refused.value.remedy)
        whole_ms, network_ms = map(float, numbers)
        assert overhead.budget(table, whole_ms)
        assert Overhead().budget(table, network_ms)


@pytest.mark.slow
def test_a_fit_that_was_killed_after_any_step_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each file that marks the end of a step, it ends with the same network."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    whole = fit_on(device, photos, tmp_path / "whole")
    stops = (
        "table.json",
        "overhead.json",
        "search/result.json",
        "matched.json",
        "match.json",
        "network/report.html",
    )
    for name in (*stops, "model.tapetum", "timing.json", "report.html", "result.json"):
        with monkeypatch.context() as patch:
            refuse_to_write(patch, tmp_path / "killed" / name)
            with pytest.raises(KeyboardInterrupt):
                fit_on(device, photos, tmp_path / "killed", resume=True)
    resumed = fit_on(device, photos, tmp_path / "killed", resume=True)
    assert resumed.selection == whole.selection
    assert resumed.delivery == whole.delivery


def refuse_to_write(patch: pytest.MonkeyPatch, path: Path) -> None:
    """Stops the process, as a kill would, when a file is about to get its name."""
    import os

    replace = os.replace

    def stop(source: Path, target: Path) -> None:
        if Path(target) == path:
            raise KeyboardInterrupt
        replace(source, target)

    patch.setattr("os.replace", stop)


def test_bad_options_are_refused_before_anything_is_measured(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes of measuring do not precede what is known from the beginning."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    with pytest.raises(InputError, match="fog"):
        fit_on(device, photos, tmp_path / "fit", noise="fog:1")
    assert device.num_prepared == 0
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"runtime": "openvino", "budget_includes": "call"}, "cannot be timed in openvino"),
        ({"batch": 2, "budget_includes": "preparation"}, "for one image, not for a batch"),
        ({"budget_includes": "disk"}, "a budget includes no 'disk'"),
        ({"batch": 0}, "no latency can be measured"),
        ({"method": "tf-nas", "space": "mine.json", "up": "pixel_shuffle"}, "takes no --up"),
    ],
)
def test_options_that_contradict_each_other_are_refused_before_images_are_read(
    tmp_path: Path, options: dict[str, object], problem: str
) -> None:
    """Nobody looks for a folder, which is missing, where the options alone are impossible."""
    with pytest.raises(InputError, match=problem):
        fit("missing", tmp_path / "out", target_ms=2, **options)  # type: ignore[arg-type]


def test_a_whole_space_takes_no_option_of_its_parts(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have no effect; nothing is measured."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    for option, name in (("operators", "--operators"), ("learns_depth", "--learn-depth")):
        with pytest.raises(InputError, match=f"--space small takes no {name}"):
            fit_on(device, photos, tmp_path / "fit", **{option: 8})
    assert device.num_prepared == 0
    assert not (tmp_path / "fit").exists()


def test_images_without_labels_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published search learns from labels alone."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    (tmp_path / "flat").mkdir()
    for index in range(12):
        Image.new("L", (36, 36), 20 * index).save(tmp_path / "flat" / f"{index}.png")
    with pytest.raises(InputError, match="small classifies whole images, but these have no labels"):
        fit_on(device, tmp_path / "flat", tmp_path / "fit")
    assert device.num_prepared == 0
    assert not (tmp_path / "fit").exists()


def test_a_budget_that_nothing_keeps_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the range of the space; the table that was measured stays."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    target_ms = 0.9 * table_of(SPACE).range.fastest_ms
    with pytest.raises(InputError, match=f"no network of small takes {target_ms:g} ms"):
        fit_on(device, photos, tmp_path / "fit", target_ms=target_ms)
    assert (tmp_path / "fit" / "table.json").exists()


@pytest.mark.parametrize("options", [{}, {"noise": "gaussian:0-0.3", "protocol": "camera"}])
def test_the_published_search_has_the_noise_of_its_training(
    options: dict[str, str], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network is searched on the images that it will see."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    settings = {"method": "tf-nas", "space": SPACE, "runtime": device, "size_px": 32}
    given = fit_options(photos, tmp_path, target_ms=TARGET_MS, batch_size=4, **settings, **options)
    request = open_request(given).request
    assert isinstance(request.method, TfNasSettings)
    assert request.method.search_recipe.noise == request.recipe.noise
