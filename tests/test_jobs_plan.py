"""The plan of a fit fits into the time that was given, or says how much is needed."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tapetum.errors import InputError
from tapetum.jobs.deadline import Allowance, Allowed, Deadline, slowness
from tapetum.jobs.methods import (
    EXPORT_MINUTES,
    FINAL_TIMING_MINUTES,
    require_time,
    timing_minutes,
)  # fmt: skip
from tapetum.jobs.plan import Minutes, require_share, share_of, shortened
from tapetum.training import Length, Recipe

MINUTES = Minutes(timing=1, race=10, training=10, controls=20, scoring=1, export=1)
LARGER = Minutes(timing=2, race=30, training=30, scoring=2, export=1)


def test_a_plan_without_a_limit_is_not_changed() -> None:
    """Nor one that is shorter than the limit: nothing is made longer."""
    for total in (None, 43, 100):
        assert share_of([MINUTES], total) == 1
    recipe = Recipe.named("quick")
    assert shortened(recipe, 1, 50) is recipe


@pytest.mark.parametrize("total", [21, 43, 107])
@pytest.mark.parametrize("used", [0, 2.5])
def test_race_and_trainings_of_all_budgets_are_shortened_alike(total: float, used: float) -> None:
    """Everything takes the time that was given, less what has passed."""
    share = share_of([MINUTES, LARGER], total, used)
    first, second = MINUTES.shortened(share), LARGER.shortened(share)
    assert used + (first + second).total == pytest.approx(total)
    assert (first + second).fixed == MINUTES.fixed + LARGER.fixed
    assert second.race == pytest.approx(3 * first.race)
    recipe = shortened(Recipe.named("quick"), share, 50)
    whole = Length.of(Recipe.named("quick"), 50).total_steps
    assert Length.of(recipe, 50).total_steps == int(share * whole)


def test_the_least_time_that_is_named_is_enough() -> None:
    """A tenth of race and trainings; anything below is refused."""
    with pytest.raises(InputError, match="is too short") as refused:
        require_share([MINUTES], 8.9, 2)
    found = re.search(r"give ([0-9.]+) minutes", refused.value.remedy)
    assert found is not None
    least = float(found[1])
    assert 2 + MINUTES.shortened(require_share([MINUTES], least, 2)).total <= least
    assert least == pytest.approx(9, abs=0.1)


class _Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("tapetum.jobs.deadline.time.monotonic", lambda: self.now_s)


def test_a_wait_shortens_what_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all budgets alike, so that the end stays where it was; a note says why."""
    clock = _Clock(monkeypatch)
    deadline = Deadline((MINUTES + LARGER).total, 100 + 60 * (MINUTES + LARGER).total, LARGER)
    assert deadline.allow("race", MINUTES).share == 1
    assert not deadline.allow("race", MINUTES).note
    clock.now_s += 60 * 20  # another measurement
    allowed = deadline.allow("race", MINUTES)
    assert allowed.share == pytest.approx(1 - 20 / (MINUTES + LARGER).learning)
    shorter = MINUTES.shortened(allowed.share) + LARGER.shortened(allowed.share)
    assert shorter.total == pytest.approx(deadline.left)
    assert allowed.note.startswith("the race has 80% of its planned length, since")
    assert "88 min of --total-minutes 108 are left for 1.8 h of work" in allowed.note
    clock.now_s += 60 * 1_000
    assert deadline.allow("race", MINUTES).share == pytest.approx(0.1)


def test_trainings_leave_time_for_what_a_busy_machine_does_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes after them takes longer there, and all ends where it would have ended."""
    _Clock(monkeypatch)
    generator = np.random.default_rng(1)
    for slower in (generator.uniform(1, 3) for _ in range(20)):
        deadline = Deadline(40, 100 + 60 * 40, Minutes(), slower)
        share = deadline.allow("training", MINUTES).share
        others = slower * (MINUTES.timing + MINUTES.scoring) + MINUTES.export
        assert others + share * MINUTES.learning == pytest.approx(40)
        assert share < 1


def planned(total: float, *, slower: float, now: float) -> Allowance:
    """What a total time leaves, of a plan of MINUTES that was shortened to a half."""
    minutes = MINUTES.shortened(0.5).slowed(slower)
    recipe = Recipe.named("quick").adjusted(minutes=minutes.training)
    plan = SimpleNamespace(target_ms=2.0, minutes=minutes, recipe=recipe)
    plans: Any = SimpleNamespace(
        total_minutes=total, slower=slower, share=0.5, num_batches=5,
        of=lambda _: plan, after=lambda _: Minutes(),
    )  # fmt: skip
    folder: Any = SimpleNamespace(once=lambda _name, _kind, make: make())
    return Allowance(folder, plans, 2.0, 100.0, now)


@pytest.mark.parametrize("slower", [1.0, 2.0])
def test_the_final_training_gets_the_minutes_that_remain(
    slower: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less those of what comes after it, also where the race was short; up to the whole length."""
    _Clock(monkeypatch)
    later = slower * (FINAL_TIMING_MINUTES / 2 + MINUTES.scoring) + MINUTES.export
    for left, minutes in ((later + 21, 7.0), (later + 300, MINUTES.training)):
        kept = planned(left, slower=slower, now=slower)
        assert kept.recipe().minutes == pytest.approx(minutes, rel=0.01)
    busier = planned(later + 300, slower=slower, now=2 * slower)
    assert busier.recipe().minutes == pytest.approx(2 * MINUTES.training, rel=0.01)
    given = replace(busier, keeps_length=True)  # by --minutes
    assert given.recipe().minutes == pytest.approx(MINUTES.training, rel=0.01)


def test_slowness_is_that_of_a_shared_core() -> None:
    """None on a quiet machine, or where nobody knows; the less of a core, the more."""
    shares: list[Any] = [SimpleNamespace(core_share=share) for share in (None, 1.0, 0.36, 0.1)]
    assert slowness([]) == slowness(shares[:2]) == 1
    assert slowness(shares[2:3]) == pytest.approx(2, abs=0.1)
    assert slowness(shares[3:]) > slowness(shares[2:3])


def test_a_note_on_the_race_needs_a_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is decided before anybody knows whether it is long enough to begin."""
    _Clock(monkeypatch)
    plans = SimpleNamespace(total_minutes=9.0, slower=1.0, after=lambda _: Minutes())
    given = {"folder": SimpleNamespace(path=tmp_path), "plans": plans, "target_ms": 2.0}
    notes = {name: f"the {name} is shorter" for name in ("race", "training")}
    for name, note in notes.items():
        Allowed(share=0.5, note=note).write(tmp_path / f"allowed_{name}.json")
    kept = Allowance(**given, started_s=100.0, slower=1.9)  # type: ignore[arg-type]
    assert list(kept.remarks([], raced=True)) == list(notes.values())
    assert list(kept.remarks([], raced=False)) == [notes["training"]]
    late = Allowance(**given, started_s=-900.0, slower=1.0)  # type: ignore[arg-type]
    *_, why = late.remarks(["export took 9 min instead of 2 min"], raced=False)
    assert "7.7 min longer than --total-minutes 9 leaves it: export took 9 min" in why


def test_a_time_that_is_counted_again_is_said(tmp_path: Path) -> None:
    """In the terminal, and with the remarks of a fit that went on."""

    def once(name: str, kind: Any, make: Callable[[], Allowed]) -> Allowed:
        del kind
        make().write(tmp_path / name)
        return make()

    plans = SimpleNamespace(total_minutes=9.0, slower=1.0, after=lambda _: Minutes())
    folder = SimpleNamespace(path=tmp_path, once=once)
    kept = Allowance(folder, plans, 2.0, time.monotonic(), 1.0)  # type: ignore[arg-type]
    kept.resumed()
    (said,) = kept.remarks([], raced=True)
    assert said == "--total-minutes 9 is counted from the command that resumed the fit"


def test_a_time_that_was_exceeded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By how much; the fits that come later need their own time."""
    clock = _Clock(monkeypatch)
    deadline = Deadline(100, 100 + 60 * 100, LARGER)
    clock.now_s += 60 * (100 - LARGER.total)
    assert not deadline.exceeded
    clock.now_s += 60 * 12
    assert "took 12 min longer than --total-minutes 100 leaves it" in (deadline.exceeded or "")


def test_a_fallback_gets_what_is_left_or_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the training at least: a shorter one would be in vain."""
    clock = _Clock(monkeypatch)
    fallback = Minutes(training=9, scoring=0.5, export=0.5)
    deadline = Deadline(20, 100 + 60 * 20, Minutes(training=5))
    for passed, share in ((0, 1), (5, 1), (8, 2 / 3), (11, 1 / 3), (11.1, 0), (30, 0)):
        clock.now_s = 100 + 60 * passed
        allowed = deadline.allow_fallback(fallback)
        assert allowed.share == pytest.approx(share)
        said = f"the narrower network in fp32 has {share:.0%} of its planned training"
        assert allowed.note.startswith(said) if 0 < share < 1 else not allowed.note


@pytest.mark.parametrize("targets", [(3.0,), (1.0, 2.0, 400.0)])
def test_a_time_in_which_nothing_fits_is_refused_before_anything_is_timed(
    targets: tuple[float, ...],
) -> None:
    """That is timing and export of every budget, without a race; what is proposed is enough."""
    least = sum(timing_minutes(one, races=False) + EXPORT_MINUTES for one in targets)
    require_time(targets, None)
    require_time(targets, 1.001 * least)
    with pytest.raises(InputError, match="is too short") as refused:
        require_time(targets, 0.999 * least)
    proposed = re.search(r"give (\d+) minutes", refused.value.remedy)
    assert proposed is not None
    require_time(targets, float(proposed[1]))
