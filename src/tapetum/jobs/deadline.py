"""The end of the time that was given for everything, and what it leaves for each stage.

The plan makes everything fit, on a machine as busy as it was then. Where another measurement was
waited for, or the machine has become slower since, race and trainings that are still ahead are
shortened alike. Where time is left over, the final training takes it, up to its whole length.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from pydantic import NonNegativeFloat

from tapetum.jobs.choose import say
from tapetum.jobs.methods import FINAL_TIMING_MINUTES
from tapetum.jobs.plan import LEAST_SHARE, Minutes, Plan, Plans, shortened
from tapetum.latency import Timing
from tapetum.progress import in_words
from tapetum.records import Folder, Note, Record, Weight
from tapetum.training import Recipe

__all__ = ["Allowance", "Allowed", "Deadline", "slowness"]

RACE = "race"
EXACTNESS = 0.02  # of the total time
# Timing and scoring are stated for a quiet machine. Where passes got 36 % of a core, timing took
# twice as long in each of three fits, which is 0.36**-0.7.
BUSY = 0.7
PATIENCE = 2.0  # times the planned time of finding candidates
LEAST_FALLBACK = 1 / 3  # of the final training: a shorter one would lose more than int8 does


class Allowed(Record):
    """What the total time leaves for a stage, decided when it begins.

    Attributes:
        share: Share of the planned length; 1 for all of it, more where time is left over.
        note: Why it is shorter than planned, without a full stop; empty otherwise.
    """

    share: NonNegativeFloat = 1.0
    note: str = ""


@dataclass(frozen=True)
class Deadline:
    """The end of the time of everything.

    Attributes:
        total: Minutes that were given.
        ends_s: When they have passed, by the monotonic clock.
        later: The plans of the budgets that come after this one.
        slower: How many times as long as planned timing and scoring are expected to take.
    """

    total: float
    ends_s: float
    later: Minutes
    slower: float = 1.0

    @property
    def left(self) -> float:
        """Minutes that are left; negative once they have passed."""
        return (self.ends_s - time.monotonic()) / 60

    def allow(self, stage: str, ahead: Minutes, *, most: float = 1.0) -> Allowed:
        """Return what is left for a stage.

        Args:
            stage: Its name, for people.
            ahead: The stage and all that comes after it, as planned.
            most: Largest share of the planned length that is of use.
        """
        every, left = (ahead + self.later).slowed(self.slower), self.left
        share = min(most, max(LEAST_SHARE, (left - every.fixed) / every.learning))
        if share >= 1:
            return Allowed(share=share)
        return Allowed(
            share=share,
            note=f"the {stage} has {share:.0%} of its planned length, since the machine is busy or "
            f"another measurement was waited for: {in_words(max(0.0, left))} of --total-minutes "
            f"{self.total:g} are left for {in_words(every.total)} of work",
        )

    def allow_fallback(self, ahead: Minutes) -> Allowed:
        """Return what is left for a network in fp32; nothing where that would be in vain."""
        ahead, later = ahead.slowed(self.slower), self.later.slowed(self.slower)
        share = min(1.0, (self.left - later.total - ahead.fixed) / ahead.learning)
        if share < LEAST_FALLBACK:
            return Allowed(share=0.0)
        return Allowed(
            share=share,
            note=""
            if share == 1
            else f"the narrower network in fp32 has {share:.0%} of its planned training, since "
            f"--total-minutes {self.total:g} leaves no more",
        )

    @property
    def exceeded(self) -> Note | None:
        """Say by how much the time was exceeded; None where it was kept."""
        over = self.later.total - self.left
        if over <= EXACTNESS * self.total:
            return None
        text = f"the fit took {in_words(over)} longer than --total-minutes {self.total:g} leaves it"
        return Note(text, Weight.RESULT)


def slowness(timings: Iterable[Timing]) -> float:
    """Return how many times as long as on a quiet machine timing and scoring take.

    Args:
        timings: What was timed here, which tells the share of a core that the passes got.
    """
    shares = [one.core_share for one in timings if one.core_share is not None]
    return float(max(fmean(shares or [1.0]), 0.01) ** -BUSY)


@dataclass(frozen=True)
class Allowance:
    """What the total time leaves for the stages of a fit; each is decided once, and kept."""

    folder: Folder[Any, Any]
    plans: Plans
    target_ms: float
    started_s: float
    slower: float  # how many times as long as on a quiet machine timing and scoring take now
    keeps_length: bool = False  # of a training, whose minutes were given

    @property
    def plan(self) -> Plan:
        """The plan of the budget."""
        return self.plans.of(self.target_ms)

    @property
    def deadline(self) -> Deadline | None:
        """The end of the total time; None where any time is allowed."""
        total = self.plans.total_minutes
        if total is None:
            return None
        later = self.plans.after(self.target_ms)
        return Deadline(total, self.started_s + 60 * total, later, self.slower / self.plans.slower)

    @property
    def timing_s(self) -> float:
        """Seconds after which the candidates that meet the budget are enough."""
        if self.deadline is None:
            return math.inf
        return 60 * PATIENCE * max(0.0, self.plan.minutes.timing - self.final_timing)

    @property
    def final_timing(self) -> float:
        """Planned minutes of timing the chosen network, half of them, and the package."""
        return FINAL_TIMING_MINUTES * self.plans.slower

    def race_minutes(self) -> float:
        """Return the time of the race."""
        planned = self.plan.minutes
        ahead = planned.model_copy(update={"timing": self.final_timing})
        return self._share(RACE, lambda deadline: deadline.allow(RACE, ahead)) * planned.race

    def recipe(self) -> Recipe:
        """Return how the network and the controls are trained."""
        return shortened(self.plan.recipe, self.training_share(), self.plans.num_batches)

    def training_share(self) -> float:
        """Return the share of its planned length that the training has."""
        changed = {"race": 0.0, "timing": self.final_timing / 2}
        ahead = self.plan.minutes.model_copy(update=changed)
        # The whole length, which takes more minutes on a machine that has become slower.
        most = 1.0 if self.keeps_length else max(1.0, self.slower / self.plans.slower)
        most /= self.plans.share
        allow = partial(Deadline.allow, stage="training", ahead=ahead, most=most)
        return self._share("training", allow)

    def fallback_recipe(self) -> Recipe | None:
        """Return how a network in fp32 is trained; None where too little is left for it."""
        share = self.fallback_share()
        length = min(1.0, self.training_share())  # none is longer than the other one
        base = shortened(self.plan.recipe, length, self.plans.num_batches)
        return shortened(base, share, self.plans.num_batches) if share else None

    def fallback_share(self) -> float:
        """Return the share of its planned length that a training in fp32 has; 0 for none."""
        fallback = self.plan.fallback
        return self._share("fallback", lambda deadline: deadline.allow_fallback(fallback))

    def resumed(self) -> None:
        """Say that the total time is counted again, where a fit goes on."""
        if (total := self.plans.total_minutes) is not None:
            note = f"--total-minutes {total:g} is counted from the command that resumed the fit"
            self.folder.once("allowed_resumed.json", Allowed, lambda: Allowed(note=note))
            say(note)

    def _share(self, stage: str, allow: Callable[[Deadline], Allowed]) -> float:
        """Return the share of the planned length that a stage has."""
        deadline = self.deadline
        if deadline is None:
            return 1.0

        def decide() -> Allowed:
            allowed = allow(deadline)
            if allowed.note and stage != RACE:  # which may turn out to be too short to begin
                say(allowed.note)
            return allowed

        return self.folder.once(f"allowed_{stage}.json", Allowed, decide).share

    def remarks(self, late: Iterable[str], *, raced: bool) -> Iterator[Note]:
        """Yield what was shortened, and that the total time was exceeded, by the ``late`` stages.

        Nothing is said of a race where no candidates ``raced``.
        """
        if (deadline := self.deadline) is None:
            return
        for path in sorted(self.folder.path.glob("allowed_*.json")):
            is_true = raced or path.stem != f"allowed_{RACE}"
            if is_true and (note := Allowed.read(path).note):
                yield Note(note, Weight.TRAINING)
        if (exceeded := deadline.exceeded) is not None:
            yield exceeded.changed(": ".join(filter(None, (exceeded, ", ".join(late)))))
