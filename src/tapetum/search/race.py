"""A race: the best of several candidates of equal latency, by training them on the user's images.

::

    RACE/
      request.json       candidates, recipe and minutes
      data/              the images, decoded once for all workers; removed at the end
      paces/             how fast the candidates train: first one of them, then all
      pace.json          the minutes that are left, and the pace of each candidate that races
      rung-1/00.json     how the training of each candidate ended
      result.json        the order of all candidates; marks the race as finished

Successive halving: all candidates train for equal minutes, the best third goes on to a rung three
times as long, and starts afresh there. Each rung has a complete schedule of its own, since the
scores in the middle of a long schedule say little about its end. Minutes are turned into steps by
the pace of each candidate before a rung begins; from then on the race depends on no clock.
"""

import logging
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from tapetum.arch import Architecture
from tapetum.data import ImageDataset, store_images
from tapetum.errors import DataError, InputError, TrainingError
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import Provenance, stamp
from tapetum.records import Folder, FolderKind, Record, faults_are_ours
from tapetum.search import plan
from tapetum.search.judge import Measures, num_levels
from tapetum.search.pace import Pace, Paces, Pacing, joined
from tapetum.search.utility import Doubling, Place, Prefer, order
from tapetum.search.work import Outcome, Piece, Work
from tapetum.search.workers import Workers, open_workers, perform_all
from tapetum.training import Recipe

__all__ = ["RACES", "Entry", "RaceRequest", "RaceResult", "Rung", "race"]

MOST_JUDGED = 500  # held-out images
VIEWS_A_STEP = 2  # views of held-out images in the time of a training image
PACE_SHARE = 0.04  # of the minutes go to the turns of measuring the pace

DATA = "data"
_BUSY = 1.3  # seconds of the wall clock for one of the processor
_log = logging.getLogger("tapetum")


class RaceRequest(Record):
    """What was requested of a race.

    Attributes:
        candidates: In the order of the caller's hopes; the first one is taken where there is no
            time for a race.
        recipe: How candidates are trained; the race decides about the steps.
        minutes: Time for everything, in minutes.
        prefer: The score that counts more.
        doubling: What a doubling of the latency buys.
        train: What trains, in a sentence, and the number of images.
        held_out: What judges.
    """

    format: Literal["tapetum-race"] = "tapetum-race"
    schema_version: Literal[1] = 1
    candidates: Annotated[tuple[Architecture, ...], Field(min_length=1)]
    recipe: Recipe
    minutes: PositiveFloat
    prefer: Prefer
    doubling: Doubling
    train: tuple[str, int]
    held_out: tuple[str, int]


class Entry(Record):
    """A candidate in a rung.

    Attributes:
        name: Name of the candidate.
        steps: Number of steps that it trained for; 0 where it failed.
        utility: In doublings of the latency; comparable within a rung. None where it failed.
        behind: How far it is behind the best of the rung.
        behind_error: Standard error of ``behind``.
        is_tied: Whether it is behind by one standard error at most.
        accuracy: Share of right labels; None where it has none.
        accuracy_error: Its standard error.
        macro_accuracy: Accuracy of each class, averaged over classes, which the utility counts.
        macro_accuracy_error: Its standard error.
        psnr_db: Mean PSNR, each view of an image counting at most 40 dB.
        psnr_error_db: Its standard error over images.
        fault: Why its training failed; empty otherwise.
    """

    name: str
    steps: int = 0
    utility: float | None = None
    behind: float | None = None
    behind_error: float | None = None
    is_tied: bool = False
    accuracy: float | None = None
    accuracy_error: float | None = None
    macro_accuracy: float | None = None
    macro_accuracy_error: float | None = None
    psnr_db: float | None = None
    psnr_error_db: float | None = None
    fault: str = ""


class Rung(Record):
    """A rung of a race.

    Attributes:
        seconds: Time of each candidate, training and judging, as it was planned.
        num_images: Number of held-out images that judged.
        num_views: Number of images times the noise levels that each was seen at.
        entries: The candidates, the best first.
    """

    seconds: float
    num_images: int
    num_views: int
    entries: tuple[Entry, ...]


class RaceResult(Record):
    """How a race ended.

    Attributes:
        winner: Name of the best candidate.
        ties: Names of the others of the last rung that may as well be the best: behind by one
            standard error at most.
        order: Names of all candidates that raced, the best first: who came further is better.
        rungs: The rungs, the shortest first; none where there was no time for a race.
        notes: What was left out or went wrong, in sentences.
        minutes: Time that was requested, in minutes.
        seconds: Time of the last command of this race, in seconds.
        workers: Number of candidates that trained at the same time.
        steps_per_second: How fast each candidate trains here, by its name.
        waiting: Seconds of the wall clock for each second of the processor, while the pace was
            measured; far above 1 on a busy machine.
        provenance: When, where and with what.
    """

    schema_version: Literal[1] = 1
    winner: str
    ties: tuple[str, ...] = ()
    order: tuple[str, ...]
    rungs: tuple[Rung, ...] = ()
    notes: tuple[str, ...] = ()
    minutes: float
    seconds: float
    workers: int
    steps_per_second: dict[str, float]
    waiting: float
    provenance: Provenance


RACES = FolderKind("race", RaceRequest, RaceResult, "tapetum fit")
_Race = Folder[RaceRequest, RaceResult]


def race(
    path: Path,
    candidates: Sequence[Architecture],
    recipe: Recipe,
    train: ImageDataset,
    held_out: ImageDataset,
    *,
    minutes: float,
    prefer: Prefer = "balanced",
    doubling: Doubling = Doubling(),  # noqa: B008  (frozen)
    workers: int | None = None,
    ray: str | None = None,
    resume: bool = False,
    progress: ProgressCallback = silent,
) -> RaceResult:
    """Return the order of candidates after training them for equal minutes.

    With few minutes fewer candidates race, in the order in which they are given; where the first
    rung of three would have too few steps (:func:`tapetum.search.plan.fewest_steps`), the first one
    wins without a race, and a note says so.

    Args:
        path: Folder of the race.
        candidates: Networks for these images, with names of their own; the most promising first.
        recipe: How to train them. Their average is judged where the recipe has an ``ema_decay``.
        train: Images to learn from.
        held_out: Images to judge by; 500 of them at most, evenly spread. The winner's scores on
            them are a little too good: report others.
        minutes: Time for everything, in minutes of the wall clock.
        prefer: The score that counts four times as much; ``balanced`` for both alike.
        doubling: What a doubling of the latency buys, the unit of both scores.
        workers: Number of candidates that train at the same time; by default one a core.
        ray: Address of a Ray cluster of equal machines that trains them instead.
        resume: Whether to continue a race of the same request; the result of a finished one is
            returned.
        progress: Called after each candidate of a rung.

    Raises:
        InputError: The candidates do not have names of their own, or the workers cannot start.
        DataError: There are too few images.
        RunError: The folder is taken, or holds another race.
        TrainingError: No candidate can be trained, or the race was interrupted; what has ended is
            kept.
    """
    start = time.monotonic()
    train = train.augmented(recipe.augmentation)
    # Decided once, where it is ``auto``.
    recipe = recipe.adjusted(augmentation=train.augmentation or recipe.augmentation)
    train.num_batches(recipe.batch_size)  # refused before there is a folder
    _require_names(candidates)
    with faults_are_ours("this is no race", "correct these arguments"):
        request = RaceRequest(
            candidates=tuple(candidates),
            recipe=recipe,
            minutes=minutes,
            prefer=prefer,
            doubling=doubling,
            train=(train.source, len(train)),
            held_out=(held_out.source, len(held_out)),
        )
    with RACES.work(path.absolute(), request, resume=resume) as folder:
        if not folder.is_finished:
            folder.reopen()
            with open_workers(workers, ray) as pool:
                racing = _Racing(folder, pool, train, held_out, progress, start)
                folder.finish(racing.run(stamp(seed=recipe.seed)))
        shutil.rmtree(folder.path / DATA, ignore_errors=True)
        return folder.result()


def _require_names(candidates: Sequence[Architecture]) -> None:
    twice = [name for name, n in Counter(one.name for one in candidates).items() if n > 1]
    if twice:
        raise InputError(f"several candidates are called {twice[0]!r}", "give each its own name")


class _Start(Record):
    """What is known when the race begins: from here on it depends on no clock.

    Attributes:
        names: Names of the candidates that race; a single one where there is no time for a race.
        paces: Their paces.
        seconds: Time that is left for the rungs.
        workers: Number of candidates that train at the same time.
        notes: What was left out.
    """

    names: tuple[str, ...]
    paces: Paces
    seconds: float
    workers: int
    notes: tuple[str, ...]


@dataclass
class _Racing:
    """The race of one folder."""

    folder: _Race
    pool: Workers
    train: ImageDataset
    held_out: ImageDataset
    progress: ProgressCallback
    start: float

    @property
    def request(self) -> RaceRequest:
        return self.folder.request

    def run(self, provenance: Provenance) -> RaceResult:
        """Measure the pace, run the rungs, and return the result."""
        start = self.folder.once("pace.json", _Start, self._prepared)
        rungs, notes = [], [*start.notes]
        going: tuple[str, ...] = start.names
        sizes = plan.rungs(len(going))
        for number, size in enumerate(sizes):
            rung = self._rung(start, going[:size], number)
            notes += [f"{e.name} left the race: {e.fault}" for e in rung.entries if e.fault]
            rungs.append(rung)
            going = tuple(entry.name for entry in rung.entries if not entry.fault)
            if len(going) == 1:
                break
        for note in notes:
            _log.warning("%s", note)
        names = [entry.name for rung in reversed(rungs) for entry in rung.entries] or [*going]
        ties = [entry.name for entry in rungs[-1].entries if entry.is_tied] if rungs else []
        speeds = {
            name: 1 / pace.step_s
            for name, pace in zip(start.names, start.paces.paces, strict=True)
            if pace.step_s is not None
        }
        return RaceResult(
            winner=names[0],
            ties=tuple(name for name in ties if name != names[0]),
            order=tuple(dict.fromkeys(names)),
            rungs=tuple(rungs),
            notes=tuple(notes),
            minutes=self.request.minutes,
            seconds=time.monotonic() - self.start,
            workers=start.workers,
            steps_per_second=speeds,
            waiting=start.paces.waiting,
            provenance=provenance,
        )

    def _prepared(self) -> _Start:
        """Choose who races by the pace of the first candidate, then measure that of all of them."""
        request, notes = self.request, []
        candidates = request.candidates[: plan.MOST]
        first = self._paces("first", candidates[:1])
        measured, count = first, self._how_many(len(candidates), first.paces)
        if count > 1:
            measured = self._paces("all", candidates[:count])
            sound = [pace for pace in measured.paces if not pace.fault]
            count = self._how_many(len(sound), sound)
        chosen = [
            (one.name, pace)
            for one, pace in zip(candidates, measured.paces, strict=False)
            if not pace.fault
        ][:count]
        notes += [
            f"{one.name} cannot be trained: {pace.fault}"
            for one, pace in zip(candidates, measured.paces, strict=False)
            if pace.fault
        ]
        if not chosen:
            raise TrainingError(f"no candidate can be trained: {notes[0]}", "choose others")
        notes += self._notes(len(chosen), measured.waiting)
        return _Start(
            names=tuple(name for name, _ in chosen),
            paces=measured.model_copy(update={"paces": tuple(pace for _, pace in chosen)}),
            seconds=self._seconds_left(),
            workers=self.pool.size,
            notes=tuple(notes),
        )

    def _seconds_left(self) -> float:
        return max(0.0, 60 * self.request.minutes - (time.monotonic() - self.start))

    def _how_many(self, available: int, paces: Sequence[Pace]) -> int:
        """Return how many candidates of such paces can race; all of them if nothing is known."""
        known = [pace.step_s for pace in paces if pace.step_s is not None]
        if not known:
            return available
        return plan.how_many(
            available,
            self._seconds_left(),
            workers=self.pool.size,
            step_s=median(known),
            steps=self._fewest_steps(),
        )

    def _fewest_steps(self) -> int:
        return plan.fewest_steps(self.train.num_batches(self.request.recipe.batch_size))

    def _notes(self, count: int, waiting: float) -> list[str]:
        """Return in sentences what is left out, and what disturbs."""
        notes, available = [], len(self.request.candidates)
        why = f"{self.request.minutes:g} minutes of {self.pool.size} worker(s)"
        if count == 1 < available:
            notes.append(
                f"there is no race: {why} are too few for {min(plan.FEWEST, available)} candidates "
                f"and {self._fewest_steps()} steps of each; the first candidate is taken"
            )
        elif count < available:
            notes.append(f"{count} of {available} candidates race: {why} are too few for more")
        if waiting > _BUSY:
            notes.append(
                f"the machine is busy: a second of the processor took {waiting:.1f} s; "
                "all candidates train for fewer steps"
            )
        return notes

    def _paces(self, name: str, architectures: tuple[Architecture, ...]) -> Paces:
        """Return the paces of networks, as all workers measure them at the same time."""
        folder, (train, _) = self.folder.path / "paces", self._stored()
        works = [
            Pacing(
                architectures=architectures,
                recipe=self.request.recipe,
                train=train,
                seconds=PACE_SHARE * 60 * self.request.minutes if len(architectures) > 1 else 0,
                out=folder / f"{name}-{worker:02}.json",
            )
            for worker in range(self.pool.size)
        ]

        def give_up(work: Work, fault: str) -> None:
            del work
            raise TrainingError(f"the pace cannot be measured: {fault}", "use fewer workers")

        perform_all(self.pool, works, tick=lambda _: None, give_up=give_up)
        return joined([Paces.read(work.out) for work in works])

    def _stored(self) -> tuple[Path, Path]:
        """Return the folders of the images, which are written where they are missing."""
        train, held_out = (self.folder.path / DATA / name for name in ("train", "held-out"))
        stored = store_images(self.train, train)
        if stored < len(self.train):
            _log.warning(
                "the race sees %d of %d images: no more have room", stored, len(self.train)
            )
        count = min(MOST_JUDGED, len(self.held_out))
        if not count:
            raise DataError("there are no images to judge by", "give at least one")
        chosen = [place * len(self.held_out) // count for place in range(count)]
        store_images(self.held_out.subset(chosen), held_out, with_changes=False)
        return train, held_out

    def _rung(self, start: _Start, names: tuple[str, ...], number: int) -> Rung:
        """Train some candidates for equal minutes and order them."""
        seconds = plan.THIRD**number * plan.first_seconds(
            start.seconds, len(start.names), workers=start.workers
        )
        pieces = self._pieces(start, names, number, seconds)
        sizes = plan.rungs(len(start.names))
        total = sum(size * plan.THIRD**rung for rung, size in enumerate(sizes))
        done = sum(size * plan.THIRD**rung for rung, size in enumerate(sizes[:number]))

        def tick(work: Work) -> None:
            del work
            nonlocal done
            done += plan.THIRD**number
            self.progress(done, total, f"race, round {number + 1} of {len(sizes)}")

        def give_up(work: Work, fault: str) -> None:
            assert isinstance(work, Piece)  # noqa: S101  (all are)
            work.failed(fault).write(work.out)

        perform_all(self.pool, pieces, tick=tick, give_up=give_up)
        outcomes = [Outcome.read(piece.out) for piece in pieces]
        if all(outcome.fault for outcome in outcomes):
            for piece in pieces:
                piece.out.unlink()  # another try may go well
            raise TrainingError(
                f"no candidate can be trained: {outcomes[0].fault}",
                "correct this and run the same command again with --resume",
            )
        return _ordered(outcomes, self.request, seconds)

    def _pieces(
        self, start: _Start, names: tuple[str, ...], number: int, seconds: float
    ) -> list[Piece]:
        request, (train, held_out) = self.request, self._stored()
        paces = dict(zip(start.names, start.paces.paces, strict=True))
        known = {name: pace.step_s for name, pace in paces.items() if pace.step_s is not None}
        begin_s = median(pace.begin_s for pace in paces.values())
        training_s = (1 - plan.JUDGE_SHARE) * seconds - begin_s
        # A seed for each rung: who was lucky in one has to be good in the next.
        recipe = request.recipe.adjusted(seed=request.recipe.seed + number)
        a_second = VIEWS_A_STEP * recipe.batch_size / max(known.values())
        most = MOST_JUDGED * num_levels(recipe, self.held_out)
        views = min(most, int(plan.JUDGE_SHARE * seconds * a_second))
        numbers = {one.name: index for index, one in enumerate(request.candidates)}
        return [
            Piece(
                architecture=request.candidates[numbers[name]],
                recipe=recipe.adjusted(steps=max(1, int(training_s / known[name]))),
                train=train,
                held_out=held_out,
                views=max(1, views),
                out=self.folder.path / f"rung-{number + 1}" / f"{numbers[name]:02}.json",
            )
            for name in names
        ]


def _ordered(outcomes: Sequence[Outcome], request: RaceRequest, seconds: float) -> Rung:
    """Return the rung of some outcomes; who failed comes last."""
    measured = {one.name: one.measures for one in outcomes if one.measures is not None}
    steps = {one.name: one.steps for one in outcomes}
    places = order(measured, prefer=request.prefer, doubling=request.doubling)
    any_one = measured[places[0].name]
    return Rung(
        seconds=seconds,
        num_images=any_one.num_images,
        num_views=any_one.num_views,
        entries=(
            *(_entry(place, measured[place.name], steps[place.name]) for place in places),
            *(Entry(name=one.name, fault=one.fault) for one in outcomes if one.fault),
        ),
    )


def _entry(place: Place, measures: Measures, steps: int) -> Entry:
    scores = measures.model_dump(exclude={"num_images", "num_views", "balanced", "decibels"})
    return Entry(**place._asdict(), is_tied=place.is_tied, steps=steps, **scores)
