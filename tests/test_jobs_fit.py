"""The main job from end to end, on a device whose latencies are known."""

import math
from pathlib import Path

import pytest

from scripted_runtime import ScriptedRuntime
from tapetum.errors import DataError, InputError
from tapetum.jobs import FitResult, fit
from tapetum.jobs.match import BELOW
from tapetum.latency import Budget
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.timing import ForwardPass
from tapetum.runtime import open_package
from tapetum.search.recipe import SWIFT_SEARCH
from test_cli import photos
from test_latency_table import small_space, true_ms

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
    settings = {"target_ms": TARGET_MS, "networks": 60, "controls": False, "batch_size": 4}
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
    least_ms, most_ms = (1 - BELOW) * TARGET_MS, (1 + Budget.TOLERANCE) * TARGET_MS
    assert least_ms <= delivery.timing.median_ms <= most_ms
    architecture = open_package(result.package).manifest.architecture
    formula_ms = true_ms(SPACE, SPACE.choices(architecture))
    assert (1 - DRIFT) * least_ms <= formula_ms <= (1 + DRIFT) * most_ms
    assert delivery.timing.median_ms == pytest.approx(formula_ms, rel=DRIFT)
    assert result.selection.predicted_ms == pytest.approx(formula_ms, rel=2 * DRIFT)
    assert "The package keeps the budget" in result.report.read_text()


def test_a_fit_that_was_killed_after_any_step_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each file that marks the end of a step, it ends with the same network."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    whole = fit_on(device, photos, tmp_path / "whole")
    stops = ("table.json", "search/result.json", "match.json", "network/report.html")
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


def test_too_few_images_are_refused_before_anything_is_measured(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes of measuring do not precede what is known from the beginning."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    with pytest.raises(DataError, match="batches of 99"):
        fit_on(device, photos, tmp_path / "fit", batch_size=99)
    assert device.num_prepared == 0
    assert not (tmp_path / "fit").exists()


def test_a_budget_that_nothing_keeps_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the range of the space; the table that was measured stays."""
    device = ScriptedRuntime(SPACE, monkeypatch)
    with pytest.raises(InputError, match=r"no network of small takes 0\.2 ms"):
        fit_on(device, photos, tmp_path / "fit", target_ms=0.2)
    assert (tmp_path / "fit" / "table.json").exists()
