"""Laws of the controls: the latency of the searched network, and no search behind them."""

import pytest

from tapetum.jobs.controls import CONTROLS, Control, control
from tapetum.latency import LatencyTable
from test_latency_table import small_space, table_of


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """Of a space in which every slot must be filled."""
    return table_of(small_space(learns_depth=False))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("kind", CONTROLS)
def test_a_control_uses_the_budget_and_keeps_it(
    kind: Control, share: float, table: LatencyTable
) -> None:
    """Its widths bring it as near to the limit as the grid allows, and never above."""
    fastest_ms, slowest_ms = table.range
    limit_ms = fastest_ms + share * (slowest_ms - fastest_ms)
    found_ms = table.predict(control(kind, table, limit_ms=limit_ms, seed=0)).median_ms
    assert 0.8 * limit_ms <= found_ms <= limit_ms


def test_a_uniform_network_has_one_operator(table: LatencyTable) -> None:
    """The same in every slot."""
    choices = control("uniform", table, limit_ms=sum(table.range) / 2, seed=0)
    assert len({choice.candidate for choice in choices.values() if choice is not None}) == 1


def test_random_networks_differ_by_their_seed(table: LatencyTable) -> None:
    """And are the same for the same seed."""
    limit_ms = sum(table.range) / 2
    first, again, other = (
        control("random", table, limit_ms=limit_ms, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other
