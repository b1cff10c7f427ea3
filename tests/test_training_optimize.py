"""The learning rate, the optimizer, the average."""

import pytest
import torch
from torch import nn

from tapetum.nn import build
from tapetum.training.optimize import Average, Schedule, learning_rate_factor, make_optimizer
from tiny_training import tiny_architecture, tiny_recipe

SCHEDULES = [
    {"schedule": "one-cycle", "warmup": 0.3},
    {"schedule": "cosine"},
    {"schedule": "cosine", "warmup": 0.1},
    {"schedule": "constant", "warmup": 0.5},
]


@pytest.mark.parametrize("total_steps", [1, 2, 10, 1000])
@pytest.mark.parametrize("fields", SCHEDULES, ids=str)
def test_the_rate_climbs_then_falls(fields: dict[str, object], total_steps: int) -> None:
    """A schedule stays within (0, 1], climbs during the warm-up and never after."""
    recipe = tiny_recipe(**fields)
    factors = [
        learning_rate_factor(recipe, step, total_steps=total_steps) for step in range(total_steps)
    ]
    peak = factors.index(max(factors))
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert peak <= recipe.warmup * total_steps + 1


def test_a_one_cycle_ends_near_nothing() -> None:
    """The last step of a cycle is far smaller than the first, and the highest is the recipe's."""
    recipe = tiny_recipe(schedule="one-cycle", warmup=0.3)
    factors = [learning_rate_factor(recipe, step, total_steps=1000) for step in range(1000)]
    assert factors[0] == pytest.approx(1 / 25, rel=0.01)
    assert max(factors) == pytest.approx(1.0)
    assert factors[-1] < 1e-4


def test_a_plateau_lowers_the_rate_when_the_loss_stays() -> None:
    """After more than ``plateau_patience`` epochs without a lower loss, and not before."""
    recipe = tiny_recipe(schedule="plateau", plateau_patience=1, plateau_factor=0.5)
    optimizer = make_optimizer(nn.Linear(2, 2), recipe)
    schedule = Schedule(recipe, optimizer)
    rates = []
    for loss in (1.0, 1.0, 1.0, 0.5):
        schedule.after_epoch(loss)
        schedule.set_rate(3, total_steps=10)
        rates.append(schedule.rate / recipe.learning_rate)
    assert rates == [1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_norms_and_biases_do_not_decay(optimizer: str) -> None:
    """Only weights of two and more dimensions decay; every weight is in exactly one group."""
    network = build(tiny_architecture(), seed=0)
    made = make_optimizer(network, tiny_recipe(optimizer=optimizer, weight_decay=0.1))
    decays = {
        id(weight): group["weight_decay"]
        for group in made.param_groups
        for weight in group["params"]
    }
    assert len(decays) == len(list(network.parameters()))
    for weight in network.parameters():
        assert decays[id(weight)] == (0.1 if weight.ndim > 1 else 0.0)


def test_the_average_lags_behind_and_copies_statistics() -> None:
    """Weights move a part of the way, running statistics all of it; the network stays."""
    network = build(tiny_architecture(), seed=0)
    average = Average(network, decay=0.999)
    before = [weight.clone() for weight in network.parameters()]
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            value.add_(1)
    average.follow(network, step=10)
    decay = (1 + 10) / (10 + 10)  # early on lower than the recipe's
    for weight, old in zip(average.network.parameters(), before, strict=True):
        torch.testing.assert_close(weight, old + (1 - decay), rtol=1e-5, atol=1e-6)
    for copied, original in zip(average.network.buffers(), network.buffers(), strict=True):
        assert copied.equal(original)
    assert not any(weight.requires_grad for weight in average.network.parameters())
