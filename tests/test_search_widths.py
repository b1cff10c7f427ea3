"""Laws of scaled widths and of the derived network: the target is met, or it is said why not."""

import numpy as np
import pytest
import torch

from tapetum.arch.space import Choice
from tapetum.latency import Budget, LatencyTable
from tapetum.search.derive import derive
from tapetum.search.relax import ArchitectureParameters, expected_latency, latency_penalty
from tapetum.search.widths import nominal_widths, scale_candidates, scale_widths
from test_latency_table import small_space, table_of


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """Of the small space, every slot of which stays."""
    return table_of(small_space(learns_depth=False))


@pytest.fixture(scope="module")
def network(table: LatencyTable) -> dict[str, Choice | None]:
    """Some network of it."""
    return table.space.random(np.random.default_rng(3))


def at(table: LatencyTable, network: dict[str, Choice | None], end: int) -> float:
    """The latency of the network at its narrowest (0) or at its widest (-1)."""
    slots = table.space.slots
    ends = {
        path: choice.model_copy(
            update={"hidden_channels": slots[path].widths(_candidate(table, path, choice))[end]}
        )
        for path, choice in network.items()
        if choice is not None
    }
    return table.predict(ends).median_ms


def _candidate(table: LatencyTable, path: str, choice: Choice) -> object:
    return table.space.slots[path].candidate(choice.candidate)


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.9])
def test_widths_end_within_one_step_of_the_target(
    table: LatencyTable, network: dict[str, Choice | None], share: float
) -> None:
    """No slot can be one step wider and keep it; the operators stay."""
    low, high = at(table, network, 0), at(table, network, -1)
    target_ms = low + share * (high - low)
    found = scale_widths(table, network, target_ms=target_ms)
    assert found.ended == "target"
    assert found.latency_ms <= target_ms
    assert found.latency_ms == pytest.approx(table.predict(found.choices).median_ms)
    for path, choice in found.choices.items():
        assert choice is not None
        assert choice.candidate == network[path].candidate
        grid = table.space.slots[path].widths(_candidate(table, path, choice))
        wider = choice.hidden_channels + grid.step
        if wider in grid:
            more = {**found.choices, path: choice.model_copy(update={"hidden_channels": wider})}
            assert table.predict(more).median_ms > target_ms


def test_a_target_out_of_reach_of_widths_is_told(
    table: LatencyTable, network: dict[str, Choice | None]
) -> None:
    """Below the narrowest, above the widest: everything is at its limit, and it is said which."""
    low, high = at(table, network, 0), at(table, network, -1)
    narrow = scale_widths(table, network, target_ms=0.9 * low)
    assert (narrow.ended, narrow.latency_ms) == ("narrowest", pytest.approx(low))
    wide = scale_widths(table, network, target_ms=1.1 * high)
    assert (wide.ended, wide.latency_ms) == ("widest", pytest.approx(high))


def expected_ms(
    table: LatencyTable, alphas: ArchitectureParameters, widths: dict[str, dict[str, int]]
) -> float:
    """The expected latency of alphas."""
    with torch.no_grad():
        return float(expected_latency(alphas, widths, table))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.2, 0.3, 0.4, 0.5])
def test_undecided_alphas_expect_the_target(table: LatencyTable, share: float, seed: int) -> None:
    """Scaled widths bring the expected latency to the target before the alphas are certain."""
    alphas = ArchitectureParameters(table.space, seed=seed)
    target_ms = table.range.at(share)
    scaled, widths = scale_candidates(
        table,
        alphas.best(nominal_widths(table.space)),
        lambda widths: expected_ms(table, alphas, widths),
        target_ms=target_ms,
    )
    after_ms = expected_ms(table, alphas, widths)
    assert after_ms <= target_ms or scaled.ended == "narrowest"
    assert alphas.best(widths) == scaled.choices
    others_are_widest = all(
        widths[path][candidate.name] == slot.widths(candidate)[-1]
        for path, slot in table.space.slots.items()
        for candidate in slot.candidates
        if scaled.choices[path].candidate != candidate.name
    )
    if scaled.ended != "narrowest" and not others_are_widest:
        assert after_ms == pytest.approx(target_ms, rel=0.08)


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_the_penalty_ends_at_the_target(table: LatencyTable, share: float) -> None:
    """Alphas that the latency alone pulls reach the target within a few scalings of widths."""
    alphas, widths = ArchitectureParameters(table.space, seed=0), nominal_widths(table.space)
    optimizer = torch.optim.Adam(alphas.parameters(), lr=0.05, weight_decay=5e-4)
    target_ms = table.range.at(share)
    for _ in range(4):
        _, widths = scale_candidates(
            table,
            alphas.best(widths),
            lambda widths: expected_ms(table, alphas, widths),
            target_ms=target_ms,
        )
        for _ in range(50):
            optimizer.zero_grad()
            penalty = latency_penalty(expected_latency(alphas, widths, table), target_ms=target_ms)
            (0.1 * penalty).backward()
            optimizer.step()
    assert penalty.item() < 0.02


def test_candidates_of_a_slot_compete_at_the_same_latency(table: LatencyTable) -> None:
    """The others are as wide as the time of the likeliest one allows, and no wider."""
    alphas = ArchitectureParameters(table.space, seed=0)
    best = alphas.best(nominal_widths(table.space))
    target_ms = table.range.at(0.5)
    _, widths = scale_candidates(table, best, lambda _: 2 * target_ms, target_ms=target_ms)
    for path, choice in alphas.best(widths).items():
        assert choice is not None
        slot, prices = table.space.slots[path], table.prices[path]
        for name, width in widths[path].items():
            grid = slot.widths(slot.candidate(name))
            price_of = {w: prices[Choice(candidate=name, hidden_channels=w)] for w in grid}
            assert price_of[width] <= prices[choice] or width == grid[0]
            wider = price_of.get(width + grid.step)
            assert wider is None or wider > prices[choice]


def test_widths_begin_at_the_expansion(table: LatencyTable) -> None:
    """On the grid, nearest to the candidate's own."""
    for path, widths in nominal_widths(table.space).items():
        slot = table.space.slots[path]
        for candidate in slot.candidates:
            nominal = candidate.expansion * slot.in_channels
            assert abs(widths[candidate.name] - nominal) <= slot.width_step / 2


@pytest.mark.parametrize("learns_depth", [True, False], ids=["depth learned", "depth removed"])
def test_the_derived_network_keeps_the_target(*, learns_depth: bool) -> None:
    """By the table, whatever the logits like; and it comes near where widths allow."""
    table = table_of(small_space(learns_depth=learns_depth))
    fastest, slowest = table.range
    for seed in range(5):
        logits = ArchitectureParameters(table.space, seed=seed)
        with torch.no_grad():
            for parameter in logits.parameters():
                parameter.mul_(2000)
        target_ms = fastest + (0.3 + 0.1 * seed) * (slowest - fastest)
        best = derive(
            Budget.of(table, target_ms), logits.probabilities(), logits.depth_probabilities()
        )
        assert best.latency_ms <= target_ms
        assert best.latency_ms == pytest.approx(table.predict(best.choices).median_ms)
        if not learns_depth:
            assert None not in best.choices.values()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_derived_network_is_the_scaled_one(table: LatencyTable, share: float) -> None:
    """Where its widths are not at their limits, but for the knapsack's whole microseconds."""
    logits, widths = ArchitectureParameters(table.space, seed=1), nominal_widths(table.space)
    likeliest = logits.best(widths)
    low, high = at(table, likeliest, 0), at(table, likeliest, -1)
    target_ms = low + share * (high - low)
    scaled = scale_widths(table, likeliest, target_ms=target_ms - 1e-3 * len(likeliest))
    assert scaled.ended == "target"
    for path, choice in scaled.choices.items():
        assert choice is not None
        widths[path][choice.candidate] = choice.hidden_channels
    best = derive(
        Budget.of(table, scaled.latency_ms + 5e-3), logits.probabilities(), {}, widths=widths
    )
    assert best.choices == scaled.choices


def test_certain_logits_are_derived_as_they_are(table: LatencyTable) -> None:
    """Where the target is what they take at their widest; more time is used for more."""
    logits = ArchitectureParameters(table.space, seed=0)
    with torch.no_grad():
        for index, one in enumerate(logits.operators.values()):
            one[index % len(one)] = 50
    likeliest = logits.best(nominal_widths(table.space))
    _, slowest = table.range
    widest_ms = scale_widths(table, likeliest, target_ms=2 * slowest).latency_ms
    budget = Budget.of(table, widest_ms + 1e-3 * len(likeliest))
    best = derive(budget, logits.probabilities(), {})
    for path, choice in best.choices.items():
        assert choice is not None
        assert likeliest[path] is not None
        assert choice.candidate == likeliest[path].candidate
    more = derive(Budget.of(table, 0.95 * slowest), logits.probabilities(), {})
    assert more.latency_ms > 0.9 * slowest
