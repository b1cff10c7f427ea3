r"""The relaxation: which candidate a slot takes becomes a probability, and can be learned.

Each slot has a logit :math:`\alpha_o` for each candidate, each run of slots that may be left out a
logit :math:`\beta_k` for each depth.  A pass through the supernet uses a sample of them, which is
differentiable (Gumbel-softmax),

.. math::
    p_o = \operatorname{softmax}_o \frac{\alpha_o + g_o}{\tau}, \qquad
    g_o = -\ln(-\ln u_o), \; u_o \sim U(0, 1),

with a temperature :math:`\tau` that falls from epoch to epoch.  What a network is expected to take,

.. math::
    E[\ell] = b + \sum_s P(s \text{ is there}) \sum_o \operatorname{softmax}_o(\alpha)\, \ell_{s,o},

uses the alphas themselves: every one of them is pulled, whatever was sampled.  With all weight on
one choice it is the table's prediction for that network.

References:
    | TF-NAS (Hu, Wu, He, 2020), https://arxiv.org/abs/2008.05314

    | Categorical Reparameterization with Gumbel-Softmax (Jang, Gu, Poole, 2017)
    | https://arxiv.org/abs/1611.01144
"""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from tapetum.arch import Choice, Space
from tapetum.latency import LatencyTable
from tapetum.search.mixed import Part
from tapetum.search.supernet import Mixture, Widths

__all__ = [
    "ArchitectureParameters",
    "expected_latency",
    "gumbel_softmax",
    "latency_penalty",
    "sampled_mixture",
    "sampled_paths",
]

START_STD = 1e-3  # of fresh alphas: nothing is preferred, and no two are quite equal


class ArchitectureParameters(nn.Module):
    """The alphas of a space.

    Attributes:
        operators: For each slot, one for each candidate.
        depths: For the first slot of each run that may be left out, one for each depth from none
            to all; empty where every slot stays (the paper's way).

    Args:
        space: The space.
        seed: Equal seeds give equal alphas.
    """

    def __init__(self, space: Space, *, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.space = space
        self.runs = space.optional_runs
        self.operators = {
            path: self._fresh(f"operators {path}", len(slot.candidates), generator)
            for path, slot in space.slots.items()
        }
        self.depths = {
            first: self._fresh(f"depths {first}", len(paths) + 1, generator)
            for first, paths in self.runs.items()
        }

    def _fresh(self, name: str, count: int, generator: Generator) -> nn.Parameter:
        parameter = nn.Parameter(START_STD * torch.randn(count, generator=generator))
        self.register_parameter(name.replace(".", "/"), parameter)  # names may hold no dot
        return parameter

    def best(self, widths: Widths) -> dict[str, Choice | None]:
        """The likeliest candidate of each slot, at its width now, and the likeliest depths."""
        depths = {first: int(alphas.argmax()) for first, alphas in self.depths.items()}
        is_out = {path for first, paths in self.runs.items() for path in paths[depths[first] :]}
        return {
            path: None if path in is_out else self._likeliest(path, widths[path])
            for path in self.operators
        }

    def probabilities(self) -> dict[str, dict[str, float]]:
        """Of each candidate of each slot, by name."""
        return {
            path: {
                candidate.name: probability
                for candidate, probability in zip(
                    self.space.slots[path].candidates, one.detach().softmax(0).tolist(), strict=True
                )
            }
            for path, one in self.operators.items()
        }

    def depth_probabilities(self) -> dict[str, tuple[float, ...]]:
        """Of each depth of each run that may be left out, from none to all."""
        return {
            first: tuple(one.detach().softmax(0).tolist()) for first, one in self.depths.items()
        }

    def entropy(self) -> float:
        """The mean over the slots, as a share of the largest: 1 at first, 0 when all is decided."""
        shares = []
        for alphas in self.operators.values():
            if len(alphas) > 1:
                probabilities = alphas.detach().softmax(0)
                largest = torch.tensor(float(len(alphas))).log()
                shares.append(float(torch.special.entr(probabilities).sum() / largest))
        return sum(shares) / len(shares) if shares else 0.0

    def _likeliest(self, path: str, widths: Mapping[str, int]) -> Choice:
        candidate = self.space.slots[path].candidates[int(self.operators[path].argmax())].name
        return Choice(candidate=candidate, hidden_channels=widths[candidate])


def gumbel_softmax(
    alphas: Float[Tensor, " n"], *, temperature: float, generator: Generator
) -> Float[Tensor, " n"]:
    """A sample of probabilities, differentiable in the alphas.

    Args:
        alphas: One for each of the possibilities.
        temperature: Near 0 one of them gets all.
        generator: Of the noise; on the CPU, so that every process draws the same.
    """
    uniform = torch.rand(len(alphas), generator=generator).clamp_min(1e-20)
    noise = -(-uniform.log()).log()
    return ((alphas + noise.to(alphas.device)) / temperature).softmax(0)


def sampled_mixture(
    alphas: ArchitectureParameters,
    widths: Widths,
    *,
    temperature: float,
    generator: Generator,
    count: int | None,
) -> Mixture:
    """What takes part in a pass that teaches the alphas.

    Args:
        alphas: Get a gradient from it.
        widths: Of every candidate.
        temperature: Of the Gumbel-softmax.
        generator: Of the noise.
        count: Candidates of each slot: those with the largest samples, whose shares are scaled to
            sum to 1; all of them where ``None`` (as published).
    """
    parts = {}
    for path, slot_alphas in alphas.operators.items():
        shares = gumbel_softmax(slot_alphas, temperature=temperature, generator=generator)
        names = [candidate.name for candidate in alphas.space.slots[path].candidates]
        chosen = list(range(len(names)))
        if count is not None and count < len(names):
            chosen = shares.detach().topk(count).indices.sort().values.tolist()
            shares = shares / shares[chosen].sum()
        parts[path] = [Part(names[i], widths[path][names[i]], shares[i]) for i in chosen]
    return Mixture(parts, _sampled_depths(alphas, temperature=temperature, generator=generator))


def sampled_paths(
    alphas: ArchitectureParameters, widths: Widths, *, temperature: float, generator: Generator
) -> Iterator[Mixture]:
    """Two passes that teach the weights (bi-sampling): one as the alphas will, one of the others.

    Args:
        alphas: Get no gradient.
        widths: Of every candidate.
        temperature: Of the Gumbel-softmax.
        generator: Of the noise.

    Yields:
        The sampled path, then a path of one other candidate of each slot, drawn uniformly.
    """
    with torch.no_grad():
        depths = _sampled_depths(alphas, temperature=temperature, generator=generator)
        firsts = {
            path: int(gumbel_softmax(one, temperature=temperature, generator=generator).argmax())
            for path, one in alphas.operators.items()
        }
        others = {
            path: _another(first, len(alphas.operators[path]), generator)
            for path, first in firsts.items()
        }
    for path_of in (firsts, others):
        yield Mixture({p: [_part(alphas.space, widths, p, i)] for p, i in path_of.items()}, depths)


def expected_latency(
    alphas: ArchitectureParameters, widths: Widths, table: LatencyTable
) -> Float[Tensor, ""]:
    """What a network drawn by the alphas is expected to take, in milliseconds.

    Args:
        alphas: Get a gradient from it.
        widths: Of every candidate.
        table: Prices them.
    """
    there = _chances(alphas)
    costs = []
    for path, slot_alphas in alphas.operators.items():
        prices = [
            table.prices[path][Choice(candidate=c.name, hidden_channels=widths[path][c.name])]
            for c in alphas.space.slots[path].candidates
        ]
        shares = slot_alphas.softmax(0)
        costs.append(there.get(path, 1.0) * (shares * shares.new_tensor(prices)).sum())
    return table.fixed_ms + torch.stack(costs).sum()


def latency_penalty(expected_ms: Float[Tensor, ""], *, target_ms: float) -> Float[Tensor, ""]:
    r"""Return the relative distance of the expected latency from its target.

    .. math:: \left| E[\ell] / \ell^* - 1 \right|

    Args:
        expected_ms: In milliseconds; carries the gradient to the architecture parameters.
        target_ms: In milliseconds, under the same conditions.
    """
    return (expected_ms / target_ms - 1).abs()


def _chances(alphas: ArchitectureParameters) -> dict[str, Tensor]:
    """How likely each slot that may be left out is there: that of all depths that reach it."""
    found: dict[str, Tensor] = {}
    for first, paths in alphas.runs.items():
        reached = alphas.depths[first].softmax(0).flip(0).cumsum(0).flip(0)
        found |= {path: reached[place + 1] for place, path in enumerate(paths)}
    return found


def _sampled_depths(
    alphas: ArchitectureParameters, *, temperature: float, generator: Generator
) -> dict[str, Tensor]:
    return {
        first: gumbel_softmax(one, temperature=temperature, generator=generator)
        for first, one in alphas.depths.items()
    }


def _another(first: int, count: int, generator: Generator) -> int:
    """One of the others, uniformly; the same where there is no other."""
    if count == 1:
        return first
    step = int(torch.randint(1, count, (), generator=generator))
    return (first + step) % count


def _part(space: Space, widths: Widths, path: str, index: int) -> Part:
    name = space.slots[path].candidates[index].name
    return Part(name, widths[path][name])
