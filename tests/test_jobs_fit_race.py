"""A fit of fast networks from end to end, on a device whose latencies are known."""

import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree, ignore_patterns
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripted_runtime import PREPARE_MS
from shape_runtime import INT8_SHARE, ShapeRuntime, formula_ms, race_in_this_process
from tapetum.arch import ShapeSpace
from tapetum.data import open_dataset
from tapetum.errors import InputError, RunError
from tapetum.evaluation import ScoringPace
from tapetum.formats import Exported, PrecisionChoice
from tapetum.formats.precision import Measured
from tapetum.jobs import FitResult, Front, fit, fit_front
from tapetum.jobs.choose import named_architecture, pair_of
from tapetum.jobs.exporting import export_run
from tapetum.jobs.fit_race import Candidates, Race, require_precision, split_for_race
from tapetum.jobs.fit_result import FIT
from tapetum.jobs.fit_work import FitWork
from tapetum.jobs.fitting import fit_options, look
from tapetum.jobs.match_shape import MatchedShape
from tapetum.jobs.plan import Plan, Plans
from tapetum.jobs.planning import make_plans
from tapetum.jobs.race_report import described
from tapetum.jobs.request import open_request
from tapetum.latency import Budget, DeployedNetwork, Timing
from tapetum.latency.runtimes import RUNTIMES
from tapetum.latency.timing import ForwardPass, Round
from tapetum.progress import silent
from tapetum.runtime import open_package
from tapetum.search import RACES
from test_cli import photos, run, sentence
from test_jobs_fit import refuse_to_write
from test_latency_table import CONDITIONS
from tiny_race import Dots

__all__ = ["photos"]  # the fixture

TARGET_MS = 0.1


@pytest.fixture(autouse=True)
def _race_here(monkeypatch: pytest.MonkeyPatch) -> None:
    race_in_this_process(monkeypatch)


def fit_on(device: ShapeRuntime, data: Path | str, out: Path, **options: object) -> FitResult:
    """A fit of one epoch on some small images, with a race of some steps."""
    settings = {"target_ms": TARGET_MS, "search_minutes": 1.0, "batch_size": 4, "epochs": 1}
    settings |= {"precision": "fp32", "size_px": device.size_px}
    return fit(data, out, runtime=device, **(settings | options))


UNRACED = {"method": "none", "search_minutes": None}
AUTO = {**UNRACED, "precision": "auto", "resume": True}


@pytest.fixture(scope="module")
def unraced(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FitResult]:
    """A fit of the network of the scaling rule, without trainings for comparison."""
    with pytest.MonkeyPatch.context() as patch:
        out = tmp_path_factory.mktemp("unraced") / "earlier"
        yield fit_on(ShapeRuntime(patch), photos, out, **UNRACED)


@pytest.fixture(scope="module")
def trained_for_int8(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit that tries int8 and was stopped before its package was written."""
    out = tmp_path_factory.mktemp("int8") / "fit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tapetum.jobs.fit_delivery.export_run", stop)
        with pytest.raises(KeyboardInterrupt):
            fit_on(ShapeRuntime(patch), photos, out, **AUTO)
    return out


def stop(*_: object, **__: object) -> None:
    """Stops as Ctrl-C does."""
    raise KeyboardInterrupt


def is_kept(result: FitResult) -> bool:
    """Whether the package takes what was requested, by the formula of the device."""
    architecture = open_package(result.package).manifest.architecture
    ms = formula_ms(architecture, result.request.data.size_px)
    return 1 - Budget.BELOW <= ms / result.request.target_ms <= 1 + Budget.TOLERANCE


def test_a_race_that_would_be_too_short_is_not_planned(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said before the work, and the network of the scaling rule is trained."""
    device = ShapeRuntime(monkeypatch)
    monkeypatch.setattr("tapetum.jobs.planning.how_many", lambda *_, **__: 1)
    result = fit_on(device, photos, tmp_path / "fit", method="race")
    assert Plans.read(result.path / "plan.json").minutes.race == 0
    assert not (result.path / "race").exists()
    assert re.search(
        r"no race is planned for 0\.1 ms: .*; 3 need .*-minutes [0-9.]+\)", caplog.text
    )
    assert is_kept(result)


def test_without_a_race_the_scaling_rule_decides(unraced: FitResult) -> None:
    """Its network is proposed, and the plain one beside it; the first is trained at once."""
    assert not (unraced.path / "race").exists()
    candidates = json.loads((unraced.path / "candidates.json").read_text())["candidates"]
    assert [one["name"] for one in candidates] == ["rule", "plain-dc-net"]
    assert is_kept(unraced)


def race_in(path: Path, photos: Path, device: ShapeRuntime) -> Race:
    """The method of a finished fit."""
    options = {"batch_size": 4, "epochs": 1, "size_px": 32, "precision": "fp32"}
    given = fit_options(photos, path, target_ms=TARGET_MS, runtime=device, **UNRACED, **options)
    opened = open_request(given)
    return Race(FitWork(FIT.open(path), opened.dataset, opened.device, silent))


def copied(fit: FitResult, path: Path) -> FitResult:
    """The same fit in another folder, with the same training and without its package."""
    copytree(fit.path, path, ignore=ignore_patterns("network", "*.tapetum"))
    (path / "network").symlink_to(fit.path / "network")
    return fit._replace(path=path)


@pytest.mark.parametrize("place", ["here", "elsewhere"])
@pytest.mark.parametrize("names", [("rule", "plain-dc-net"), ("plain-dc-net", "rule"), ("rule",)])
def test_the_hint_offers_exactly_what_controls_would_train(
    unraced: FitResult,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    place: str,
) -> None:
    """No plain network where none has this latency or where it was chosen itself."""
    copied(unraced, tmp_path / "fit")
    found = Candidates.read(tmp_path / "fit" / "candidates.json")
    by_name = {one.name: one for one in found.candidates}
    kept = Candidates(candidates=tuple(by_name[name] for name in names))
    kept.write(tmp_path / "fit" / "candidates.json")
    race = race_in(tmp_path / "fit", photos, ShapeRuntime(monkeypatch))
    if place == "elsewhere":  # which has timed no other network
        there = SimpleNamespace(find=lambda *_: None)
        race = replace(race, work=replace(race.work, device=None, timings=there))  # type: ignore[arg-type]
    hints = [one for one in race.lead(tmp_path / "fit") if one.startswith("not trained")]
    titles = [control.title for control in race.controls(unraced.selection).controls]
    offered = [hint.split(": ")[1].split(";")[0] for hint in hints]
    assert offered == ([", and ".join(titles).replace("plain", "the plain", 1)] if titles else [])
    assert ("plain" in "".join(titles)) == (names == ("rule", "plain-dc-net"))


def test_the_pair_is_timed_in_the_precision_of_each_budget(
    unraced: FitResult, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several budgets share it, and int8 takes half of the time here."""
    path = copied(unraced, tmp_path / "fit").path
    race = race_in(path, photos, ShapeRuntime(monkeypatch))
    in_fp32 = race.controls(unraced.selection).controls[-1]
    (path / "timings_int8.json").write_bytes((path / "timings_fp32.json").read_bytes())
    monkeypatch.setattr(Race, "plan", SimpleNamespace(precision="int8"))
    in_int8 = race.controls(unraced.selection).controls[-1]
    assert in_int8.networks == in_fp32.networks
    assert in_int8.latency_ms == pytest.approx(INT8_SHARE * in_fp32.latency_ms, rel=1e-3)


def test_a_correction_is_a_sentence_and_no_second_latency_of_what_is_delivered(
    unraced: FitResult, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the table are the budget and the package, whatever was timed before."""
    fit = copied(unraced, tmp_path / "fit")
    race = race_in(fit.path, photos, ShapeRuntime(monkeypatch))
    assert "replaced it" not in race.sections(fit).note
    file = tmp_path / "fit" / "matched.json"
    matched, plain = MatchedShape.read(file), race.candidates().candidates[1]
    first = matched.attempt.model_copy(update={"shape": plain.shape, "timing": plain.timing})
    attempts = (first, *matched.attempts)
    matched.model_copy(update={"attempts": attempts, "chosen": matched.chosen + 1}).write(file)
    changed = race.sections(fit)
    assert changed.rows == ()
    assert f"The first choice took {plain.timing.median_ms:.3g} ms when it was" in changed.note
    assert f"replaced it: {described(matched.attempt.shape)}" in changed.note


@pytest.mark.parametrize("includes", [pytest.param("preparation", marks=pytest.mark.slow), "call"])
def test_a_budget_includes_what_was_requested(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, includes: str
) -> None:
    """Every candidate is timed with it: the package keeps it by the formula of the device."""
    passes = {"preparation": 1, "call": 1 + 40 * 36 / 32**2}[includes]
    target_ms = PREPARE_MS + passes * TARGET_MS
    options = {"budget_includes": includes, "target_ms": target_ms}
    result = fit_on(
        ShapeRuntime(monkeypatch),
        photos,
        tmp_path / "fit",
        **UNRACED,
        **options,
    )
    assert result.delivery.keeps_target
    pass_ms = formula_ms(open_package(result.package).manifest.architecture, 32)
    assert 1 - Budget.BELOW <= (PREPARE_MS + passes * pass_ms) / target_ms <= 1 + Budget.TOLERANCE


@pytest.mark.slow
def test_networks_race_where_labels_belong_to_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package denoises whole images and labels the boxes in them."""
    device = ShapeRuntime(monkeypatch, size_px=96)
    options = {"target_ms": 0.3, "size_px": None, "train_count": 12, "test_count": 2}
    result = fit_on(device, "digits", tmp_path / "fit", **options)
    assert len(RACES.open(tmp_path / "fit" / "race").result().order) > 1
    manifest = open_package(result.package).manifest
    assert is_kept(result)
    assert manifest.denoises
    assert manifest.labels == "boxes"
    assert result.scores.mean.accuracy is not None


@pytest.mark.parametrize(("data", "has_boxes"), [("digits", True), ("digit-crops", False)])
def test_the_pair_for_comparison_classifies_what_the_dataset_does(
    data: str, has_boxes: bool
) -> None:
    """Boxes where labels belong to boxes, else whole images."""
    info = open_dataset(data, seed=0, train_count=4, test_count=2).info
    classifier, denoiser = (named_architecture(name, info) for name in pair_of(info))
    assert classifier.classifies_boxes == has_boxes
    assert not denoiser.classifies


def test_a_folder_with_boxes_is_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table names a box in each image; the images have a size of their own."""
    draw(tmp_path / "boxed", {"images": 12})
    rows = [f"{index}.png,{'ab'[index % 2]},4,5,30,{28 + index % 3}" for index in range(12)]
    table = ["file,label,left,top,right,bottom", *rows]
    (tmp_path / "boxed" / "labels.csv").write_text("\n".join(table))
    result = fit_on(
        ShapeRuntime(monkeypatch), tmp_path / "boxed", tmp_path / "fit", method="none",
        search_minutes=None,
    )  # fmt: skip
    assert is_kept(result)
    assert open_package(result.package).manifest.labels == "boxes"


def test_a_denoiser_is_fitted_where_there_are_no_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flat folder gives a network without a branch."""
    draw(tmp_path / "flat", {"": 12})
    result = fit_on(ShapeRuntime(monkeypatch), tmp_path / "flat", tmp_path / "fit")
    manifest = open_package(result.package).manifest
    assert manifest.denoises
    assert not manifest.classifies
    assert result.scores.mean.accuracy is None
    assert result.scores.mean.psnr_db is not None


@pytest.mark.slow
def test_three_classes_with_five_images_in_all_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest folder is fitted, with what can be said of it."""
    draw(tmp_path / "tiny", {"a": 2, "b": 2, "c": 1})
    result = fit_on(ShapeRuntime(monkeypatch), tmp_path / "tiny", tmp_path / "fit", batch_size=None)
    assert is_kept(result)
    assert "the validation images judge the race" in result.report.read_text()
    assert open_package(result.package).manifest.class_names == ("a", "b", "c")


def test_images_that_are_too_few_for_int8_are_fitted_in_fp32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three images cannot calibrate it: refused at once where it was asked for."""
    draw(tmp_path / "tiny", {"a": 2, "b": 2, "c": 1})
    device = ShapeRuntime(monkeypatch)
    options = {**UNRACED, "batch_size": None}
    with pytest.raises(InputError, match="calibrated on 4 training images or more"):
        fit_on(device, tmp_path / "tiny", tmp_path / "fit", **options, precision="int8")
    assert device.num_prepared == 0
    result = fit_on(device, tmp_path / "tiny", tmp_path / "fit", **options, precision="auto")
    assert result.delivery.run == "network"
    assert is_kept(result)


def test_a_network_without_a_layer_for_int8_is_refused_before_its_training() -> None:
    """Where int8 was asked for; ``auto`` ships it in fp32."""
    space = ShapeSpace(width_step=8, size_px=32, image_channels=1, num_classes=2)
    smallest = partial(DeployedNetwork, b"", {}, space.architecture(space.smallest()))
    require_precision(smallest(precision="int8"), "int8")
    require_precision(smallest(precision="fp32"), "auto")
    with pytest.raises(InputError, match="no layer that can be in int8"):
        require_precision(smallest(precision="fp32"), "int8")


def draw(root: Path, counts: dict[str, int]) -> None:
    """Writes grey images of random brightness into a folder for each class."""
    generator = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = generator.integers(0, 256, (36, 36)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")


def test_a_budget_that_only_the_smallest_shape_keeps_is_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no race then, and the reason is said."""
    device = ShapeRuntime(monkeypatch)
    smallest_ms = refused_ms(device, photos, tmp_path / "refused")
    result = fit_on(device, photos, tmp_path / "fit", target_ms=1.005 * smallest_ms)
    assert is_kept(result)
    assert result.delivery.keeps_target


def refused_ms(device: ShapeRuntime, data: Path, out: Path) -> float:
    """The latency of the smallest network, from the refusal of a budget below it."""
    with pytest.raises(InputError, match="the smallest one takes") as refused:
        fit_on(device, data, out, target_ms=0.0201)
    found = re.search(r"takes ([0-9.]+) ms", refused.value.problem)
    assert found is not None
    return float(found[1])


def test_a_budget_out_of_reach_names_what_would_keep_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there is a folder: smaller images, threads and int8, each with its latency."""
    with pytest.raises(InputError, match=r"no network meets 0\.0201 ms") as refused:
        fit_on(ShapeRuntime(monkeypatch), photos, tmp_path / "fit", target_ms=0.0201)
    assert "--size 24 (" in refused.value.remedy
    assert re.search(r"--precision int8 \(0\.0\d+ ms\)", refused.value.remedy)
    assert "--runtime" in refused.value.remedy
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize(
    ("options", "workers"),
    [({}, None), ({"workers": 2}, 2), ({"ray": "local"}, 24), ({"ray": "local", "workers": 3}, 3)],
)
def test_a_cluster_is_planned_with_a_worker_for_each_candidate(
    options: dict[str, Any], workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody says how many there are: its size is known when the race begins."""
    monkeypatch.setattr("tapetum.jobs.fitting.look_at_shapes", lambda *_, **given: given)
    given: Any = look(None, [1.0], Path("fit"), fit_options("a", "b", target_ms=1.0, **options))  # type: ignore[arg-type]
    assert given["workers"] == workers


def test_a_time_that_is_too_short_is_refused_with_the_least(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In minutes; a little more than that is enough."""
    device = ShapeRuntime(monkeypatch)
    with pytest.raises(InputError, match="is too short") as refused:
        fit_on(device, photos, tmp_path / "fit", total_minutes=0.001)
    found = re.search(r"give ([0-9.]+) minutes", refused.value.remedy)
    assert found is not None
    assert not (tmp_path / "fit").exists()


def test_all_budgets_are_planned_before_the_first_one_is_fitted(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that no network keeps is refused at once, with those that can be fitted."""
    options = {"batch_size": 4, "epochs": 1, "size_px": 32, "precision": "fp32"}
    with pytest.raises(InputError, match=r"no network meets 0\.0201 ms") as refused:
        fit_front(
            photos,
            tmp_path / "front",
            target_ms=[0.2, 0.1, 0.0201],
            runtime=ShapeRuntime(monkeypatch),
            **options,
        )
    assert "the other budgets are feasible: --target-ms 0.1,0.2" in refused.value.remedy
    assert not (tmp_path / "front").exists()


class _LateInt8(ShapeRuntime):
    """Small networks are as fast in fp32."""

    def _pass(self, passes: float, network: DeployedNetwork, *, more_ms: float = 0) -> ForwardPass:
        """Only from 0.2 ms on a network in int8 takes half of the time."""
        is_small = network.architecture is not None and self.true_ms(network.architecture) < 0.2
        share = 1 / INT8_SHARE if is_small and network.precision == "int8" else 1
        return super()._pass(share * passes, network, more_ms=more_ms)


def test_each_budget_gets_the_precision_that_pays_there(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the plan has what a network in fp32 would cost, only where int8 is tried."""
    options = {"batch_size": 4, "epochs": 1, "size_px": 32, "target_ms": 0.1}
    given = fit_options(photos, tmp_path, runtime=_LateInt8(monkeypatch), **options)
    opened = open_request(given)
    plans, timed = make_plans(opened, [0.1, 0.4], {})
    assert [one.precision for one in plans.plans] == ["fp32", "int8"]
    assert {name: one.conditions.ships for name, one in timed.items()} == {
        "fp32": "fp32",
        "int8": "int8",
    }
    assert plans.of(0.1).fallback.total == 0 < plans.of(0.4).fallback.training
    lines = list(plans.lines(opened.request))
    assert len([line for line in lines if line.startswith("possible: ")]) == 2
    assert "all 2 budgets: " in "".join(lines)
    assert any(line.startswith("if int8 loses 0.5 points (one image where") for line in lines)


def test_the_length_of_the_trainings_is_planned_with_its_reason(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the images, by the minutes that were given, or by what a total time leaves."""
    device = ShapeRuntime(monkeypatch)

    def plans(**given: float) -> Plans:
        options = {"batch_size": 4, "size_px": 32, "target_ms": 0.1, "precision": "fp32", **given}
        opened = open_request(fit_options(photos, tmp_path, runtime=device, **options))
        return make_plans(opened, [0.1], {})[0]

    (by_images,) = plans().plans
    assert by_images.recipe.steps == 1_000
    assert by_images.notes[0].startswith("each training takes 1,000 steps, about")
    (by_minutes,) = plans(minutes=7.0).plans
    assert by_minutes.recipe.minutes == by_minutes.minutes.training == by_minutes.minutes.race == 7
    (few,) = plans(epochs=2).plans
    short = f"the final training is short: {few.steps} steps, where the default is at least 1,000"
    assert any(note.startswith(short) for note in few.notes)
    in_all = plans(minutes=7.0, total_minutes=6.0)
    assert in_all.used_minutes + in_all.minutes.total == pytest.approx(6)
    assert in_all.plans[0].recipe.minutes == pytest.approx(in_all.minutes.training, rel=0.01)
    (said,) = (note for note in in_all.plans[0].notes if "each training" in note)
    share = re.fullmatch(r"--total-minutes 6 shortens each training to (\d+)% of its length", said)
    assert share is not None
    assert in_all.minutes.training == pytest.approx(7 * int(share[1]) / 100, rel=0.05)


def test_a_short_total_time_goes_to_the_final_training(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a race, unless one is asked for: its winner would learn too little."""

    def planned(**given: float) -> Plan:
        options = {"batch_size": 4, "size_px": 32, "target_ms": 0.1, "precision": "fp32", **given}
        device = ShapeRuntime(monkeypatch)
        opened = open_request(fit_options(photos, tmp_path, runtime=device, **options))
        (plan,) = make_plans(opened, [0.1], {})[0].plans
        return plan

    both = planned(minutes=7.0, total_minutes=6.0)
    assert both.minutes.race > 1
    monkeypatch.setattr("tapetum.training.recipe.FEWEST_STEPS", 10**8)
    alone = planned(minutes=7.0, total_minutes=6.0)
    assert alone.minutes.race == 0
    assert alone.minutes.training > 1.5 * both.minutes.training
    assert any(note.startswith("no race is planned for 0.1 ms") for note in alone.notes)
    assert planned(minutes=7.0, total_minutes=6.0, search_minutes=2.0).minutes.race > 0
    assert planned(minutes=7.0).minutes.race == 7


def test_scoring_is_planned_by_how_long_some_images_take(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute for each image and level, and once more for the package in int8."""
    device = ShapeRuntime(monkeypatch)
    monkeypatch.setattr("tapetum.jobs.durations.usable_cores", lambda: 1)
    pace = ScoringPace(0.0, 60.0, 60.0, 0.0, num_levels=1)
    monkeypatch.setattr("tapetum.jobs.planning.scoring_pace", lambda *_, **__: pace)

    def scoring(precision: str) -> float:
        options = {"batch_size": 4, "size_px": 32, "target_ms": 0.1, "precision": precision}
        opened = open_request(fit_options(photos, tmp_path, runtime=device, **options))
        num_images = len(opened.dataset.validation)
        return make_plans(opened, [0.1], {})[0].minutes.scoring / num_images

    assert scoring("fp32") == pytest.approx(1.0, rel=0.01)
    assert scoring("int8") == pytest.approx(4.0, rel=0.01)  # both are compared before it ships


@pytest.mark.parametrize(("total", "count"), [(6, 1), (11, 2), (16, 3), (300, None), (None, None)])
def test_a_short_total_time_scores_some_of_the_images(
    total: float | None,
    count: int | None,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many of the 4 as a fifth of it scores, at a minute each, where trainings are shortened."""
    monkeypatch.setattr("tapetum.jobs.durations.usable_cores", lambda: 1)
    monkeypatch.setattr("tapetum.jobs.planning.FEWEST_SCORED", 1)
    pace = ScoringPace(0.0, 60.0, 60.0, 0.0, num_levels=1)
    monkeypatch.setattr("tapetum.jobs.planning.scoring_pace", lambda *_, **__: pace)
    options = {"batch_size": 4, "size_px": 32, "target_ms": 0.1, "precision": "fp32"}
    options |= {"minutes": 12.0, "runtime": ShapeRuntime(monkeypatch), "total_minutes": total}
    opened = open_request(fit_options(photos, tmp_path, **options))
    plans, _ = make_plans(opened, [0.1], {})
    assert plans.num_scored == count
    assert plans.minutes.scoring == pytest.approx(count or 4, rel=0.01)
    said = f"{count} validation images, evenly spread, judge the networks, since --total-minutes"
    assert (said in " ".join(plans.lines(opened.request))) == (count is not None)
    if count is not None:
        assert plans.used_minutes + plans.minutes.total == pytest.approx(total)


def test_what_is_scored_is_what_the_plan_allows(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of every class; the report and the scores say how many, and a fit goes on with it."""
    monkeypatch.setattr("tapetum.jobs.planning._Planning.num_scored", lambda *_: 2)
    device, path = ShapeRuntime(monkeypatch), tmp_path / "fit"
    options = {**UNRACED, "total_minutes": 60.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tapetum.jobs.fit_delivery.export_run", stop)
        with pytest.raises(KeyboardInterrupt):
            fit_on(device, photos, path, **options)
    result = fit_on(device, photos, path, **options, resume=True)
    assert result.scores.class_images == {"bright": 1, "dark": 1}
    assert "2 validation images, evenly spread, judge" in (path / "report.html").read_text()


def test_the_pair_is_planned_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not depend on the budget, and is trained with the first one."""
    options = {"batch_size": 4, "epochs": 1, "size_px": 32, "target_ms": 0.1, "precision": "fp32"}
    given = fit_options(photos, tmp_path, runtime=ShapeRuntime(monkeypatch), **options)
    plans, _ = make_plans(open_request(given), [0.1, 0.101], {})
    first, second = (one.controls_minutes for one in plans.plans)
    assert first > 2 * second > 0


@pytest.fixture(scope="module")
def front(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, str]]:
    """Fits of two budgets, and what was told of them."""
    path, told = tmp_path_factory.mktemp("front") / "front", io.StringIO()
    handler, logger = logging.StreamHandler(told), logging.getLogger("tapetum")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logger, "level", logging.INFO)
        logger.addHandler(handler)
        made = fit_budgets(ShapeRuntime(patch), photos, path)
        logger.removeHandler(handler)
        yield made, told.getvalue()


def fit_budgets(device: ShapeRuntime, data: Path, out: Path, **options: object) -> Front:
    """Fits of two budgets without a race."""
    settings = {"method": "none", "batch_size": 4, "epochs": 1, "size_px": 32, "precision": "fp32"}
    return fit_front(data, out, target_ms=[0.2, 0.1], runtime=device, **(settings | options))


def test_several_budgets_share_what_was_timed(
    front: tuple[Front, str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folder for each, one file of timings, one plan, and one report over latency."""
    made, told = front
    assert [one.request.target_ms for one in made.fits] == [0.1, 0.2]
    assert all(map(is_kept, made.fits))
    assert len(re.findall("possible: ", told)) == 1
    planned = [told.index(f"plan for {target} ms (fp32)") for target in (0.1, 0.2)]
    assert planned[0] < planned[1]
    assert (made.path / "timings_fp32.json").exists()
    assert not (made.path / "0.1ms" / "timings_fp32.json").exists()
    report = made.report.read_text()
    assert "Accuracy over latency" in report
    assert "0.2ms/model.tapetum" in report
    assert {"macro accuracy, %", "PSNR of noisy images, dB", "delivered"} <= set(made.table.header)
    assert fit_budgets(ShapeRuntime(monkeypatch), photos, made.path, resume=True) == made


@pytest.mark.slow
def test_several_budgets_share_the_pair(
    front: tuple[Front, str], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a plain DC-Net of its own to compare with; the pair is trained once."""
    path = tmp_path / "front"
    copytree(front[0].path, path)
    device = ShapeRuntime(monkeypatch)
    with monkeypatch.context() as patch:  # as if the command had been killed
        patch.setattr("tapetum.jobs.fitting._trained_controls", stop)
        with pytest.raises(KeyboardInterrupt):
            fit_budgets(device, photos, path, controls=True, resume=True)
    made = fit_budgets(device, photos, path, resume=True)
    names = [row[0] for row in made.table.rows]
    assert names.count("MobileNetV3-small and UNet-S") == 1
    trained = sorted(path.parent.name for path in made.path.rglob("control_*/report.html"))
    assert trained == ["control_dc-net"] * 2 + ["control_mobilenet-v3-small", "control_unet-s"]
    assert made.fits[0].controls.controls[1] == made.fits[1].controls.controls[1]
    assert fit_budgets(device, photos, path, resume=True) == made


def test_the_command_shows_several_budgets_in_one_table(
    front: tuple[Front, str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which JSON has all; what the scores of each network lack is said beside it."""
    monkeypatch.setitem(RUNTIMES, "onnxruntime", ShapeRuntime(monkeypatch))  # type: ignore[arg-type]
    size = ("--size", 32, "--epochs", 1, "--batch-size", 4, "--precision", "fp32")
    requested = ("fit", photos, "--target-ms", "0.2,0.1", "--search", "none", *size)
    requested = (*requested, "--out", front[0].path)
    result = run(*requested, "--resume")
    assert result.exit_code == 0, result.output
    assert "budget, ms" in result.stdout
    assert [line.endswith("yes") for line in result.stdout.splitlines()].count(True) == 2
    for one in front[0].fits:
        assert one.scores.remarks
        assert all(f"{one.path.name}: {remark}" in result.stderr for remark in one.scores.remarks)
    again = run(*requested, "--resume", "--json")
    assert [one["target_ms"] for one in json.loads(again.stdout)["fits"]] == [0.1, 0.2]
    assert "already contains a fit of several budgets" in sentence(run(*requested))


@pytest.mark.slow
def test_controls_can_be_added_and_a_better_plain_network_is_delivered(
    unraced: FitResult, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained twice, and the package becomes the plain DC-Net where it is better."""
    monkeypatch.setattr("tapetum.jobs.compare.gain", lambda *_: (2.0, 1.0))
    device = ShapeRuntime(monkeypatch)
    assert not unraced.controls.controls
    copytree(unraced.path, tmp_path / "fit")
    assert (
        open_package(tmp_path / "fit" / "model.tapetum").manifest.architecture.name
        == "network-for-0.1ms"
    )
    weights = tmp_path / "fit" / "network" / "weights.safetensors"
    trained_ns = weights.stat().st_mtime_ns
    result = fit_on(device, photos, tmp_path / "fit", **UNRACED, controls=True, resume=True)
    assert weights.stat().st_mtime_ns == trained_ns
    assert fit_on(device, photos, tmp_path / "fit", **UNRACED, resume=True) == result
    with pytest.raises(RunError, match="controls"):
        fit_on(device, photos, tmp_path / "fit", **UNRACED, controls=False, resume=True)
    titles = [control.title for control in result.controls.controls]
    assert titles == ["plain DC-Net of the same latency", "MobileNetV3-small and UNet-S"]
    assert result.delivery.run == "control_dc-net"
    assert open_package(result.package).manifest.architecture.name == "plain-dc-net"
    assert "so it is delivered" in result.delivery.remarks[0]
    pair = r"MobileNetV3-small and UNet-S \([0-9.]+ ms\) is better than the chosen network"
    assert re.match(pair, result.delivery.remarks[1])
    report = result.report.read_text()
    for words in ("Comparison", "MobileNetV3-small and UNet-S", "Accuracy over latency"):
        assert words in report


@pytest.mark.slow
def test_a_narrower_network_ships_in_fp32_where_int8_loses_too_much(
    trained_for_int8: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidates are timed in int8, which pays here; the package keeps the budget in fp32."""
    monkeypatch.setattr("tapetum.jobs.fit_delivery.export_run", lossy_export)
    monkeypatch.setattr("tapetum.jobs.fit_delivery.gain", lambda *_: (0.0, 1.0))
    device = ShapeRuntime(monkeypatch)
    copytree(trained_for_int8, tmp_path / "fit")
    result = fit_on(device, photos, tmp_path / "fit", **AUTO)
    in_int8_ms = formula_ms(result.selection.architecture, 32)
    assert in_int8_ms > 1.5 * TARGET_MS
    assert result.delivery.run == "network_fp32"
    assert is_kept(result)
    assert result.delivery.keeps_target
    assert "fp32 is used, since it loses 0.1 dB or more" in result.delivery.remarks[0]
    again = fit_on(device, photos, tmp_path / "fit", **AUTO)
    assert again.delivery == result.delivery


@pytest.mark.slow
def test_int8_ships_where_the_narrower_network_in_fp32_is_worse(
    trained_for_int8: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it loses is little beside that, and the report says so."""
    monkeypatch.setattr("tapetum.jobs.fit_delivery.export_run", lossy_export)
    monkeypatch.setattr("tapetum.jobs.fit_delivery.gain", lambda *_: (2.0, 1.0))
    device = ShapeRuntime(monkeypatch)
    copytree(trained_for_int8, tmp_path / "fit")
    result = fit_on(device, photos, tmp_path / "fit", **AUTO)
    assert result.delivery.run == "network"
    manifest = open_package(result.package).manifest
    assert (manifest.precision, manifest.architecture) == ("int8", result.selection.architecture)
    assert manifest.scores == result.scores.model_copy(update={"mistakes": ()})
    assert "it loses 0.1 dB or more: a narrower network in" in result.delivery.remarks[0]
    assert "a narrower network in fp32 of the same latency is worse" in result.report.read_text()


@pytest.mark.slow
def test_int8_ships_where_no_time_is_left_for_a_network_in_fp32(
    trained_for_int8: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it loses, and the option that would have avoided it."""
    monkeypatch.setattr("tapetum.jobs.fit_delivery.export_run", lossy_export)
    monkeypatch.setattr("tapetum.jobs.fit_race.Race.fallback_recipe", lambda _: None)
    copytree(trained_for_int8, tmp_path / "fit")
    result = fit_on(ShapeRuntime(monkeypatch), photos, tmp_path / "fit", **AUTO)
    assert open_package(result.package).manifest.precision == "int8"
    said = "int8 is used, although it loses 0.1 dB or more: --total-minutes leaves no time"
    assert said in result.delivery.remarks[0]
    assert not (tmp_path / "fit" / "network_fp32").exists()


@pytest.mark.slow
def test_the_plain_network_is_narrowed_for_fp32_where_it_would_have_shipped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was better than the chosen network, and int8 loses too much; in fp32 it is as good."""
    monkeypatch.setattr("tapetum.jobs.compare.gain", lambda *_: (2.0, 1.0))
    monkeypatch.setattr("tapetum.jobs.fit_delivery.gain", lambda *_: (0.0, 1.0))
    monkeypatch.setattr("tapetum.jobs.fit_delivery.export_run", lossy_export)
    result = fit_on(ShapeRuntime(monkeypatch), photos, tmp_path / "fit", **AUTO, controls=True)
    shape = MatchedShape.read(result.path / "matched_fp32.json").attempt.shape
    assert (shape.stem, shape.down, shape.gated) == ("full", "max_pool", False)
    assert result.delivery.run == "network_fp32"
    assert is_kept(result)
    assert "narrower network in fp32" in result.report.read_text()


def lossy_export(run: Path, out: Path, *, precision: str, dataset: Any, **more: Any) -> Exported:
    """Exports in fp32 where it may, and says that int8 would lose half a decibel."""
    if precision == "int8":
        timings = (Timing.of([Round([2.0])]), Timing.of([Round([1.0])]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tapetum.formats.precision._timed", lambda *_: (CONDITIONS, timings))
            return export_run(run, out, precision="int8", dataset=dataset, **more)
    exported = export_run(run, out, **more)
    if precision == "fp32":
        return exported
    timing = Timing.of([Round([1.0])])
    choice = PrecisionChoice(
        asked="auto",
        conditions=CONDITIONS,
        fp32=Measured(timing=Timing.of([Round([2.0])]), macro_accuracy=0.9, psnr_db=30.0),
        int8=Measured(timing=timing, macro_accuracy=0.9, psnr_db=29.5),
        num_images=4,
    )
    return exported.model_copy(update={"precision": choice})


@pytest.mark.slow
def test_an_earlier_fit_is_shown_beside(
    unraced: FitResult, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same images; another split is refused."""
    device = ShapeRuntime(monkeypatch)
    beside = {**UNRACED, "beside": [unraced.path], "target_ms": 2 * TARGET_MS}
    later = fit_on(device, photos, tmp_path / "later", **beside)
    assert "earlier" in later.report.read_text()
    for changed, words in (
        ({"seed": 1}, "made for other images"),
        ({"resize": "crop"}, "another size or preparation"),
        ({"protocol": "camera"}, "the protocol benchmark, not camera"),
        ({"noise": "gaussian:0-0.3"}, "other noise"),
    ):
        with pytest.raises(InputError, match=words):
            fit_on(device, photos, tmp_path / "other", **beside, **changed)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_fit_by_race_that_was_killed_after_any_step_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each file that marks the end of a step, it ends with the same network."""
    device = ShapeRuntime(monkeypatch)
    whole = fit_on(device, photos, tmp_path / "whole")
    stops = (
        *("timings_fp32.json", "plan.json", "candidates.json", "race/rung-1/00.json"),
        *("race/result.json", "matched.json", "match.json", "network/report.html"),
        *("model.tapetum", "timing.json", "report.html", "result.json"),
    )
    for name in stops:
        with monkeypatch.context() as patch:
            refuse_to_write(patch, tmp_path / "killed" / name)
            with pytest.raises(KeyboardInterrupt):
                fit_on(device, photos, tmp_path / "killed", resume=True)
    resumed = fit_on(device, photos, tmp_path / "killed", resume=True)
    assert resumed.selection.architecture == whole.selection.architecture
    assert resumed.delivery.scores == whole.delivery.scores


def test_the_images_that_judge_a_race_do_not_train_in_it(photos: Path) -> None:
    """And the two parts are all training images; where these are few, the validation judges."""
    dataset = open_dataset(str(photos), seed=0)
    for count in (3, 19, 20, 40):
        few = replace(dataset, train=Dots(count))
        train, held_out = split_for_race(few)
        if count < 20:
            assert (train, held_out) == (few.train, few.validation)
            continue
        assert 0 < len(held_out) < count / 2
        assert sorted([*train.indices, *held_out.indices]) == list(range(count))


def test_about_a_fifth_and_at_most_some_hundred_images_judge_a_race(photos: Path) -> None:
    """More would only be missing in its trainings."""
    dataset = open_dataset(str(photos), seed=0)
    for count, expected in ((1_000, 200), (10_000, 500)):
        _, held_out = split_for_race(replace(dataset, train=Dots(count)))
        assert len(held_out) == pytest.approx(expected, rel=0.2)


def test_a_group_judges_a_race_or_trains_in_it(tmp_path: Path) -> None:
    """Also a file and its copy; a group that comes later moves nobody else."""
    root = tmp_path / "grouped"
    draw(root, dict.fromkeys("ab", 60))
    for name in "ab":
        for index in range(60):
            file = root / name / f"{index}.png"
            file.rename(root / name / f"scene{index // 5}_{index}.png")
    for index in range(0, 60, 5):
        source = root / "a" / f"scene{index // 5}_{index}.png"
        (root / "a" / f"copy{index}.png").write_bytes(source.read_bytes())
    before = _race_sides(root)
    train, held_out = before
    assert {name for _, name in train} == {name for _, name in held_out} == {"a", "b"}
    assert not {group for group, _ in train} & {group for group, _ in held_out}
    draw(root, {"b": 3})
    assert _race_sides(root)[1] - {(f"{i}.png", "b") for i in range(3)} >= held_out


def _race_sides(root: Path) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Group and class of each image that trains in a race, and of each that judges it."""
    dataset = open_dataset(str(root), seed=0, group_by="(scene[0-9]+_|copy)")
    train, held_out = split_for_race(dataset)
    return set(train.groups()), set(held_out.groups())  # type: ignore[arg-type]


@pytest.mark.parametrize("sizes", [(60, 1), (1, 60), (59, 2), (40, 20)])
def test_a_large_group_is_not_taken_from_the_training_of_a_race(
    photos: Path, sizes: tuple[int, int]
) -> None:
    """Where groups cannot be divided so that half of the images train, the validation judges."""
    dataset = open_dataset(str(photos), seed=0)
    few = replace(dataset, train=Grouped(sizes))
    train, held_out = split_for_race(few)
    assert len(train) >= sum(sizes) / 2
    assert (held_out is few.validation) == (len(train) == sum(sizes))


class Grouped(Dots):
    """Images in groups of different sizes."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__(sum(sizes))
        self.sizes = sizes

    def groups(self) -> list[tuple[str, str | None]]:
        """The number of its group, for each image."""
        return [(f"{number}", None) for number, size in enumerate(self.sizes) for _ in range(size)]


def test_one_group_alone_is_judged_by_the_validation_images(photos: Path) -> None:
    """There is nothing to hold out."""
    dataset = open_dataset(str(photos), seed=0)
    alone = Dots(40)
    alone.groups = lambda: [("scene", None)] * 40  # type: ignore[method-assign]
    assert split_for_race(replace(dataset, train=alone))[1] is dataset.validation


def test_an_option_of_another_method_is_refused(tmp_path: Path) -> None:
    """In a sentence that names the method it belongs to."""
    with pytest.raises(InputError, match="--space is an option of the method tf-nas") as refused:
        fit(tmp_path, tmp_path / "fit", target_ms=1, space="dc-nas")
    assert "give --method tf-nas" in refused.value.remedy
    with pytest.raises(InputError, match="--prefer is an option of the method race or none"):
        fit(tmp_path, tmp_path / "fit", target_ms=1, method="tf-nas", prefer="label")
    with pytest.raises(InputError, match="no method 'magic'"):
        fit(tmp_path, tmp_path / "fit", target_ms=1, method="magic")  # type: ignore[arg-type]
