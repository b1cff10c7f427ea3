"""A race: the best of several candidates of equal latency, by training them on the user's images.

::

    RACE/
      request.json       candidates, recipe and minutes
      data/              the images, decoded once for all workers; removed at the end
      paces/             how fast the candidates train: one of them, then all, by each worker
      pace.json          the minutes that are left, and the pace of each candidate that races
      rung-1/00.json     how the training of each candidate ended
      spent.json         the seconds of all commands so far, which decide nothing
      result.json        the order of all candidates; marks the race as finished

Successive halving: all candidates train for equal minutes, the best third goes on to a rung three
times as long, and starts afresh there. Each rung has a complete schedule of its own, since the
scores in the middle of a long schedule say little about its end. Minutes are turned into steps by
the pace of each candidate before a rung begins; from then on the race depends on no clock.
"""

import hashlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from tapetum.arch import Architecture
from tapetum.data import ImageDataset, open_stored, store_images
from tapetum.errors import DataError, InputError
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import Provenance, stamp
from tapetum.records import Folder, faults_are_ours
from tapetum.search import plan
from tapetum.search.judge import Measures, num_levels
from tapetum.search.race_records import RACES, Entry, RaceRequest, RaceResult, Rung, Spent
from tapetum.search.starting import Start, Starter, none_trained
from tapetum.search.utility import Place, Prefer, order
from tapetum.search.work import Outcome, Piece, Work
from tapetum.search.workers import Workers, open_workers, perform_all
from tapetum.training import Recipe

__all__ = ["race"]

MOST_JUDGED = 500  # held-out images
EMA_DECAY = 0.999  # in the long run; it starts low
VIEWS_A_STEP = 2  # views of held-out images in the time of a training image

DATA, SPENT = "data", "spent.json"
_log = logging.getLogger("tapetum")


def race(
    path: Path,
    candidates: Sequence[Architecture],
    recipe: Recipe,
    train: ImageDataset,
    held_out: ImageDataset,
    *,
    minutes: float,
    weights: Mapping[str, Path] = {},
    prefer: Prefer = "balanced",
    workers: int | None = None,
    ray: str | None = None,
    resume: bool = False,
    progress: ProgressCallback = silent,
) -> RaceResult:
    """Return the order of candidates after training them for equal minutes.

    The first candidate is in every rung, and wins where the best of the last one is ahead of it by
    at most 1.5 standard errors.

    With few minutes fewer candidates race, in the order in which they are given; where the first
    rung of three would have too few steps (:func:`tapetum.search.plan.fewest_steps`), the first one
    wins without a race, and a note says so.

    Args:
        path: Folder of the race.
        candidates: Networks for these images, with names of their own; the most promising first.
        recipe: How to train them. The average of their weights is judged; a recipe without an
            ``ema_decay`` gets one, since the last weights of a short training say less.
        train: Images to learn from.
        held_out: Images to judge by; 500 of them at most, evenly spread. The winner's scores on
            them are a little too good: report others.
        minutes: Time for everything, in minutes of the wall clock.
        weights: Files of the weights that some candidates begin with in each rung, by name.
        prefer: The score that counts four times as much; ``balanced`` for both alike.
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
    weights = {name: file.absolute() for name, file in weights.items()}  # for workers elsewhere
    train = train.augmented(recipe.augmentation)
    recipe = _decided(recipe, train)
    train.num_batches(recipe.batch_size)  # refused before there is a folder
    _require_names(candidates)
    with faults_are_ours("this is no race", "correct these arguments"):
        request = RaceRequest(
            candidates=tuple(candidates),
            recipe=recipe,
            minutes=minutes,
            prefer=prefer,
            train=(train.source, len(train)),
            held_out=(held_out.source, len(held_out)),
            weights=_digests(weights),
        )
    with RACES.work(path.absolute(), request, resume=resume) as folder:
        if not folder.is_finished:
            folder.reopen()
            with open_workers(workers, ray) as pool:
                racing = _Racing(folder, pool, train, held_out, weights, progress, start)
                folder.finish(racing.run(stamp(seed=recipe.seed)))
        shutil.rmtree(folder.path / DATA, ignore_errors=True)
        return folder.result()


def _decided(recipe: Recipe, train: ImageDataset) -> Recipe:
    """Return a recipe with what is decided once, where it is ``auto``, and averaged weights."""
    return recipe.adjusted(
        augmentation=train.augmentation or recipe.augmentation,
        ema_decay=EMA_DECAY if recipe.ema_decay is None else recipe.ema_decay,
    )


def _digests(weights: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 digest of each file."""
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in weights.items()}


def _require_names(candidates: Sequence[Architecture]) -> None:
    twice = [name for name, n in Counter(one.name for one in candidates).items() if n > 1]
    if twice:
        raise InputError(f"several candidates are called {twice[0]!r}", "give each its own name")


@dataclass
class _Racing:
    """The race of one folder."""

    folder: Folder[RaceRequest, RaceResult]
    pool: Workers
    train: ImageDataset
    held_out: ImageDataset
    weights: Mapping[str, Path]
    progress: ProgressCallback
    start: float

    @property
    def request(self) -> RaceRequest:
        return self.folder.request

    @cached_property
    def earlier_s(self) -> float:
        """The time of earlier commands, in seconds."""
        path = self.folder.path / SPENT
        return Spent.read(path).seconds if path.exists() else 0.0

    def spend(self) -> float:
        """Keep the time of all commands so far, in seconds, and return it."""
        spent = Spent(seconds=self.earlier_s + time.monotonic() - self.start)
        spent.write(self.folder.path / SPENT)
        return spent.seconds

    def run(self, provenance: Provenance) -> RaceResult:
        """Measure the pace, run the rungs, and return the result."""
        start = self.folder.once("pace.json", Start, self._starter().prepare)
        rungs, notes = [], [*start.notes]
        going: tuple[str, ...] = start.names
        sizes = plan.rungs(len(going))
        for number, size in enumerate(sizes):
            rung = self._rung(start, _going_on(going, size, start.names[0]), number)
            notes += [f"{e.name} left the race: {e.fault}" for e in rung.entries if e.fault]
            rungs.append(rung)
            going = tuple(entry.name for entry in rung.entries if not entry.fault)
            if len(going) == 1:
                break
        for note in notes:
            _log.warning("%s", note)
        names = [entry.name for rung in reversed(rungs) for entry in rung.entries] or [*going]
        ties = [entry.name for entry in rungs[-1].entries if entry.is_tied] if rungs else []
        # A difference within the noise is no reason to give up the most promising candidate.
        winner = start.names[0] if start.names[0] in ties else names[0]
        return RaceResult(
            winner=winner,
            ties=tuple(name for name in ties if name != winner),
            order=tuple(dict.fromkeys(names)),
            rungs=tuple(rungs),
            notes=tuple(notes),
            minutes=self.request.minutes,
            seconds=self.spend(),
            workers=start.workers,
            waiting=start.paces.waiting,
            provenance=provenance,
        )

    def _starter(self) -> Starter:
        steps_per_pass = self.train.num_batches(self.request.recipe.batch_size)
        images, _ = self._stored()
        seen, every = len(open_stored(images)), len(self.train)
        notes: tuple[str, ...] = ()
        if seen < every:
            notes = (f"the race sees {seen:,} of {every:,} images: no more have room",)
        return Starter(
            request=self.request,
            pool=self.pool,
            images=images,
            notes=notes,
            fewest_steps=plan.fewest_steps(steps_per_pass),
            folder=self.folder.path / "paces",
            started=self.start,
        )

    def _stored(self) -> tuple[Path, Path]:
        """Return the folders of the images, which are written where they are missing."""
        train, held_out = (self.folder.path / DATA / name for name in ("train", "held-out"))
        store_images(self.train, train)
        chosen = self.held_out.spread(MOST_JUDGED)
        if not chosen:
            raise DataError("there are no images to judge by", "give at least one")
        store_images(self.held_out.subset(chosen), held_out, with_changes=False)
        return train, held_out

    def _rung(self, start: Start, names: tuple[str, ...], number: int) -> Rung:
        """Train some candidates for equal minutes and order them."""
        first_s = plan.first_seconds(start.seconds, len(start.names), workers=start.workers)
        seconds = plan.THIRD**number * first_s
        pieces = self._pieces(start, names, number, seconds)
        sizes = plan.rungs(len(start.names))
        total = sum(size * plan.THIRD**rung for rung, size in enumerate(sizes))
        done = sum(size * plan.THIRD**rung for rung, size in enumerate(sizes[:number]))

        def tick(work: Work) -> None:
            del work
            nonlocal done
            done += plan.THIRD**number
            self.spend()
            told = f"race, round {number + 1} of {len(sizes)}, in seconds of training"
            self.progress(round(first_s * done), round(first_s * total), told)

        def give_up(work: Work, fault: str) -> None:
            assert isinstance(work, Piece)  # noqa: S101  (all are)
            work.failed(fault).write(work.out)

        perform_all(self.pool, pieces, tick=tick, give_up=give_up)
        outcomes = [Outcome.read(piece.out) for piece in pieces]
        if all(outcome.fault for outcome in outcomes):
            for piece in pieces:
                piece.out.unlink()  # another try may go well
            remedy = "correct this and run the same command again with --resume"
            raise none_trained(outcomes[0].fault, remedy)
        return _ordered(outcomes, self.request, seconds)

    def _pieces(
        self, start: Start, names: tuple[str, ...], number: int, seconds: float
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
                weights=self.weights.get(name),
                train=train,
                held_out=held_out,
                views=max(1, views),
                out=self.folder.path / f"rung-{number + 1}" / f"{numbers[name]:02}.json",
            )
            for name in names
        ]


def _going_on(names: tuple[str, ...], size: int, first: str) -> tuple[str, ...]:
    """Return the candidates of a rung: the best of the one before, and always the first one."""
    best = names[:size]
    return best if first in best or first not in names else (*best[: size - 1], first)


def _ordered(outcomes: Sequence[Outcome], request: RaceRequest, seconds: float) -> Rung:
    """Return the rung of some outcomes; who failed comes last."""
    measured = {one.name: one.measures for one in outcomes if one.measures is not None}
    steps = {one.name: one.steps for one in outcomes}
    places = order(measured, prefer=request.prefer)
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
