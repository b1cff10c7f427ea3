"""A training that is counted in minutes, on a scripted clock."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tapetum.training import Length, Recipe
from tapetum.training.checkpoint import EpochRow, Position, read_checkpoint
from tapetum.training.run import LAST
from tiny_training import StoppedError, script_time, stop_at, tiny_recipe, tiny_train

SECONDS = 8.0
STEP_S, VALIDATION_S = 0.25, 0.125


def _timed(**changes: object) -> Recipe:
    """Eight seconds with every kind of state."""
    fields: dict[str, object] = {"schedule": "one-cycle", "warmup": 0.3, "ema_decay": 0.9}
    return tiny_recipe(minutes=SECONDS / 60, **{**fields, **changes})


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def _even(step: int) -> float:
    del step
    return STEP_S


def _slower(step: int) -> float:
    return STEP_S if step < 12 else 4 * STEP_S


def _faster(step: int) -> float:
    return STEP_S if step < 12 else STEP_S / 2


@pytest.mark.parametrize("pace_s", [_even, _slower, pytest.param(_faster, marks=pytest.mark.slow)])
def test_it_ends_at_its_minute_with_a_whole_schedule(
    pace_s: Callable[[int], float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the machine becomes slower or faster on the way."""
    script_time(monkeypatch.setattr, pace_s, validation_s=VALIDATION_S)
    recipe = _timed()
    result = tiny_train(tmp_path / "run", recipe)
    last_step_s = pace_s(result.steps - 1)
    assert SECONDS <= result.training_seconds < SECONDS + last_step_s
    rates = [float(row["learning_rate"]) / recipe.learning_rate for row in _rows(tmp_path / "run")]
    assert max(rates) > 0.9
    assert rates[-1] < 0.02
    assert result.steps == result.last.step


def test_a_stopped_training_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that was used is part of the checkpoint; that of the pause does not count."""
    script_time(monkeypatch.setattr, _slower, validation_s=VALIDATION_S)
    recipe = _timed(half_size=0.3)
    whole = tiny_train(tmp_path / "whole", recipe)
    for step in (1, 14):  # before a checkpoint, and in the middle, where it is slower
        with pytest.raises(StoppedError):
            tiny_train(tmp_path / f"{step}", recipe, progress=stop_at(step))
        again = tiny_train(tmp_path / f"{step}", recipe, resume=True)
        assert (again.steps, again.training_seconds) == (whole.steps, whole.training_seconds)
        assert _rows(tmp_path / f"{step}") == _rows(tmp_path / "whole")
        first, second = (tmp_path / f"{name}/weights.safetensors" for name in ("whole", step))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "validation_s",
    [0.125, *(pytest.param(seconds, marks=pytest.mark.slow) for seconds in (0.0, 1.0))],
)
def test_validation_takes_about_a_tenth_of_the_time(
    validation_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the more seldom the longer it takes; the first and the last one are always there."""
    script_time(monkeypatch.setattr, _even, validation_s=validation_s)
    result = tiny_train(tmp_path / "run", _timed())
    count = len(_rows(tmp_path / "run"))
    assert count * validation_s <= SECONDS / 10 + 2 * validation_s
    assert count >= min(15, SECONDS / 10 / max(validation_s, 1e-9))  # steps are whole
    assert SECONDS <= result.training_seconds < SECONDS + STEP_S


def test_a_time_shorter_than_a_step_is_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is always a network, and it was validated."""
    script_time(monkeypatch.setattr, lambda _: 60.0, validation_s=1.0)
    result = tiny_train(tmp_path / "run", _timed())
    assert (result.steps, len(_rows(tmp_path / "run"))) == (1, 1)


def test_each_validation_is_on_as_many_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one decides, so that the scores of a run can be compared."""
    script_time(monkeypatch.setattr, _slower, validation_s=VALIDATION_S)
    tiny_train(tmp_path / "run", _timed())
    _, position = read_checkpoint(tmp_path / "run" / LAST, Position[EpochRow])
    assert len({row.validation_images for row in position.rows}) == 1
    assert position.total_seconds == sum(row.seconds for row in position.rows)


@pytest.mark.parametrize(
    ("images", "step_s", "expected", "reason"),
    [
        (90, 0.1, {"steps": 1_000}, "40 passes over 90 images would be 80; the minimum is 1,000"),
        (3_000, 0.1, {"steps": 3_720}, "40 passes over 3,000 images"),
        (7_500, 0.13, {"minutes": 15.0}, "40 passes over 7,500 images would take 23; the maximum"),
        (7_500, 1.0, {"steps": 1_000}, "15 minutes would be 809; the minimum is 1,000"),
        (90, 5.0, {"steps": 1_000}, "40 passes over 90 images would be 80"),
    ],
)
def test_the_default_is_forty_passes_within_bounds(
    images: int, step_s: float, expected: dict[str, float], reason: str
) -> None:
    """At least 1,000 steps, beyond these at most 15 minutes; and the reason is said."""
    chosen = Length.default(images, steps_per_pass=images // 32, step_s=step_s)
    length = chosen.given_to(tiny_recipe()).length
    assert {name: count for name, count in length.items() if count is not None} == expected
    assert reason in chosen.reason
    assert chosen.minutes == pytest.approx(min(chosen.steps * step_s / 54, 15.0), rel=1e-3) or (
        chosen.steps == 1_000
    )
