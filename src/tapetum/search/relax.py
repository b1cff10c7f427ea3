r"""The relaxation: the choice of a candidate becomes a probability that can be learned.

The architecture parameters (alphas) are a number :math:`\alpha_o` for each candidate of a slot, and
a number :math:`\beta_k` for each depth of a run of slots that may be left out.  A pass through the
supernet uses a differentiable sample of the candidates (Gumbel-softmax),

.. math::
    p_o = \operatorname{softmax}_o \frac{\alpha_o + g_o}{\tau}, \qquad
    g_o = -\ln(-\ln u_o), \; u_o \sim U(0, 1),

with a temperature :math:`\tau` that falls from epoch to epoch.  Depths are mixed by the plain
softmax of :math:`\beta`.  The latency of a pass has the same shares as its output,

.. math::
    \ell = b + \sum_s P(s) \sum_o p_o\, \ell_{s,o},

with the probability :math:`P(s)` that a slot is present.  So the gradients of the task and of the
latency have the same factor :math:`1 / \tau`.  The expected latency has the plain softmax of the
alphas for shares.  With all weight on one choice both are the prediction of the table.

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
    "mixture_latency",
    "sampled_mixture",
    "sampled_paths",
]

START_STD = 1e-3  # of fresh alphas: nearly equal, without ties


class ArchitectureParameters(nn.Module):
    """The architecture parameters of a space.

    Attributes:
        operators: One alpha for each candidate, by slot.
        depths: One alpha for each depth from none to all, by the first slot of each run that may be
            left out; empty where every slot stays, as in the paper.
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
        """Return the most probable candidate of each slot, at its current width and depth."""
        depths = {first: int(alphas.argmax()) for first, alphas in self.depths.items()}
        is_out = {path for first, paths in self.runs.items() for path in paths[depths[first] :]}
        return {
            path: None if path in is_out else self._likeliest(path, widths[path])
            for path in self.operators
        }

    def probabilities(self) -> dict[str, dict[str, float]]:
        """Return the probability of each candidate of each slot."""
        chances = {path: slot.detach().softmax(0).tolist() for path, slot in self.operators.items()}
        return {
            path: dict(zip(self.names(path), slot, strict=True)) for path, slot in chances.items()
        }

    def depth_probabilities(self) -> dict[str, tuple[float, ...]]:
        """Return the probability of each depth of each run, from none to all."""
        return {first: tuple(shares.tolist()) for first, shares in self.depth_shares().items()}

    def entropy(self) -> float:
        """Return the mean relative entropy of the slots: 1 undecided, 0 decided."""
        open_slots = [slot.detach() for slot in self.operators.values() if len(slot) > 1]
        shares = [
            float(torch.special.entr(slot.softmax(0)).sum() / torch.tensor(len(slot)).log())
            for slot in open_slots
        ]
        return sum(shares) / len(shares) if shares else 0.0

    def names(self, path: str) -> list[str]:
        """Return the names of a slot's candidates."""
        return [candidate.name for candidate in self.space.slots[path].candidates]

    def _likeliest(self, path: str, widths: Mapping[str, int]) -> Choice:
        name = self.names(path)[int(self.operators[path].argmax())]
        return Choice(candidate=name, hidden_channels=widths[name])

    def depth_shares(self) -> dict[str, Tensor]:
        """Return the share of each depth of each run, with gradients."""
        return {first: alphas.softmax(0) for first, alphas in self.depths.items()}


def gumbel_softmax(
    alphas: Float[Tensor, " n"], *, temperature: float, generator: Generator
) -> Float[Tensor, " n"]:
    """Return a sample of probabilities, differentiable in the alphas.

    Args:
        alphas: One alpha for each option.
        temperature: Near 0 one option gets all probability.
        generator: Generator on the CPU, so that every process draws the same.
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
    """Return the mixture of a pass that trains the alphas.

    Args:
        alphas: The alphas, which get a gradient.
        widths: Width of every candidate.
        temperature: See :func:`gumbel_softmax`.
        generator: See :func:`gumbel_softmax`.
        count: Number of candidates of each slot: those with the largest samples, their shares
            scaled to sum to 1; all candidates where ``None`` (as published).
    """
    parts = {}
    for path, slot_alphas in alphas.operators.items():
        shares = gumbel_softmax(slot_alphas, temperature=temperature, generator=generator)
        names = alphas.names(path)
        chosen = list(range(len(names)))
        if count is not None and count < len(names):
            chosen = shares.detach().topk(count).indices.sort().values.tolist()
            shares = shares / shares[chosen].sum()
        parts[path] = [Part(names[i], widths[path][names[i]], shares[i]) for i in chosen]
    return Mixture(parts, alphas.depth_shares())


def sampled_paths(
    alphas: ArchitectureParameters, widths: Widths, *, temperature: float, generator: Generator
) -> Iterator[Mixture]:
    """Yield the mixtures of two passes that train the weights (bi-sampling).

    The first is the sampled path; the second has one other candidate of each slot, drawn uniformly.
    The alphas get no gradient.
    """
    with torch.no_grad():
        depths = alphas.depth_shares()
        firsts = {
            path: int(gumbel_softmax(slot, temperature=temperature, generator=generator).argmax())
            for path, slot in alphas.operators.items()
        }
        others = {
            path: _another(first, len(alphas.operators[path]), generator)
            for path, first in firsts.items()
        }
    for chosen in (firsts, others):
        names = {path: alphas.names(path)[index] for path, index in chosen.items()}
        parts = {path: [Part(name, widths[path][name])] for path, name in names.items()}
        yield Mixture(parts, depths)


def mixture_latency(mixture: Mixture, table: LatencyTable) -> Float[Tensor, ""]:
    """Return the latency of a pass in ms, by the shares of its parts and depths, with gradients."""
    present = _presence(mixture.depths, table.space)
    total = torch.tensor(table.fixed_ms)
    for path, parts in mixture.parts.items():
        prices = table.prices[path]
        costs = [
            (1.0 if part.share is None else part.share)
            * prices[Choice(candidate=part.candidate, hidden_channels=part.hidden_channels)]
            for part in parts
        ]
        total = total + present.get(path, 1.0) * sum(costs)
    return total


def expected_latency(
    alphas: ArchitectureParameters, widths: Widths, table: LatencyTable
) -> Float[Tensor, ""]:
    """Return the expected latency of a network drawn by the alphas, in ms, with gradients."""
    parts = {}
    for path, slot_alphas in alphas.operators.items():
        shares = slot_alphas.softmax(0)
        parts[path] = [
            Part(name, widths[path][name], share)
            for name, share in zip(alphas.names(path), shares, strict=True)
        ]
    return mixture_latency(Mixture(parts, alphas.depth_shares()), table)


def latency_penalty(expected_ms: Float[Tensor, ""], *, target_ms: float) -> Float[Tensor, ""]:
    """Return the relative distance of the expected latency from its target, with gradients."""
    return (expected_ms / target_ms - 1).abs()


def _presence(depths: Mapping[str, Tensor], space: Space) -> dict[str, Tensor]:
    """Return the probability that a slot is present, for each slot that may be left out."""
    chances: dict[str, Tensor] = {}
    for first, shares in depths.items():
        reached = shares.flip(0).cumsum(0).flip(0)
        chances |= {
            path: reached[place + 1] for place, path in enumerate(space.optional_runs[first])
        }
    return chances


def _another(first: int, count: int, generator: Generator) -> int:
    """Return another index, drawn uniformly; the same one where there is no other."""
    if count == 1:
        return first
    step = int(torch.randint(1, count, (), generator=generator))
    return (first + step) % count
