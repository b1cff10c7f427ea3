"""Laws of the relaxation: certain choices cost what the table says, and the target pulls."""

import numpy as np
import pytest
import torch

from tapetum.arch.space import Choice
from tapetum.latency import LatencyTable
from tapetum.search.relax import (
    ArchitectureParameters,
    expected_latency,
    gumbel_softmax,
    latency_penalty,
    mixture_latency,
    sampled_mixture,
    sampled_paths,
)
from tapetum.search.widths import nominal_widths
from test_latency_table import small_space, table_of

CERTAIN = 1e4


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """Of the small space, whose depth can be learned."""
    return table_of(small_space())


def test_certain_choices_cost_what_the_table_predicts(table: LatencyTable) -> None:
    """For every operator and every depth."""
    space, widths = table.space, nominal_widths(table.space)
    generator = np.random.default_rng(0)
    runs = space.optional_runs
    for _ in range(20):
        alphas = ArchitectureParameters(space, seed=0)
        choices: dict[str, Choice | None] = {}
        with torch.no_grad():
            for path, slot in space.slots.items():
                index = int(generator.integers(len(slot.candidates)))
                name = slot.candidates[index].name
                alphas.operators[path][index] = CERTAIN
                choices[path] = Choice(candidate=name, hidden_channels=widths[path][name])
            for first, paths in runs.items():
                depth = int(generator.integers(len(paths) + 1))
                alphas.depths[first][depth] = CERTAIN
                choices |= dict.fromkeys(paths[depth:])
        expected = expected_latency(alphas, widths, table)
        assert expected.item() == pytest.approx(table.predict(choices).median_ms, rel=1e-5)
        assert alphas.best(widths) == choices


@pytest.mark.parametrize("share", [0.5, 1.5])
def test_the_latency_loss_pulls_to_the_target_from_both_sides(
    table: LatencyTable, share: float
) -> None:
    """A step down its gradient brings the expected latency nearer."""
    alphas, widths = ArchitectureParameters(table.space, seed=0), nominal_widths(table.space)
    before = expected_latency(alphas, widths, table)
    target_ms = share * before.item()
    latency_penalty(before, target_ms=target_ms).backward()
    with torch.no_grad():
        for parameter in alphas.parameters():
            parameter -= 0.5 * parameter.grad
    after = expected_latency(alphas, widths, table).item()
    assert abs(after - target_ms) < abs(before.item() - target_ms)


def test_without_depths_every_block_stays() -> None:
    """The paper's way: beta removed."""
    space = small_space(learns_depth=False)
    alphas = ArchitectureParameters(space, seed=0)
    assert not alphas.depths
    assert None not in alphas.best(nominal_widths(space)).values()


def test_two_paths_of_a_step_share_no_operator(table: LatencyTable) -> None:
    """The second is drawn from the others, each as often as the next."""
    alphas, widths = ArchitectureParameters(table.space, seed=0), nominal_widths(table.space)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(200):
        first, second = sampled_paths(alphas, widths, temperature=1.0, generator=generator)
        for path in table.space.slots:
            (one,), (other,) = first.parts[path], second.parts[path]
            assert one.candidate != other.candidate
            seen.add((path, other.candidate))
    assert len(seen) == sum(len(slot.candidates) for slot in table.space.slots.values())


def test_shares_sum_to_one_and_get_a_gradient(table: LatencyTable) -> None:
    """All candidates, or two of them."""
    alphas, widths = ArchitectureParameters(table.space, seed=0), nominal_widths(table.space)
    for count in (None, 2):
        generator = torch.Generator().manual_seed(0)
        mixture = sampled_mixture(alphas, widths, temperature=5.0, generator=generator, count=count)
        for path, parts in mixture.parts.items():
            shares = torch.stack([part.share for part in parts])
            assert len(parts) == (count or len(table.space.slots[path].candidates))
            assert shares.sum().item() == pytest.approx(1.0)
            (gradient,) = torch.autograd.grad(shares[0], alphas.operators[path])
            assert gradient.abs().max() > 0


@pytest.mark.parametrize("count", [None, 2], ids=["all", "pair"])
@pytest.mark.parametrize("temperature", [5.0, 0.5])
def test_a_pass_takes_as_long_as_its_shares_say(
    table: LatencyTable, count: int | None, temperature: float
) -> None:
    """The latency has the sample of the task loss, and its gradient the factor 1 / temperature."""
    alphas, widths = ArchitectureParameters(table.space, seed=0), nominal_widths(table.space)
    generator = torch.Generator().manual_seed(0)
    mixture = sampled_mixture(
        alphas, widths, temperature=temperature, generator=generator, count=count
    )
    latency = mixture_latency(mixture, table)
    latency.backward()
    present = dict.fromkeys(table.space.slots, 1.0)
    for run in table.space.optional_runs.values():
        present |= {path: (len(run) - k) / (len(run) + 1) for k, path in enumerate(run)}
    total = table.fixed_ms
    for path, parts in mixture.parts.items():
        prices = torch.tensor(
            [
                table.prices[path][Choice(candidate=p.candidate, hidden_channels=p.hidden_channels)]
                for p in parts
            ]
        )
        shares = torch.stack([part.share.detach() for part in parts])
        mean = (shares * prices).sum()
        total += present[path] * float(mean)
        names = alphas.names(path)
        expected = torch.zeros(len(names))
        for part, share, price in zip(parts, shares, prices, strict=True):
            slope = present[path] * share * (price - mean) / temperature
            expected[names.index(part.candidate)] = slope
        torch.testing.assert_close(alphas.operators[path].grad, expected, rtol=0.02, atol=1e-5)
    assert latency.item() == pytest.approx(total, rel=1e-3)


def test_depths_are_a_plain_softmax(table: LatencyTable) -> None:
    """Without noise and temperature, in both kinds of step."""
    alphas, widths = ArchitectureParameters(table.space, seed=0), nominal_widths(table.space)
    generator = torch.Generator().manual_seed(0)
    sample = {"temperature": 0.1, "generator": generator}
    mixtures = [
        *sampled_paths(alphas, widths, **sample),
        sampled_mixture(alphas, widths, **sample, count=None),
    ]
    for first, depths in alphas.depths.items():
        for mixture in mixtures:
            torch.testing.assert_close(mixture.depths[first], depths.softmax(0))


def test_samples_follow_the_probabilities() -> None:
    """At a low temperature the largest sample is each one as often as the softmax says."""
    alphas = torch.tensor([0.0, 1.0, 2.0])
    generator = torch.Generator().manual_seed(0)
    samples = [
        int(gumbel_softmax(alphas, temperature=0.1, generator=generator).argmax())
        for _ in range(4000)
    ]
    found = np.bincount(samples, minlength=3) / len(samples)
    np.testing.assert_allclose(found, alphas.softmax(0), atol=0.03)


def test_entropy_falls_from_one_to_none(table: LatencyTable) -> None:
    """Undecided at first; certain, nothing is left."""
    alphas = ArchitectureParameters(table.space, seed=0)
    assert alphas.entropy() == pytest.approx(1, abs=1e-3)
    with torch.no_grad():
        for one in alphas.operators.values():
            one[0] = CERTAIN
    assert alphas.entropy() == pytest.approx(0, abs=1e-6)
