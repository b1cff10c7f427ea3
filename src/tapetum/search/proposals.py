"""Propose different networks of one latency.

Some differ from the scaling rule in a single respect, and others are drawn and as different as
possible. A model that is fitted to the shapes timed so far moves each to the target
(:func:`tapetum.arch.nearby`). They are timed whole, corrected by what was measured, and timed once
more, taking turns. A proposal is what was *measured* between 10 % below and 2 % above the target.

The scaling rule and the plain networks are always among them, so that a race knows what it has to
beat.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from time import monotonic

import numpy as np

from tapetum.arch import Shape, distance, ladder, nearby, relatives
from tapetum.latency import Budget, TimedShapes, TimeNetworks, Timing
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record
from tapetum.search.feasible import FeasibleRange, feasible_range, refusal

__all__ = ["Candidate", "Proposal", "keeps_budget", "most_different", "propose"]

LEAST, MOST = 1 - Budget.BELOW, 1 + Budget.TOLERANCE  # measured latency over the target
QUICK_LEAST, QUICK_MOST = 0.93, 1.0  # of a quick timing, which is a few per cent off
ROUGHLY = (0.7, 1.1)  # predicted over aimed, of a drawn shape before its single steps
NEARLY = (0.86, 1.06)  # of a quick timing, where there is no time to come nearer
NUM_DRAWN = 160
SPARE = 1.4  # times as many shapes are timed as are proposed
TRIED_AT_ONCE = 4  # neighbours of a network that has to be among them, of which one is kept
QUICK_TRIES, FINAL_TRIES = 5, 4
FINAL_ROUNDS = 5
FEWEST_PLAIN_LEVELS = 3  # a plain network with fewer is not what a user would pick
RULE, PLAIN, PLAIN_MBCONV, MOBILE = ladder.RULE, ladder.PLAIN, ladder.PLAIN_MBCONV, ladder.MOBILE
SMALLEST = "smallest"
TITLES = {
    RULE: "default network",
    PLAIN: "plain DC-Net",
    PLAIN_MBCONV: "plain MBConv network",
    SMALLEST: "smallest network",
    MOBILE: "network like EfficientNet-Lite0",
    "start": "network to start from",
}
FIXED = {RULE, MOBILE, PLAIN, PLAIN_MBCONV}
RELATIVE = f"{RULE}-"  # begins the names of those that resemble the rule


class Candidate(Record):
    """A proposed network and its measured latency."""

    name: str
    shape: Shape
    timing: Timing

    @property
    def title(self) -> str:
        """Its name for people."""
        own = self.name.removeprefix(RELATIVE)
        title = TITLES.get(own, own.replace("-", " "))
        return title if own == self.name else f"{TITLES[RULE]}, {title}"

    @property
    def is_plain(self) -> bool:
        """Whether it is the plain DC-Net that users compare with."""
        return self.name == PLAIN


class Proposal(Record):
    """Networks of one latency.

    Attributes:
        target_ms: The target, in milliseconds.
        candidates: The networks, the rule and the plain ones first.
        timed: Everything that was timed so far, for the next target.
        range: The latencies that are feasible.
        notes: What differs from the request, each in a sentence; empty if nothing does.
    """

    target_ms: float
    candidates: tuple[Candidate, ...]
    timed: TimedShapes
    range: FeasibleRange
    notes: tuple[str, ...] = ()


def keeps_budget(measured_ms: float, target_ms: float) -> bool:
    """Return whether a network of a latency keeps and uses a budget as a candidate has to."""
    return LEAST * target_ms <= measured_ms <= MOST * target_ms


def propose(
    timed: TimedShapes,
    time: TimeNetworks,
    target_ms: float,
    *,
    count: int = 12,
    seed: int = 0,
    with_mobile: bool = False,
    patience_s: float = math.inf,
    progress: ProgressCallback = silent,
) -> Proposal:
    """Return different networks whose measured latency meets a target.

    Args:
        timed: What was timed before under the same conditions; at first only the space.
        time: Times networks.
        target_ms: Highest latency, in milliseconds.
        count: Number of networks.
        seed: Random seed of the drawn shapes.
        with_mobile: Whether a network like EfficientNet-Lite0 is among them.
        patience_s: Seconds after which those that meet the target are enough, where the network of
            the scaling rule is one of them.
        progress: Receives each step.

    Raises:
        InputError: Not even the smallest network meets the target; the message says what would.
    """
    Budget.require_positive(target_ms)
    ends_s = monotonic() + patience_s
    span, timed = feasible_range(timed, time, longest_ms=1.5 * target_ms, progress=progress)
    if span.fastest_ms > MOST * target_ms:
        raise refusal(timed, span, target_ms)
    too_large = span.is_whole and span.slowest_ms < Budget.AIM * target_ms
    work = _Work(timed, time, span.slowest_ms / Budget.AIM if too_large else target_ms, progress)
    work.start(count, np.random.default_rng(seed), with_mobile=with_mobile)
    work.time_quickly(ends_s)
    candidates = work.finish(count, ends_s)
    wanted = required(with_mobile=with_mobile)[:count]
    notes = list(_notes(work, candidates, count, target_ms, wanted))
    if too_large:
        notes.insert(
            0,
            f"the largest useful network takes {span.slowest_ms:.3g} ms, less than {target_ms:g} "
            f"ms: the candidates are as large as that",
        )
    return Proposal(
        target_ms=target_ms,
        candidates=candidates,
        timed=work.timed,
        range=span,
        notes=tuple(notes),
    )


def required(*, with_mobile: bool) -> tuple[str, ...]:
    """Return the names of the networks that are among the candidates, the first ones first."""
    return (RULE, *([MOBILE] if with_mobile else []), PLAIN, PLAIN_MBCONV)


def _notes(
    work: "_Work",
    candidates: Sequence[Candidate],
    count: int,
    target_ms: float,
    wanted: Sequence[str],
) -> Iterator[str]:
    """Return what differs from the request, each in a sentence."""
    names = _names(candidates)
    cut = "the time to find more was over" if work.is_cut else ""
    if missing := [name for name in wanted if name not in names]:
        titles = ", ".join(f"the {TITLES[name]}" for name in missing)
        yield f"not among the candidates, since {cut or 'none has this latency'}: {titles}"
    if work.timed.shared:
        yield f"{work.timed.shared}; passes that were interrupted do not count"
    if (found := len(candidates)) < count:
        yield (
            f"{found} different network{'s' * (found > 1)} instead of {count} meet {target_ms:g} "
            f"ms, since {cut or f'channel counts are multiples of {work.space.width_step}'}"
        )
    least_ms = LEAST * work.target_ms
    if below := sum(one.timing.median_ms < least_ms for one in candidates):
        yield (
            f"{below} of {found} networks take less than 90 % of {target_ms:g} ms, since the next "
            f"larger one exceeds it"
        )


@dataclass(frozen=True)
class _Contestant:
    """A shape on its way to the target, and its measured over its predicted latency.

    Each move begins at ``base``, so that its proportions are kept.
    """

    name: str
    base: Shape
    shape: Shape
    ratio: float = 1.0
    measured_ms: float = math.nan


class _Work:
    """The state of a proposal: what was timed, and the contestants."""

    def __init__(
        self, timed: TimedShapes, time: TimeNetworks, target_ms: float, progress: ProgressCallback
    ) -> None:
        self.timed, self.time, self.target_ms = timed, time, target_ms
        self.aim_ms = Budget.AIM * target_ms
        self.progress, self.is_cut = progress, False
        self.space, self.contestants = timed.space, list[_Contestant]()
        self.predict = timed.predictor()

    def start(
        self, count: int, generator: np.random.Generator, *, with_mobile: bool = False
    ) -> None:
        """Choose the contestants: the rule, the plain networks, relatives of it, and drawn ones."""
        rule = self._rule()
        self.contestants = list(self._fixed(rule, with_mobile=with_mobile))
        room = max(0, math.ceil(SPARE * count) - len(self.contestants))
        kin = list(islice(self._relatives(rule), (room + 1) // 2))
        self.contestants += kin
        self.contestants += list(self._drawn(room - len(kin), generator))

    def _scaled(self, base: Shape) -> Shape:
        """Return the shape with the proportions of another one that is predicted at the aim."""
        most_ms = MOST * self.target_ms
        return self.space.scaled_to(base, self.predict, self.aim_ms, most_ms=most_ms)

    def _fixed(self, rule: Shape, *, with_mobile: bool) -> Iterator[_Contestant]:
        """Yield the rule, and the networks beside it whose form stays at this latency."""
        mobile = {MOBILE: self.space.mobile()} if with_mobile else {}
        plain = {PLAIN: self.space.plain(), PLAIN_MBCONV: self.space.plain("mbconv")}
        least = min(FEWEST_PLAIN_LEVELS, self.space.levels("full"))
        for name, base in {RULE: rule, **mobile, **plain}.items():
            shape = self._scaled(base)
            if name == RULE or (len(shape.widths) >= least and shape.join == base.join):
                yield _Contestant(name, base, shape)

    def _relatives(self, rule: Shape) -> Iterator[_Contestant]:
        """Yield the relatives of the rule."""
        for name, base in relatives(self.space, rule).items():
            yield _Contestant(f"{RELATIVE}{name}", base, self._scaled(base))

    def _drawn(self, count: int, generator: np.random.Generator) -> Iterator[_Contestant]:
        """Yield drawn networks that differ most from each other and from the contestants."""
        if count == 0:  # drawing many to choose none takes a while
            return
        bases = map(self.space.draw, [generator] * NUM_DRAWN)
        drawn = {self._scaled(base): base for base in bases}
        low, high = ROUGHLY
        near = [
            shape
            for shape, base in drawn.items()
            if low * self.aim_ms <= self.predict(shape) <= high * self.aim_ms
            and len(shape.widths) == len(base.widths)
        ]
        given = [one.shape for one in self.contestants]
        for number, shape in enumerate(most_different(near or list(drawn), given, count), 1):
            yield _Contestant(f"drawn-{number:02}", drawn[shape], shape)

    def _rule(self) -> Shape:
        """Return the shape of the scaling rule that is nearest to the target."""
        costs = np.geomspace(1e2, 1e6, 60) * self.space.size_px**2
        shapes = dict.fromkeys(self.space.rule(float(cost)) for cost in costs)
        return min(shapes, key=lambda shape: abs(math.log(self.predict(shape) / self.aim_ms)))

    def time_quickly(self, ends_s: float) -> None:
        """Move the contestants to the target and time them, until they are near it.

        After the first try, only the rule is worth more than the time that there is.
        """
        for number in range(QUICK_TRIES):
            before = self.contestants
            outside = [one for one in before if not self._is_near(one, QUICK_LEAST, QUICK_MOST)]
            if number and monotonic() > ends_s:
                outside = [one for one in outside if one.name == RULE]
            self._move(outside)
            if self.contestants == before:
                return
            self._time(num_rounds=1)
            self.progress(number + 1, QUICK_TRIES, "timing near the budget, in at most tries")

    def finish(self, count: int, ends_s: float) -> tuple[Candidate, ...]:
        """Time the contestants taking turns, and return those that meet the target."""
        if monotonic() > ends_s:
            self._drop([one for one in self.contestants if not self._is_near(one, *NEARLY)])
        for number in range(FINAL_TRIES):
            self._time(num_rounds=FINAL_ROUNDS)
            self.progress(number + 1, FINAL_TRIES, "timing candidates in turns, in at most tries")
            outside = [one for one in self.contestants if not self._is_near(one, LEAST, MOST)]
            if len(self.contestants) - len(outside) >= count and not FIXED & set(_names(outside)):
                break
            if monotonic() > ends_s:  # only the rule is worth more time
                outside = self._drop(outside)
                if not outside:
                    break
            if number + 1 < FINAL_TRIES:
                self._move(outside)
        return self._candidates(count)

    def _drop(self, some: Sequence[_Contestant]) -> list[_Contestant]:
        """Give some contestants up, apart from the rule, which is returned if it is among them."""
        rule = [one for one in some if one.name == RULE]
        self.is_cut |= len(rule) < len(some)
        self.contestants = [one for one in self.contestants if one in rule or one not in some]
        return rule

    def _candidates(self, count: int) -> tuple[Candidate, ...]:
        """Return the contestants that meet the target, or else those that come next below it."""
        unique = list({one.shape: one for one in reversed(self.contestants)}.values())[::-1]
        found = [one for one in unique if self._is_near(one, LEAST, MOST)]
        if not found:
            found = [one for one in [*unique, self._smallest()] if self._is_near(one, 0.0, MOST)]
            found = sorted(found, key=lambda one: one.measured_ms, reverse=True)
        if not found:  # the machine has become slower since the range was measured
            span, _ = feasible_range(self.timed, self.time, longest_ms=1.5 * self.target_ms)
            raise refusal(self.timed, span, self.target_ms)
        chosen = _ordered(found)[:count]
        return tuple(
            Candidate(name=one.name, shape=one.shape, timing=timing)
            for one in chosen
            if (timing := self.timed.find(one.shape)) is not None
        )

    def _smallest(self) -> _Contestant:
        shape = self.space.smallest()
        self.timed = self.timed.timed([shape], self.time, num_rounds=FINAL_ROUNDS)
        return self._measured(_Contestant(SMALLEST, shape, shape))

    def _time(self, *, num_rounds: int) -> None:
        """Time the contestants that were not timed as often, and refit the model."""
        shapes = [one.shape for one in self.contestants]
        self.timed = self.timed.timed(shapes, self.time, num_rounds=num_rounds)
        self.predict = self.timed.predictor()
        measured = [self._measured(one) for one in self.contestants]
        measured.sort(key=lambda one: abs(math.log(one.measured_ms / self.aim_ms)))
        nearest = {one.name: one for one in reversed(measured)}
        self.contestants = [nearest[name] for name in _names(self.contestants)]

    def _measured(self, one: _Contestant) -> _Contestant:
        timing = self.timed.find(one.shape)
        assert timing is not None  # noqa: S101  (it was timed just now)
        ratio = timing.median_ms / self.predict(one.shape)
        return replace(one, ratio=ratio, measured_ms=timing.median_ms)

    def _is_near(self, one: _Contestant, least: float, most: float) -> bool:
        return least * self.target_ms <= one.measured_ms <= most * self.target_ms

    def _move(self, some: Sequence[_Contestant]) -> None:
        """Replace some contestants by shapes that are predicted at the aim."""
        missed = self._missed()
        moved = [self._moved(one, missed) if one in some else [one] for one in self.contestants]
        self.contestants = list(chain.from_iterable(moved))

    def _moved(self, one: _Contestant, missed: set[Shape]) -> list[_Contestant]:
        """Return a contestant at the aim, corrected by its own ratio; several of a fixed one."""
        near = nearby(
            self.space,
            one.base,
            lambda shape: one.ratio * self.predict(shape),
            self.aim_ms,
            most_ms=QUICK_MOST * self.target_ms,
            count=TRIED_AT_ONCE if one.name in FIXED else 1,
            without=missed,
        )
        return [replace(one, shape=shape) for shape in near] or [one]

    def _missed(self) -> set[Shape]:
        """Return the shapes that were timed and are too slow or too fast."""
        return {
            one.shape
            for one in self.timed.shapes
            if not keeps_budget(one.timing.median_ms, self.target_ms)
        }


def _ordered(found: Sequence[_Contestant]) -> list[_Contestant]:
    """Return the fixed ones first, then by turns a relative of the rule and a drawn one.

    Those that resemble the earlier ones least come first, since a short race has few.
    """
    fixed = [one for one in found if one.name in FIXED]
    kin = [one for one in found if one.name.startswith(RELATIVE)]
    drawn = {one.shape: one for one in found if one not in fixed and one not in kin}
    others = most_different(list(drawn), [one.shape for one in fixed], len(drawn))
    turns = zip_longest(kin, (drawn[shape] for shape in others))
    return [*fixed, *(one for turn in turns for one in turn if one is not None)]


def _names(some: Iterable[Candidate | _Contestant]) -> dict[str, None]:
    """Return the names, each once, in their order."""
    return dict.fromkeys(one.name for one in some)


def most_different(shapes: Sequence[Shape], given: Sequence[Shape], count: int) -> list[Shape]:
    """Return shapes, each as far as possible from the given ones and those chosen before."""
    left, chosen = list(dict.fromkeys(shapes)), list[Shape]()
    nearest = [min((distance(one, other) for other in given), default=math.inf) for one in left]
    while left and len(chosen) < count:
        index = int(np.argmax(nearest))
        if nearest[index] <= 0:
            break
        chosen.append(left.pop(index))
        nearest.pop(index)
        nearest = [
            min(near, distance(one, chosen[-1])) for one, near in zip(left, nearest, strict=True)
        ]
    return chosen
