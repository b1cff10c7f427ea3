"""What the report on fits of several budgets says of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.cli.fit import show_front
from tapetum.jobs import Front, front_report
from tapetum.jobs.fit_report import _comparison
from tapetum.jobs.fit_result import Control, Controls, Delivery, FitResult, FittedNetwork
from tapetum.jobs.front_report import front_remarks, front_table, write_front_report
from tapetum.jobs.request import FitRequest, ShapeSettings
from tapetum.jobs.request_tfnas import TfNasSettings
from tapetum.latency import Benchmark, Timing
from tapetum.latency.timing import Round
from tapetum.noise import Gaussian
from tapetum.report import content
from tapetum.scores import ScoreRow, Scores
from test_latency_table import CONDITIONS

COUNTS = {"cat": 500, "dog": 500}
SHAPES, TF_NAS = ShapeSettings.model_construct(), TfNasSettings.model_construct()
PLAIN, PAIR = "plain DC-Net of the same latency", "the pair"


def scored(psnr_db: float) -> Scores:
    """Scores of denoised images."""
    row = ScoreRow(
        title="",
        noise=Gaussian(sigma=0.1),
        num_images=9,
        psnr_db=psnr_db,
        ssim=0.5,
        recalls={},
        filters_db={},
    )
    return Scores(protocol="camera", seed=0, source="", rows=(row,), mean=row)


TRAINED, SHIPPED = scored(30.0), scored(29.5)


def made(
    target_ms: float,
    *,
    took_ms: float | None,
    precision: str = "int8",
    planned: str = "int8",
    run: str = "network",
    method: Any = SHAPES,
    note: str = "",
) -> FitResult:
    """A fit whose networks were timed in one precision, and whose package is in another."""
    timed, ships = (
        CONDITIONS.model_copy(update={"precision": one}) for one in (planned, precision)
    )
    benchmark = None
    if took_ms is not None:
        timing = Timing.of([Round([took_ms])])
        given = {"conditions": ships, "timing": timing, "target_ms": target_ms}
        benchmark = Benchmark.model_construct(**given)
    is_shape = method is SHAPES
    controls = [
        Control.model_construct(
            title=title,
            networks={f"control_{title}": None},
            latency_ms=0.9 * target_ms,
            is_measured=is_shape,
            may_ship=title == PLAIN,
        )
        for title in (PLAIN, PAIR)
    ]
    return FitResult(
        path=Path(f"{target_ms:g}ms"),
        request=FitRequest.model_construct(
            target_ms=target_ms,
            method=method,
            conditions=CONDITIONS,
            recipe=SimpleNamespace(name="tiny", seed=0, duration="1 epoch"),
            data=SimpleNamespace(source="photos", size_px=64),
        ),
        selection=FittedNetwork.model_construct(
            predicted_ms=1.1 * target_ms,
            benchmark=benchmark,
            conditions=timed if is_shape else None,
        ),
        controls=Controls.model_construct(controls=tuple(controls)),
        delivery=Delivery.model_construct(
            target_ms=target_ms,
            includes="network",
            predicted_ms=0.8 * target_ms,
            benchmark=benchmark,
            note=note,
            command="tapetum benchmark model.tapetum",
            scores=SHIPPED if precision == "int8" else TRAINED,
            run=run,
            remarks=(),
        ),
    )


@pytest.fixture(autouse=True)
def _trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training has the same scores."""
    for module in ("compare", "front_report", "fit_report"):
        monkeypatch.setattr(f"tapetum.jobs.{module}.scores_of", lambda _: TRAINED)


def cells(table: content.Table, *names: str) -> list[tuple[str, ...]]:
    """Some columns of a table, row by row."""
    columns = [table.header.index(name) for name in names]
    return [tuple(row[column] for column in columns) for row in table.rows]


KNOWN = ("network", "source", "scored in", "PSNR of noisy images, dB")


@pytest.mark.parametrize(("method", "source"), [(SHAPES, "measured"), (TF_NAS, "predicted")])
def test_each_latency_has_its_source_and_its_precision(
    method: Any, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the scores of a package in int8 are its own, beside those of its training."""
    monkeypatch.setattr("tapetum.jobs.fit_report._lengths", lambda _: "All alike")
    precision = "int8" if method is SHAPES else "fp32"
    fit = made(8, took_ms=7.8, precision=precision, planned=precision, method=method)
    controls = [(title, f"{source}, {precision}", "fp32", "30.00") for title in (PLAIN, PAIR)]
    package = ("chosen network", f"measured, {precision}", precision)
    shown = [(*package, "29.50" if precision == "int8" else "30.00"), *controls]
    assert cells(front_table([fit]), *KNOWN) == shown
    if precision == "int8":
        shown.insert(1, ("the same network as it was trained", "-", "fp32", "30.00"))
    table = _comparison(fit)
    assert cells(table, *KNOWN) == shown
    assert table.highlighted == (0,)


def test_a_narrower_network_in_fp32_stands_beside_those_in_int8() -> None:
    """Each row of several budgets has its precision, and the note names both."""
    fits = [
        made(1, took_ms=0.9, precision="fp32", run="network_fp32"),
        made(2, took_ms=1.9),
        made(4, took_ms=3.9, precision="fp32", planned="fp32"),
    ]
    table = front_table(fits)
    found = [row for row in cells(table, "network", "budget, ms", "source") if row[0] != PAIR]
    assert found == [
        ("narrower network in fp32", "1", "measured, fp32"),
        ("chosen network", "1", "measured, int8"),
        (PLAIN, "1", "measured, int8"),
        ("chosen network", "2", "measured, int8"),
        (PLAIN, "2", "measured, int8"),
        ("chosen network", "4", "measured, fp32"),
        (PLAIN, "4", "measured, fp32"),
    ]
    assert "fp32 or int8, 1 thread" in table.note


def reported(fits: list[FitResult], monkeypatch: pytest.MonkeyPatch) -> content.Report:
    """What is written on fits of several budgets."""
    written: list[content.Report] = []
    monkeypatch.setattr(front_report, "write_report", lambda _, report: written.append(report))
    write_front_report(Path("report.html"), fits)
    return written[0]


def test_a_budget_that_the_device_missed_is_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its latency as it was timed there, how far it is off, and why."""
    package = SimpleNamespace(manifest=SimpleNamespace(precision="int8"))
    monkeypatch.setattr("tapetum.jobs.fit_result.open_package", lambda _: package)
    kept, missed = made(4, took_ms=None), made(8, took_ms=None, note="no better one was timed")
    kept = kept._replace(delivery=kept.delivery.model_copy(update={"predicted_ms": 3.9}))
    report = reported([kept, missed], monkeypatch)
    assert report.lead.startswith("1 of 2 packages keep their budget (timed on the device).")
    states = [row[-1] for row in report.tables[1].rows]
    assert states == ["kept, timed on the device", "20% below it, timed on the device"]
    assert [row[2] for row in report.tables[1].rows] == ["3.9", "6.4"]
    (said,) = report.advice
    assert said == "8 ms: the network takes 6.4 ms of 8 ms: no better one was timed."
    assert cells(report.tables[0], "source")[0] == ("timed on the device, int8",)


def test_the_terminal_has_the_command_for_the_device(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One for each budget, as for a single one; JSON has them in its fields."""
    package = SimpleNamespace(manifest=SimpleNamespace(precision="int8"))
    monkeypatch.setattr("tapetum.jobs.fit_result.open_package", lambda _: package)
    front = Front(Path("front"), (made(4, took_ms=None), made(8, took_ms=None)))
    show_front(front, as_json=False)
    told = capsys.readouterr().err.replace("\n", " ")
    for name in ("4ms", "8ms"):
        assert f"{name}, on the device: tapetum benchmark model.tapetum" in told


def test_a_budget_that_was_missed_here_is_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """First, with the reason."""
    report = reported([made(4, took_ms=3.9), made(8, took_ms=9.0, note="odd")], monkeypatch)
    assert report.lead.startswith("1 of 2 packages keep their budget. ")
    assert report.advice[0].startswith("8 ms: the package misses the budget of 8 ms: 9 ms")


@pytest.mark.parametrize(("method", "share"), [(SHAPES, 0.8), (TF_NAS, 0.8), (TF_NAS, 0.95)])
def test_a_prediction_far_below_a_budget_misses_it(
    method: Any, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a measurement does, so that the exit code is the same."""
    package = SimpleNamespace(manifest=SimpleNamespace(precision="fp32"))
    monkeypatch.setattr("tapetum.jobs.fit_result.open_package", lambda _: package)
    fit = made(40, took_ms=None, precision="fp32", planned="fp32", method=method)
    delivery = fit.delivery.model_copy(update={"predicted_ms": share * 40})
    assert fit._replace(delivery=delivery).misses_budget == (share < 0.9)


def fitted(target_ms: float, accuracy: float | None, psnr_db: float | None) -> Any:
    """What a fit is asked of: its budget, and the scores of its package."""
    headline = ScoreRow(
        title="",
        noise=None,
        num_images=9,
        recalls={} if accuracy is None else dict.fromkeys(COUNTS, accuracy),
        filters_db={},
        accuracy=accuracy,
        macro_accuracy=accuracy,
        psnr_db=psnr_db,
    )
    scores = SimpleNamespace(headline=headline, class_images=COUNTS)
    request = SimpleNamespace(target_ms=target_ms, method=None)
    return SimpleNamespace(request=request, delivery=SimpleNamespace(scores=scores))


def test_a_smaller_budget_that_scores_better_is_named() -> None:
    """A larger network that trained too briefly is no gain, and the user is told."""
    fits = [fitted(1, 0.80, 27.0), fitted(2, 0.85, 28.0), fitted(4, 0.83, 27.5)]
    (remark,) = front_remarks(fits)
    assert remark.startswith(
        "the network for 2 ms scores better than that for 4 ms "
        "(85.0 %, 28.00 dB against 83.0 %, 27.50 dB)"
    )
    assert "--minutes" in remark


def test_a_lead_within_the_noise_is_not_better() -> None:
    """One score can make up for the other, and one decides where the other is missing."""
    assert not front_remarks([fitted(1, 0.83, 27.1), fitted(2, 0.83, 27.0)])
    assert not front_remarks([fitted(1, 0.85, 27.0), fitted(2, 0.83, 28.0)])
    (both,) = front_remarks([fitted(1, 0.85, 28.0), fitted(2, 0.85, 27.0)])
    assert "(85.0 %, 28.00 dB against 85.0 %, 27.00 dB)" in both
    (images,) = front_remarks([fitted(1, None, 28.0), fitted(2, None, 27.0)])
    assert "(28.00 dB against 27.00 dB)" in images


def test_the_export_of_a_report_is_for_the_size_of_the_budget() -> None:
    """It is compared on the images of the fit, and takes one pass."""
    predict, export, _ = made(4, took_ms=3.9).usage
    assert predict.startswith("tapetum predict ")
    assert export.endswith(f" --data {Path('photos').absolute()} --fixed 64x64")
