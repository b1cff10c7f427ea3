"""A race picks the candidate that is better, and ends the same however often it is killed."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kills import kill_everywhere
from tapetum.arch import Architecture, find_architecture
from tapetum.data import ImageDataset
from tapetum.errors import InputError, RunError, TrainingError
from tapetum.progress import ProgressCallback
from tapetum.search import RACES, RaceResult, plan
from tapetum.search.pace import Pace
from tapetum.search.race import _going_on
from tapetum.search.starting import none_trained
from tapetum.search.utility import Place
from tiny_race import Here, blind, field, race_here, seeing, tiny_recipe

SCRIPT = Path(__file__).with_name("tiny_race.py")


class _StoppedError(Exception):
    pass


def _stop_after(pieces: int) -> ProgressCallback:
    left = [pieces]

    def progress(done: int, total: int, message: str) -> None:
        del done, total, message
        left[0] -= 1
        if left[0] == 0:
            raise _StoppedError

    return progress


def _facts(result: RaceResult) -> dict[str, Any]:
    """All of a result but its times."""
    return result.model_dump(exclude={"seconds", "provenance"})


def _rung_files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.glob("rung-*/*.json"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A race that nobody killed."""
    path = tmp_path_factory.mktemp("undisturbed") / "race"
    race_here(path, field())
    return path


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_a_race_picks_the_candidate_that_can_see_the_label(seed: int, tmp_path: Path) -> None:
    """A network that sees 3 x 3 pixels cannot tell the classes apart, by construction."""
    candidates = (blind(), blind("blind-too"), seeing(width=4))
    result = race_here(tmp_path / "race", candidates, recipe=tiny_recipe(seed=seed))
    assert result.winner == "seeing"
    assert result.order[0] == "seeing"
    assert not result.ties
    accuracy = {entry.name: entry.macro_accuracy for entry in result.rungs[0].entries}
    assert accuracy["blind"] == pytest.approx(0.5, abs=0.05)
    assert accuracy["seeing"] is not None
    assert accuracy["seeing"] > 0.9


def test_rungs_keep_the_best_third_and_train_three_times_as_long(undisturbed: Path) -> None:
    """Six candidates, then the best and the first; the order has those of the last rung first."""
    result = RACES.open(undisturbed).result()
    first, second = result.rungs
    assert (len(first.entries), len(second.entries)) == (6, 2)
    best, next_best = (entry.name for entry in first.entries[:2])
    other = next_best if "blind-1" in (best, next_best) else "blind-1"
    assert {entry.name for entry in second.entries} == {best, other}
    assert second.seconds == pytest.approx(3 * first.seconds)
    assert second.entries[0].steps == pytest.approx(3 * first.entries[0].steps, abs=3)
    assert sorted(result.order) == sorted(one.name for one in field())
    assert set(result.order[:2]) == {entry.name for entry in second.entries}
    assert result.winner == result.order[0]


@pytest.mark.parametrize(
    ("names", "going"),
    [("abcd", "ab"), ("bacd", "ba"), ("bcad", "ba"), ("bcd", "bc")],
    ids=["best", "second", "third", "failed"],
)
def test_the_first_candidate_goes_on_unless_it_failed(names: str, going: str) -> None:
    """It takes the last place where two others are better."""
    assert _going_on(tuple(names), 2, "a") == tuple(going)


@pytest.mark.parametrize(("error", "winner"), [(0.4, "blind"), (0.3, "seeing")])
def test_the_first_candidate_wins_where_it_cannot_be_told_from_the_best(
    error: float, winner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is behind by 0.5: less than 1.5 standard errors, or more."""
    places = (
        Place("seeing", 0.0, 0.0),
        Place("blind", 0.5, error),
        Place("other", 0.9, error),
    )
    monkeypatch.setattr(sys.modules["tapetum.search.race"], "order", lambda *_, **__: places)
    candidates = (blind(), seeing(width=2), blind("other"))
    result = race_here(tmp_path / "race", candidates, minutes=0.5)
    assert result.winner == winner
    assert result.ties == (("seeing",) if winner == "blind" else ())


def test_a_race_leaves_no_images_behind(undisturbed: Path) -> None:
    """The decoded images are needed by the workers alone."""
    assert not (undisturbed / "data").exists()
    files = _rung_files(undisturbed)
    assert files[:6] == [f"rung-1/{number:02}.json" for number in range(6)]
    assert [Path(file).parent.name for file in files[6:]] == ["rung-2", "rung-2"]


@pytest.mark.parametrize("pieces", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_stopped_race_resumes_to_the_same_result(
    pieces: int, tmp_path: Path, undisturbed: Path
) -> None:
    """In the first rung, and in the last one."""
    with pytest.raises(_StoppedError):
        race_here(tmp_path / "race", field(), progress=_stop_after(pieces))
    result = race_here(tmp_path / "race", field(), resume=True)
    assert _facts(result) == _facts(RACES.open(undisturbed).result())


def test_the_time_of_a_race_is_that_of_all_its_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only of the last one, and without the pause; a stop loses what was under way."""
    now_s, perform = [0.0], Here.perform

    def take(self: Here, work: Any) -> None:
        perform(self, work)
        now_s[0] += 10

    monkeypatch.setattr(Here, "perform", take)
    clock = SimpleNamespace(monotonic=lambda: now_s[0])
    monkeypatch.setattr(sys.modules["tapetum.search.race"], "time", clock)
    with pytest.raises(_StoppedError):
        race_here(tmp_path / "race", field()[:3], progress=_stop_after(2))
    first_s = now_s[0]
    now_s[0] += 1_000
    result = race_here(tmp_path / "race", field()[:3], resume=True)
    whole_s = now_s[0] - 1_000
    assert first_s >= 20
    assert whole_s - 10 <= result.seconds <= whole_s


def test_a_finished_race_is_not_run_again(undisturbed: Path) -> None:
    """Its result is returned; another request is refused."""
    before = (undisturbed / "result.json").read_bytes()
    race_here(undisturbed, field(), resume=True)
    assert (undisturbed / "result.json").read_bytes() == before
    with pytest.raises(RunError, match="another request"):
        race_here(undisturbed, field()[:3], resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [1, 4, 6, 7])
def test_a_killed_race_resumes_to_the_same_result(
    pieces: int, tmp_path: Path, undisturbed: Path
) -> None:
    """By a real SIGKILL of the whole process."""
    command = [sys.executable, str(SCRIPT), str(tmp_path / "race")]
    ended = subprocess.run([*command, "--die-after", str(pieces)], check=False)
    assert ended.returncode == -signal.SIGKILL
    subprocess.run([*command, "--resume"], check=True)
    result = RACES.open(tmp_path / "race").result()
    assert _facts(result) == _facts(RACES.open(undisturbed).result())


@pytest.mark.slow
def test_a_kill_at_any_step_of_the_file_system_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first folder to the result."""
    candidates = (blind(), blind("other"))
    whole = race_here(tmp_path / "whole", candidates, step_s=2.0)
    deaths = kill_everywhere(
        lambda n: race_here(tmp_path / f"race{n}", candidates, step_s=2.0), monkeypatch
    )
    assert deaths > 7
    for death in range(deaths):
        result = race_here(tmp_path / f"race{death}", candidates, step_s=2.0, resume=True)
        assert _facts(result) == _facts(whole)
        assert not (tmp_path / f"race{death}" / "data").exists()


def test_a_candidate_that_fails_leaves_the_race(tmp_path: Path) -> None:
    """The race goes on without it, and says so."""
    # Its channels do not fit the images.
    odd = find_architecture("dc-net-reduced-integrated", channels=3, num_classes=2)
    result = race_here(tmp_path / "race", (blind(), odd, seeing(width=2)))
    assert (result.winner, result.order[-1]) == ("seeing", odd.name)
    assert result.rungs[0].entries[-1].fault
    assert any(note.startswith(f"{odd.name} left the race") for note in result.notes)


def test_a_candidate_without_a_pace_does_not_race(tmp_path: Path) -> None:
    """The others do, also where it was the first one."""
    result = race_here(tmp_path / "race", (blind("odd"), blind(), seeing(width=2), blind("third")))
    assert sorted(result.order) == ["blind", "seeing", "third"]
    assert result.notes == ("odd cannot be trained: odd",)  # and not for lack of time


@pytest.mark.slow
def test_ctrl_c_keeps_what_has_ended(tmp_path: Path, undisturbed: Path) -> None:
    """The message says how to go on, and the race ends as if nothing had happened."""

    def press(done: int, total: int, message: str) -> None:
        del done, total, message
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingError, match="interrupted"):
        race_here(tmp_path / "race", field(), progress=press)
    assert _rung_files(tmp_path / "race")
    result = race_here(tmp_path / "race", field(), resume=True)
    assert _facts(result) == _facts(RACES.open(undisturbed).result())


def test_a_race_without_a_sound_candidate_is_an_error(tmp_path: Path) -> None:
    """One sentence says why, and another try is possible."""
    odd = find_architecture("dc-net-reduced-integrated", channels=3, num_classes=2)
    odd_too = odd.model_copy(update={"name": "odd-too"})
    with pytest.raises(TrainingError, match="no candidate can be trained"):
        race_here(tmp_path / "race", (odd, odd_too))
    assert not _rung_files(tmp_path / "race")


def test_a_race_that_lacks_memory_is_told_to_have_fewer_workers() -> None:
    """Other faults keep their own remedy."""
    full = none_trained("a: CUDA out of memory. Tried to allocate 2 MiB", "choose others")
    assert "fewer --workers" in full.remedy
    assert none_trained("a: it has no labels", "choose others").remedy == "choose others"


def test_without_time_the_first_candidate_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a note says so; what a busy machine means for a race is said of a race alone."""
    monkeypatch.setattr("tapetum.search.starting.BUSY", 0.5)
    result = race_here(tmp_path / "race", field(), step_s=60.0)
    assert (result.winner, result.order, result.rungs) == ("blind-1", ("blind-1",), ())
    note, busy = result.notes
    assert "there is no race" in note
    assert busy == "the machine is busy: a second of the processor took 1.0 s"
    minutes = float(re.findall(r"3 need ([0-9.]+)", note)[0])
    again = race_here(tmp_path / "again", field()[:3], step_s=60.0, minutes=1.05 * minutes)
    assert len(again.order) == 3
    assert f"{busy}; all candidates train for fewer steps" in again.notes


def test_a_recipe_without_an_average_is_judged_by_one(tmp_path: Path, undisturbed: Path) -> None:
    """The last weights of a short training say less."""
    race_here(tmp_path / "race", field()[:1], recipe=tiny_recipe(ema_decay=None))
    assert RACES.open(tmp_path / "race").request.recipe.ema_decay == 0.999
    assert RACES.open(undisturbed).request.recipe.ema_decay == 0.9


def test_images_without_room_are_missing_in_the_race_and_in_its_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only in the log."""
    module = sys.modules["tapetum.search.race"]
    store = module.store_images

    def store_some(images: ImageDataset, folder: Path, **options: Any) -> int:
        return store(images.subset(range(len(images) // 2)), folder, **options)

    monkeypatch.setattr(module, "store_images", store_some)
    result = race_here(tmp_path / "race", (blind(),))
    assert result.notes == ("the race sees 32 of 64 images: no more have room",)


@pytest.mark.slow
def test_a_passing_fault_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no candidate could be timed, the same race works as soon as one can."""
    with monkeypatch.context() as patch:
        patch.setattr(Here, "_pace", lambda *_: Pace(fault="no memory is left"))
        with pytest.raises(TrainingError, match="no memory is left"):
            race_here(tmp_path / "race", field()[:3])
    assert not list((tmp_path / "race" / "paces").glob("*.json"))
    assert len(race_here(tmp_path / "race", field()[:3], resume=True).order) == 3


def test_with_little_time_the_first_candidates_race(tmp_path: Path) -> None:
    """As many as can take the fewest steps, and a note says so."""
    result = race_here(tmp_path / "race", field(), step_s=0.7)
    assert set(result.order) == {one.name for one in field()[: len(result.order)]}
    assert 3 <= len(result.order) < len(field())
    assert any(
        note.startswith(f"{len(result.order)} of 6 candidates race") for note in result.notes
    )


@pytest.mark.parametrize(
    ("candidates", "words"),
    [((blind(), blind()), "several candidates are called"), ((), "no race")],
    ids=["twice", "none"],
)
def test_an_impossible_request_makes_no_folder(
    candidates: tuple[Architecture, ...], words: str, tmp_path: Path
) -> None:
    """One sentence says what is wrong."""
    with pytest.raises(InputError, match=words):
        race_here(tmp_path / "race", candidates)
    assert not (tmp_path / "race").exists()


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [2, 3, 9, 12, 24])
def test_the_rungs_fill_the_minutes(count: int, workers: int) -> None:
    """Rung by rung, as many at a time as there are workers."""
    first = plan.first_seconds(600, count, workers=workers)
    total = 0.0
    for number, size in enumerate(plan.rungs(count)):
        total += 3**number * first * -(-size // workers)
    assert total == pytest.approx(600)


@pytest.mark.parametrize(
    ("count", "sizes"), [(24, (24, 8, 3)), (9, (9, 3)), (12, (12, 4)), (2, (2,)), (1, ())]
)
def test_a_third_goes_on_until_one_is_left(count: int, sizes: tuple[int, ...]) -> None:
    """Rounded, and at least one."""
    assert plan.rungs(count) == sizes


def test_more_minutes_and_more_workers_let_no_fewer_race() -> None:
    """From a single one to all of them."""
    counts = [
        plan.how_many(30, seconds, workers=2, step_s=0.1, steps=100)
        for seconds in range(10, 2_000, 10)
    ]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, plan.MOST)
    assert plan.how_many(30, 200, workers=8, step_s=0.1, steps=100) > plan.how_many(
        30, 200, workers=1, step_s=0.1, steps=100
    )
