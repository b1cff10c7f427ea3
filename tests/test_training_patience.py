"""A training that ends early because its held-out scores are flat, on a scripted clock."""

import csv
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tapetum.training import Recipe
from tapetum.training.length import Length, TimedLength
from tapetum.training.patience import EarlyEnd
from tapetum.training.recipe import RECIPES
from tiny_training import StoppedError, script_time, stop_at, tiny_recipe, tiny_train

SECONDS, PATIENCE_S, WARMUP = 16.0, 2.0, 0.25
STEP_S, VALIDATION_S = 0.25, 0.0625
SLACK_S = SECONDS / 20 + STEP_S + VALIDATION_S  # between two validations


def _recipe(**changes: object) -> Recipe:
    """Sixteen seconds, two of which may be flat."""
    length = {} if "steps" in changes else {"minutes": SECONDS / 60}
    fields: dict[str, object] = {"schedule": "one-cycle", "warmup": WARMUP, "ema_decay": 0.9}
    return tiny_recipe(**{**length, **fields, "patience_minutes": PATIENCE_S / 60, **changes})


Script = Callable[[float], None]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Lets each validation gain so many decibels on the one before, on a scripted clock."""

    def scripted(gain_db: float) -> None:
        script_time(monkeypatch.setattr, lambda _: STEP_S, validation_s=VALIDATION_S)
        scores = ({"loss": 1.0, "macro_accuracy": 0.5, "psnr_db": gain_db * n} for n in count())
        monkeypatch.setattr("tapetum.training.trainer.validate", lambda *_, **__: next(scores))

    return scripted


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_flat_scores_end_a_training_early_with_a_whole_schedule(
    script: Script, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The warm-up does not count, and after the patience it takes as long again."""
    script(0.0)
    recipe = _recipe()
    result = tiny_train(tmp_path / "run", recipe)
    earliest_s = WARMUP * SECONDS + 2 * PATIENCE_S
    assert earliest_s <= result.training_seconds < earliest_s + 2 * SLACK_S
    assert float(_rows(tmp_path / "run")[-1]["learning_rate"]) < 0.02 * recipe.learning_rate
    assert result.early_end is not None
    assert caplog.messages.count(result.early_end.describe()) == 1
    assert "flat for 2 s" in result.early_end.describe()
    assert "instead of after 0.266667 minutes" in result.early_end.describe()


@pytest.mark.slow
def test_scores_that_still_improve_use_the_whole_time(script: Script, tmp_path: Path) -> None:
    """Also where a single validation gains less than counts."""
    script(0.06)
    result = tiny_train(tmp_path / "run", _recipe())
    assert SECONDS <= result.training_seconds < SECONDS + STEP_S
    assert result.early_end is None


def test_without_patience_a_training_never_ends_early(script: Script, tmp_path: Path) -> None:
    """That is the default."""
    script(0.0)
    result = tiny_train(tmp_path / "run", _recipe(minutes=0.1, patience_minutes=None))
    assert result.training_seconds >= 6.0
    assert {recipe.patience_minutes for recipe in RECIPES} == {None}


def test_a_constant_rate_ends_at_once(script: Script, tmp_path: Path) -> None:
    """Nothing is gained by going on."""
    script(0.0)
    result = tiny_train(tmp_path / "run", _recipe(schedule="constant", warmup=0.0, steps=60))
    assert result.early_end is not None
    assert (result.steps, result.training_seconds) == (
        result.early_end.step,
        result.early_end.seconds,
    )


def test_a_training_of_steps_takes_fewer(script: Script, tmp_path: Path) -> None:
    """As many as fit into the patience at the pace so far; the last one is validated."""
    script(0.0)
    result = tiny_train(tmp_path / "run", _recipe(steps=60))
    assert result.early_end is not None
    pace_s = result.early_end.seconds / result.early_end.step
    assert (result.steps - result.early_end.step) * pace_s == pytest.approx(PATIENCE_S, abs=pace_s)
    assert result.last.step == result.steps < 60


@pytest.mark.slow
def test_an_early_end_resumes_to_the_same_bits(script: Script, tmp_path: Path) -> None:
    """Stopped just before the scores are flat long enough, and after the schedule has turned."""
    script(0.0)
    whole = tiny_train(tmp_path / "whole", _recipe())
    assert whole.early_end is not None
    turn = whole.early_end.step
    for step in (turn - 1, turn + 3):
        out = tmp_path / f"{step}"
        with pytest.raises(StoppedError):
            tiny_train(out, _recipe(), progress=stop_at(step))
        again = tiny_train(out, _recipe(), resume=True)
        assert (again.steps, again.early_end) == (whole.steps, whole.early_end)
        first, second = (tmp_path / f"{name}/weights.safetensors" for name in ("whole", step))
        assert first.read_bytes() == second.read_bytes()


def test_an_early_end_is_never_later_than_what_was_asked() -> None:
    """Where scores become flat shortly before the end, nothing changes."""
    end = EarlyEnd(step=90, seconds=9.0, flat_minutes=0.1, more_minutes=0.1, asked="10 seconds")
    for length in (Length(100, 10, 10), TimedLength(10.0, 10, 4, 8)):
        assert end.shorten(length) == length
