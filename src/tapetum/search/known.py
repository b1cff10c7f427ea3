"""Propose networks that were timed on another device, where no others can be timed.

Only what was measured is proposed. The families of :mod:`tapetum.arch.ladder` were timed at every
size, so that some of each lie near most budgets.
"""

from collections.abc import Iterator, Sequence

from tapetum.arch import Shape, distance
from tapetum.latency import Budget, TimedShapes
from tapetum.search.feasible import FeasibleRange, refusal
from tapetum.search.proposals import (
    FEWEST_PLAIN_LEVELS,
    RULE,
    TITLES,
    Candidate,
    Proposal,
    keeps_budget,
    most_different,
    required,
)

__all__ = ["known_range", "propose_known", "similar"]


def known_range(timed: TimedShapes) -> FeasibleRange:
    """Return the latencies that were measured, from the smallest network to the largest."""
    known = [one.timing.median_ms for one in timed.shapes]
    return FeasibleRange(
        fastest_ms=min(known), slowest_ms=max(known), is_whole=False, num_timed=len(known)
    )


def propose_known(
    timed: TimedShapes, target_ms: float, *, count: int = 12, with_mobile: bool = False
) -> Proposal:
    """Return different networks whose measured latency meets a target.

    Args:
        timed: What was timed on the device.
        target_ms: Highest latency, in milliseconds.
        count: Number of networks.
        with_mobile: Whether a network like EfficientNet-Lite0 is among them.

    Raises:
        InputError: Not even the smallest network meets the target; the message says what would.
    """
    Budget.require_positive(target_ms)
    span = known_range(timed)
    if span.fastest_ms > (1 + Budget.TOLERANCE) * target_ms:
        raise refusal(timed, span, target_ms)
    known = _candidates(timed)
    inside = [one for one in known if keeps_budget(one.timing.median_ms, target_ms)]
    near = inside or [_largest(known, target_ms)]
    fixed = dict(_fixed(near, target_ms, with_mobile=with_mobile))
    if RULE not in fixed:  # a race needs a default
        fixed = {RULE: _largest(_of(known, RULE) or near, target_ms), **fixed}
    rest = {one.shape: one for one in near if one.shape not in {it.shape for it in fixed.values()}}
    others = most_different(
        list(rest), [one.shape for one in fixed.values()], max(0, count - len(fixed))
    )
    wanted = required(with_mobile=with_mobile)[:count]
    named = [*fixed.items(), *((f"timed-{n:02}", rest[one]) for n, one in enumerate(others, 1))]
    candidates = tuple(one.model_copy(update={"name": name}) for name, one in named[:count])
    return Proposal(
        target_ms=target_ms,
        candidates=candidates,
        timed=timed,
        range=span,
        notes=tuple(_notes(timed, candidates, target_ms, wanted)),
    )


def similar(timed: TimedShapes, shape: Shape, target_ms: float) -> Candidate:
    """Return the network of a budget that is most like a shape; the slowest below where none is."""
    known = _candidates(timed)
    inside = [one for one in known if keeps_budget(one.timing.median_ms, target_ms)]
    near = inside or [_largest(known, target_ms)]
    return min(near, key=lambda one: distance(one.shape, shape))


def _candidates(timed: TimedShapes) -> list[Candidate]:
    """Return what was timed, each under the name of its family."""
    return [Candidate(name=one.family, shape=one.shape, timing=one.timing) for one in timed.shapes]


def _of(some: Sequence[Candidate], family: str) -> list[Candidate]:
    return [one for one in some if one.name == family]


def _largest(some: Sequence[Candidate], target_ms: float) -> Candidate:
    """Return the slowest network that keeps a budget, or the fastest of all."""
    most_ms = (1 + Budget.TOLERANCE) * target_ms
    keeps = [one for one in some if one.timing.median_ms <= most_ms]
    if not keeps:
        return min(some, key=lambda one: one.timing.median_ms)
    return max(keeps, key=lambda one: one.timing.median_ms)


def _fixed(
    near: Sequence[Candidate], target_ms: float, *, with_mobile: bool
) -> Iterator[tuple[str, Candidate]]:
    """Yield the network of each family that has to be among them, the nearest to the aim."""
    aim_ms = Budget.AIM * target_ms
    for family in required(with_mobile=with_mobile):
        levels = 1 if family == RULE else FEWEST_PLAIN_LEVELS
        some = [one for one in _of(near, family) if len(one.shape.widths) >= levels]
        if some:
            yield family, min(some, key=lambda one: abs(one.timing.median_ms - aim_ms))


def _notes(
    timed: TimedShapes, candidates: Sequence[Candidate], target_ms: float, wanted: Sequence[str]
) -> Iterator[str]:
    """Yield what differs from the request, each in a sentence."""
    names = {one.name for one in candidates}
    if missing := [name for name in wanted if name not in names]:
        titles = ", ".join(f"the {TITLES[name]}" for name in missing)
        yield f"not among the candidates, since none of this latency was timed: {titles}"
    if timed.shared:
        yield f"on the device, {timed.shared}; passes that were interrupted do not count"
    if below := sum(not keeps_budget(one.timing.median_ms, target_ms) for one in candidates):
        yield (
            f"{below} of {len(candidates)} networks take less than 90 % of {target_ms:g} ms, since "
            "no other was timed: 'tapetum latency bundle --target-ms' times more near it"
        )
