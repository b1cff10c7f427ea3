"""Laws of proposals: networks of one measured latency that are as different as possible."""

import math
import statistics
import zlib
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
import pytest

from tapetum.arch import Architecture, ShapeSpace, distance
from tapetum.errors import InputError
from tapetum.latency import TimedShapes, Timing
from tapetum.latency.timing import Round
from tapetum.search import Proposal, feasible_range, propose
from test_latency_whole import HERE, SPACE, by_formula, formula_ms

START = TimedShapes(conditions=HERE, space=SPACE)
COARSE = ("plain-mbconv", "plain-dc-net")


@cache
def proposal(target_ms: float, *, seed: int = 0) -> Proposal:
    """Eight networks on the made-up device."""
    return propose(START, by_formula, target_ms, count=8, seed=seed)


def medians(made: Proposal) -> list[float]:
    """The measured latencies."""
    return [one.timing.median_ms for one in made.candidates]


@pytest.mark.parametrize("target_ms", [2.0, 8.0])
def test_proposals_lie_in_the_window(target_ms: float) -> None:
    """Each was measured between 10 % below and 2 % above the target; most near 0.97 of it."""
    found = medians(proposal(target_ms))
    assert len(found) == 8
    assert all(0.9 * target_ms <= ms <= 1.02 * target_ms for ms in found)
    assert statistics.median(found) == pytest.approx(0.97 * target_ms, rel=0.03)
    assert not proposal(target_ms).notes


def test_the_rule_and_the_plain_networks_are_always_among_them() -> None:
    """They come first; then by turns one that resembles the rule and a drawn one."""
    names = [one.name for one in proposal(2.0).candidates]
    assert names[:3] == ["rule", "plain-dc-net", "plain-mbconv"]
    assert all(name.startswith("rule-") for name in names[3::2])
    assert all(name.startswith("drawn-") for name in names[4::2])
    plain = proposal(2.0).candidates[1].shape
    assert (plain.operator, plain.stem, plain.join) == ("conv", "full", "concatenate")
    assert not plain.gated


def test_proposals_are_as_different_as_possible() -> None:
    """Apart from those that resemble the rule, no two are near each other."""
    made = proposal(2.0).candidates
    assert len({one.shape for one in made}) == len(made)
    shapes = [one.shape for one in made if not one.name.startswith("rule-")]
    nearest = min(distance(a, b) for i, a in enumerate(shapes) for b in shapes[:i])
    assert nearest > 0.8
    assert len({shape.operator for shape in shapes}) >= 3
    assert {shape.stem for shape in shapes} == {"half", "full"}


def test_the_same_seed_proposes_the_same_networks() -> None:
    """And another seed draws others."""
    again = propose(START, by_formula, 2.0, count=8, seed=0)
    assert again == proposal(2.0)
    other = {one.shape for one in proposal(2.0, seed=1).candidates}
    assert other != {one.shape for one in proposal(2.0).candidates}


def test_proposals_were_timed_in_turns_at_the_end() -> None:
    """The latency that counts is not a quick one."""
    assert all(one.timing.num_rounds == 5 for one in proposal(2.0).candidates)


def test_without_time_left_those_that_meet_the_target_are_enough() -> None:
    """Fewer timings, the same window, and a note says why some are missing."""
    counts = {0.0: 0, math.inf: 0}

    def made(patience_s: float) -> Proposal:
        def time(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
            counts[patience_s] += num_rounds * len(networks)
            off = [1 + 0.2 * math.sin(100 * formula_ms(one)) for one in networks]
            times = [[Round([formula_ms(one) * by])] for one, by in zip(networks, off, strict=True)]
            return [Timing.of(one * num_rounds) for one in times]

        return propose(START, time, 2.6, count=8, patience_s=patience_s)

    hurried, patient = made(0.0), made(math.inf)
    assert counts[0.0] < counts[math.inf]
    assert all(0.9 * 2.6 <= ms <= 1.02 * 2.6 for ms in medians(hurried))
    assert hurried.candidates[0].name == "rule"
    assert len(hurried.candidates) < 8
    assert any("the time to find more was over" in note for note in hurried.notes)
    assert not any("the time to find more" in note for note in patient.notes)


def test_targets_share_what_was_timed() -> None:
    """A second target times fewer networks than the first, as does the same one again."""
    counts: list[int] = []

    def time(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        counts.append(len(networks))
        return by_formula(networks, num_rounds=num_rounds)

    first = propose(START, time, 2.0, count=6)
    alone = sum(counts)
    counts.clear()
    propose(first.timed, time, 1.0, count=6)
    assert sum(counts) < alone
    counts.clear()
    assert propose(first.timed, time, 2.0, count=6).candidates
    assert sum(counts) < alone


@pytest.mark.parametrize("off", [0.03])
def test_noise_of_a_timing_does_not_move_proposals_out(off: float) -> None:
    """Quick timings that are 3 % off are corrected by those in turns."""
    generator = np.random.default_rng(0)

    def noisy(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        spread = off / math.sqrt(num_rounds)
        return [
            Timing.of(
                [Round([formula_ms(one) * math.exp(spread * generator.normal())])] * num_rounds
            )
            for one in networks
        ]

    made = propose(START, noisy, 3.0, count=8)
    true = [formula_ms(SPACE.architecture(one.shape)) for one in made.candidates]
    assert len(true) == 8
    assert max(abs(ms / 3.0 / 0.96 - 1) for ms in true) < 0.1


def test_fixed_networks_are_found_where_the_latency_is_jagged() -> None:
    """The rule and the plain networks meet the target although the model is 15 % off for each."""

    def jagged(networks: Sequence[Architecture], *, num_rounds: int = 1) -> list[Timing]:
        off = [
            zlib.crc32(one.model_copy(update={"name": ""}).model_dump_json().encode())
            for one in networks
        ]
        factors = [math.exp(0.15 * math.cos(one)) for one in off]
        times = [[Round([formula_ms(one) * by])] for one, by in zip(networks, factors, strict=True)]
        return [Timing.of(one * num_rounds) for one in times]

    for target_ms in (1.1, 2.2, 4.4):
        names = [one.name for one in propose(START, jagged, target_ms, count=3).candidates]
        assert names == ["rule", "plain-dc-net", "plain-mbconv"], target_ms


def test_the_range_goes_from_the_smallest_shape_to_the_largest() -> None:
    """In about ten timings, upwards."""
    progress: list[str] = []
    found, timed = feasible_range(
        START, by_formula, progress=lambda _done, _total, message: progress.append(message)
    )
    small, large = (SPACE.architecture(one) for one in (SPACE.smallest(), SPACE.largest()))
    assert (found.fastest_ms, found.slowest_ms) == (formula_ms(small), formula_ms(large))
    assert found.is_whole
    assert 8 <= found.num_timed <= 10
    assert len(progress) == found.num_timed == len(timed.shapes)
    assert str(found) == "0.074 to 41.5 ms"


def test_the_range_ends_where_it_is_told_to() -> None:
    """Networks that take seconds are not timed for a budget of milliseconds."""
    found, timed = feasible_range(START, by_formula, longest_ms=3.0)
    assert not found.is_whole
    assert found.slowest_ms > 3.0
    assert sum(one.timing.median_ms > 3.0 for one in timed.shapes) == 1
    assert "at least" in str(found)


def test_a_target_below_the_smallest_network_is_refused() -> None:
    """With the latency of that, and one that would be met."""
    with pytest.raises(InputError) as refused:
        propose(START, by_formula, 0.05)
    assert "no network meets 0.05 ms: the smallest one takes 0.0741 ms" in refused.value.problem
    assert "ask for 0.078 ms or more" in refused.value.remedy


def test_a_target_that_only_the_smallest_network_meets_works() -> None:
    """It is proposed, and the missing ones are told."""
    smallest_ms = formula_ms(SPACE.architecture(SPACE.smallest()))
    made = propose(START, by_formula, smallest_ms, count=8)
    assert SPACE.smallest().widths in {one.shape.widths for one in made.candidates}
    assert all(ms <= 1.02 * smallest_ms for ms in medians(made))
    assert any(
        "since none has this latency: the default network, the plain DC-Net" in note
        for note in made.notes
    )
    assert any("instead of 8 meet" in note for note in made.notes)


def test_a_target_above_the_largest_network_delivers_the_largest() -> None:
    """And says so."""
    made = propose(START, by_formula, 500.0, count=4)
    assert len(made.candidates) == 4
    assert all(36 < ms < 43 for ms in medians(made))
    assert made.notes[0].startswith("the largest useful network takes 41.5 ms, less than 500 ms")


@pytest.mark.parametrize("target_ms", [0.0, -1.0, math.nan, math.inf])
def test_a_target_that_is_no_latency_is_refused(target_ms: float) -> None:
    """Before anything is timed."""
    with pytest.raises(InputError, match="must be a number greater than 0"):
        propose(START, by_formula, target_ms)


def test_denoisers_are_proposed_too() -> None:
    """Without a branch; two shapes never differ in one alone."""
    space = SPACE.model_copy(update={"num_classes": None})
    made = propose(START.model_copy(update={"space": space}), by_formula, 2.0, count=5)
    assert len(made.candidates) == 5
    assert not any(one.shape.branch.widths for one in made.candidates)


def test_a_finer_grid_comes_nearer_to_the_target() -> None:
    """With multiples of 4 every network lies within 4 % of the aim."""
    space = ShapeSpace(width_step=4, size_px=64, image_channels=3, num_classes=10)
    make = partial(propose, START.model_copy(update={"space": space}), by_formula)
    found = medians(make(2.0, count=6))
    assert len(found) == 6
    assert all(abs(ms / 2.0 / 0.97 - 1) < 0.05 for ms in found)
