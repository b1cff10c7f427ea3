"""The start of a race: who races, and how many steps fit into its minutes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tapetum.arch import Architecture
from tapetum.errors import TrainingError
from tapetum.progress import rounded
from tapetum.records import Record
from tapetum.search import plan
from tapetum.search.pace import Pace, Paces, Pacing, joined
from tapetum.search.race_records import RaceRequest
from tapetum.search.work import Work
from tapetum.search.workers import Workers, perform_all

__all__ = ["Start", "Starter", "none_trained"]

PACE_SHARE = 0.04  # of the minutes go to the turns of measuring the pace
BUSY = 1.3  # seconds of the wall clock for one of the processor


def none_trained(fault: str, remedy: str) -> TrainingError:
    """Return the error of a race without a sound candidate."""
    if "out of memory" in fault.lower():
        remedy = "give fewer --workers, or end what else uses the memory"
    return TrainingError(f"no candidate can be trained: {fault}", remedy)


class Start(Record):
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
class Starter:
    """Prepares a race.

    Args:
        request: What was requested.
        pool: The workers that will train.
        images: Folder of the stored images.
        fewest_steps: Steps below which a first rung says nothing.
        folder: Folder for the measured paces.
        started: When the race began, by the monotonic clock.
        notes: What is to be said of the images.
    """

    request: RaceRequest
    pool: Workers
    images: Path
    fewest_steps: int
    folder: Path
    started: float
    notes: tuple[str, ...] = ()

    def prepare(self) -> Start:
        """Choose who races by the pace of the first candidate, then measure that of all of them."""
        request, notes = self.request, []
        candidates = request.candidates[: plan.MOST]
        first = self._paces(candidates[:1])
        measured, count = first, self._how_many(len(candidates), first.paces)
        if count > 1:
            measured = self._paces(candidates[:count])
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
            raise none_trained(notes[0], "choose others")
        faults = len(notes)
        known = [pace.step_s for _, pace in chosen if pace.step_s is not None]
        notes += self._too_few(len(request.candidates) - faults, len(chosen), median(known))
        if measured.waiting > BUSY:
            fewer = "; all candidates train for fewer steps" if len(chosen) > 1 else ""
            took = f"a second of the processor took {measured.waiting:.1f} s"
            notes.append(f"the machine is busy: {took}{fewer}")
        return Start(
            names=tuple(name for name, _ in chosen),
            paces=measured.model_copy(update={"paces": tuple(pace for _, pace in chosen)}),
            seconds=self._seconds_left(),
            workers=self.pool.size,
            notes=(*self.notes, *notes),
        )

    def _seconds_left(self) -> float:
        return max(0.0, 60 * self.request.minutes - (time.monotonic() - self.started))

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
            steps=self.fewest_steps,
        )

    def _too_few(self, available: int, count: int, step_s: float) -> list[str]:
        """Return in a sentence what is left out for lack of time, and how much is needed."""
        if count == available:
            return []
        wanted = min(plan.FEWEST, available) if count == 1 else available
        rungs_s = plan.needed_seconds(
            wanted, workers=self.pool.size, step_s=step_s, steps=self.fewest_steps
        )
        used_s = 60 * self.request.minutes - self._seconds_left()
        few = (
            f"{rounded(self.request.minutes)} minutes of {self.pool.size} worker(s) are too few for"
        )
        need = f"{wanted} need {rounded((used_s + rungs_s) / 60)}"
        if count > 1:
            return [f"{count} of {available} candidates race: {few} more, and {need}"]
        return [
            f"there is no race: {few} some candidates and {self.fewest_steps} steps of each, and "
            f"{need}; the first candidate is taken"
        ]

    def _paces(self, architectures: tuple[Architecture, ...]) -> Paces:
        """Return the paces of networks, as all workers measure them at the same time."""
        works = [
            Pacing(
                architectures=architectures,
                recipe=self.request.recipe,
                train=self.images,
                seconds=PACE_SHARE * 60 * self.request.minutes if len(architectures) > 1 else 0,
                out=self.folder / f"{len(architectures)}-{worker:02}.json",
            )
            for worker in range(self.pool.size)
        ]

        def give_up(work: Work, fault: str) -> None:
            del work
            remedy = f"give fewer --workers than {self.pool.size}, or free some memory"
            raise TrainingError(f"the pace cannot be measured: {fault}", remedy)

        perform_all(self.pool, works, tick=lambda _: None, give_up=give_up)
        measured = [Paces.read(work.out) for work in works]
        for work, paces in zip(works, measured, strict=True):
            if any(pace.fault for pace in paces.paces):
                work.out.unlink()  # another try may go well
        return joined(measured)
