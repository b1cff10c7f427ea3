"""The supernet: a network whose slots contain all their candidates at once.

It is the network of the space's first choices with a :class:`~tapetum.search.mixed.MixedBlock` in
place of each slot.  A :class:`Mixture`, given to each pass, says which candidates take part and how
deep the pass goes; the supernet itself has no state of the search.

A mixture of one choice for each slot is a network of the space.  :meth:`SuperNet.extract` copies
its weights into a separate network, which has the same outputs.

Batch normalisations have a scale of 1 and a shift of 0, as published, so that the alphas decide on
a candidate and not the scale of its output.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from tapetum.arch import Choices, Space
from tapetum.nn import Network, Outputs, blocks, build
from tapetum.search.mixed import MixedBlock, MixedSequence, Part

__all__ = ["Mixture", "SuperNet", "Widths"]

Widths = Mapping[str, Mapping[str, int]]
"""Hidden width of each candidate of each slot."""


class Mixture(NamedTuple):
    """The candidates and depths of a pass.

    Attributes:
        parts: Parts of each slot; one part is a choice, no part leaves the slot out.
        depths: Share of each depth from none to all, by the first slot of each run that may be left
            out; without them, every slot that has parts is used.
    """

    parts: Mapping[str, Sequence[Part]]
    depths: Mapping[str, Tensor] = MappingProxyType({})


class SuperNet(nn.Module):
    """All networks of a space, on shared weights.

    Args:
        space: The space.
        seed: Equal seeds give equal weights.
        shares_weights: Whether the candidates of a slot share weights, or have separate ones.

    Raises:
        InputError: A slot does not use batch normalisation.
    """

    def __init__(self, space: Space, *, seed: int, shares_weights: bool) -> None:
        super().__init__()
        self.space = space
        firsts = {path: next(slot.choices()) for path, slot in space.slots.items()}
        self.network = build(space.architecture(firsts), seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._slots = {
                path: MixedBlock(slot, shares_weights=shares_weights)
                for path, slot in space.slots.items()
            }
        for path, block in self._slots.items():
            self.network.set_submodule(path, block)
        self._sequences = {
            where: MixedSequence(_sequence(self.network, where), runs)
            for where, runs in _places_of_runs(space).items()
        }
        for where, sequence in self._sequences.items():
            self.network.set_submodule(where, sequence)
        _fix_scales(self.network)

    def forward(
        self,
        noisy: Float[Tensor, "b c h w"],
        boxes: Float[Tensor, "b k 4"] | None,
        *,
        mixture: Mixture,
        needs_image: bool = True,
    ) -> Outputs:
        """Return the outputs of a mixture, for the inputs of a :class:`~tapetum.nn.Network`.

        An integrated network runs its decoder only if ``needs_image``.
        """
        with self._taking(mixture):
            if needs_image or self.network.architecture.kind != "integrated":
                outputs: Outputs = self.network(noisy, boxes)
                return outputs
            return Outputs(None, self.network.label(noisy, boxes))

    def sort_channels(self, widths: Widths, optimizer: Optimizer) -> None:
        """Sort the hidden channels of each slot by importance."""
        for path, block in self._slots.items():
            block.sort_channels(widths[path], optimizer)

    @torch.no_grad()
    def extract(self, choices: Choices) -> Network:
        """Return a network of the space with a copy of its weights, on the CPU."""
        network = build(self.space.architecture(choices), seed=0)
        sequences = {_split(path)[0] for path in choices}
        inside = tuple(f"{where}." for where in sequences)
        state = self.network.state_dict()
        loose = {name: value for name, value in state.items() if not name.startswith(inside)}
        network.load_state_dict(loose, strict=False)
        for where in sequences:
            kept = [
                (f"{where}.{index}", module)
                for index, module in enumerate(_sequence(self.network, where))
                if choices.get(f"{where}.{index}", ...) is not None
            ]
            for (path, module), own in zip(kept, _sequence(network, where), strict=True):
                choice = choices.get(path)
                if isinstance(module, MixedBlock) and isinstance(own, blocks.InvertedResidual):
                    assert choice is not None  # noqa: S101  (what is left out is not kept)
                    module.copy_to(own, Part(choice.candidate, choice.hidden_channels))
                else:
                    own.load_state_dict(module.state_dict())
        return network

    @contextmanager
    def _taking(self, mixture: Mixture) -> Iterator[None]:
        """Set parts and depths where they are used, for one pass."""
        for path, block in self._slots.items():
            block.parts = mixture.parts[path]
        for sequence in self._sequences.values():
            sequence.depths = {}
        for first, shares in mixture.depths.items():
            where, index = _split(first)
            self._sequences[where].depths[index] = shares
        try:
            yield
        finally:
            for block in self._slots.values():
                block.parts = ()


def _fix_scales(network: Network) -> None:
    """Turn scale and shift of each batch normalisation into constants; their names stay."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name in ("weight", "bias"):
                value = getattr(module, name).detach()
                delattr(module, name)
                module.register_buffer(name, value)


def _sequence(network: Network, where: str) -> nn.Sequential:
    sequence = network.get_submodule(where)
    assert isinstance(sequence, nn.Sequential)  # noqa: S101  (blocks stand in sequences)
    return sequence


def _split(path: str) -> tuple[str, int]:
    where, index = path.rsplit(".", 1)
    return where, int(index)


def _places_of_runs(space: Space) -> dict[str, dict[int, int]]:
    """Return the length of each run that may be left out, by sequence and first index."""
    places: dict[str, dict[int, int]] = {}
    for first, paths in space.optional_runs.items():
        where, index = _split(first)
        places.setdefault(where, {})[index] = len(paths)
    return places
