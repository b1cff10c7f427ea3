"""The end of the time that was given for everything, and what it leaves for each stage.

The plan makes everything fit. Where another measurement was waited for, or the machine has become
slower since, race and trainings that are still ahead are shortened alike.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import NonNegativeFloat

from tapetum.jobs.plan import (
    FINAL_TIMING_MINUTES,
    LEAST_SHARE,
    Minutes,
    Plan,
    Plans,
    shortened,
)
from tapetum.progress import in_words
from tapetum.records import Folder, Record
from tapetum.training import Recipe

__all__ = ["Allowance", "Allowed", "Deadline"]

_log = logging.getLogger("tapetum")

EXACTNESS = 0.02  # of the total time
LEAST_FALLBACK = 1 / 3  # of the final training: a shorter one would lose more than int8 does


class Allowed(Record):
    """What the total time leaves for a stage, decided when it begins.

    Attributes:
        share: Share of the planned length; 1 for all of it.
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
    """

    total: float
    ends_s: float
    later: Minutes

    @classmethod
    def of(cls, plans: Plans, target_ms: float, started_s: float) -> "Deadline | None":
        """Return the deadline of the fit of a budget; None where any time is allowed."""
        if plans.total_minutes is None:
            return None
        ends_s = started_s + 60 * plans.total_minutes
        return cls(plans.total_minutes, ends_s, plans.after(target_ms))

    @property
    def left(self) -> float:
        """Minutes that are left; negative once they have passed."""
        return (self.ends_s - time.monotonic()) / 60

    def allow(self, stage: str, ahead: Minutes) -> Allowed:
        """Return what is left for a stage.

        Args:
            stage: Its name, for people.
            ahead: The stage and all that comes after it, as planned.
        """
        every, left = ahead + self.later, self.left
        if every.total <= left:
            return Allowed()
        share = max(LEAST_SHARE, (left - every.fixed) / every.learning)
        return Allowed(
            share=share,
            note=f"the {stage} has {share:.0%} of its planned length, since the machine is slower "
            f"than it was, or another measurement was waited for: {in_words(max(0.0, left))} of "
            f"--total-minutes {self.total:g} are left for {in_words(every.total)} of the plan",
        )

    def allow_fallback(self, ahead: Minutes) -> Allowed:
        """Return what is left for a network in fp32; nothing where that would be in vain."""
        share = min(1.0, (self.left - self.later.total - ahead.fixed) / ahead.learning)
        return Allowed(share=share if share >= LEAST_FALLBACK else 0.0)

    @property
    def exceeded(self) -> str:
        """Say by how much the time was exceeded; empty where it was kept."""
        over = self.later.total - self.left
        if over <= EXACTNESS * self.total:
            return ""
        return f"the fit took {in_words(over)} longer than --total-minutes {self.total:g} leaves it"


@dataclass(frozen=True)
class Allowance:
    """What the total time leaves for the stages of a fit; each is decided once, and kept."""

    folder: Folder[Any, Any]
    plans: Plans
    target_ms: float
    started_s: float

    @property
    def plan(self) -> Plan:
        """The plan of the budget."""
        return self.plans.of(self.target_ms)

    @property
    def deadline(self) -> Deadline | None:
        """The end of the total time, if there is one."""
        return Deadline.of(self.plans, self.target_ms, self.started_s)

    def race_minutes(self) -> float:
        """Return the time of the race."""
        planned = self.plan.minutes
        ahead = planned.model_copy(update={"timing": FINAL_TIMING_MINUTES})
        return self._share("race", lambda deadline: deadline.allow("race", ahead)) * planned.race

    def recipe(self) -> Recipe:
        """Return how the network and the controls are trained."""
        timing = FINAL_TIMING_MINUTES / 2
        ahead = self.plan.minutes.model_copy(update={"race": 0.0, "timing": timing})
        share = self._share("training", lambda deadline: deadline.allow("training", ahead))
        return shortened(self.plan.recipe, share, self.plans.num_batches)

    def fallback_recipe(self) -> Recipe | None:
        """Return how a network in fp32 is trained; None where too little is left for it."""
        fallback = self.plan.fallback
        share = self._share("fallback", lambda deadline: deadline.allow_fallback(fallback))
        return shortened(self.recipe(), share, self.plans.num_batches) if share else None

    def _share(self, stage: str, allow: Callable[[Deadline], Allowed]) -> float:
        """Return the share of the planned length that a stage has."""
        deadline = self.deadline
        if deadline is None:
            return 1.0

        def decide() -> Allowed:
            allowed = allow(deadline)
            if allowed.note:
                _log.warning("%s", allowed.note)
            return allowed

        return self.folder.once(f"allowed_{stage}.json", Allowed, decide).share

    def remarks(self) -> Iterator[str]:
        """Yield what was shortened, and whether the total time was exceeded all the same."""
        if (deadline := self.deadline) is None:
            return
        for path in sorted(self.folder.path.glob("allowed_*.json")):
            if note := Allowed.read(path).note:
                yield note
        if deadline.exceeded:
            yield deadline.exceeded
