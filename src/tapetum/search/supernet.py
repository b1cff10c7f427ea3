"""The supernet: a network whose slots hold all their candidates at once.

It is the network of the space's first choices, with a :class:`~tapetum.search.mixed.MixedBlock` in
the place of each slot, so that everything but the slots is the code of every other network.  Which
candidates take part in a pass, and how deep it goes, is a :class:`Mixture`, handed to each pass:
the supernet keeps weights and nothing of the search.

A mixture of one choice for each slot is a network of the space; :meth:`SuperNet.extract` gives it
weights of its own, and the two agree, output for output.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from tapetum.arch import Choices, Slot, Space
from tapetum.nn import Network, Outputs, blocks, build
from tapetum.search.mixed import MixedBlock, MixedSequence, Part

__all__ = ["Mixture", "SuperNet", "Widths", "mixture_of"]

Widths = Mapping[str, Mapping[str, int]]
"""The hidden width of each candidate of each slot."""


class Mixture(NamedTuple):
    """What takes part in a pass.

    Attributes:
        parts: For each slot; one is a choice, none leaves the slot out.
        depths: For the first slot of each run that may be left out, the share of each depth, from
            none to all; without them, what has parts is there.
    """

    parts: Mapping[str, Sequence[Part]]
    depths: Mapping[str, Tensor] = MappingProxyType({})


def mixture_of(choices: Choices) -> Mixture:
    """The pass that the network of these choices would make."""
    return Mixture(
        {
            path: () if choice is None else (Part(choice.candidate, choice.hidden_channels),)
            for path, choice in choices.items()
        }
    )


class SuperNet(nn.Module):
    """All networks of a space, on shared weights.

    Args:
        space: The space.
        seed: Equal seeds give equal weights.
        shares_weights: Whether the candidates of a slot share theirs, or have some each.

    Raises:
        InputError: A slot does not use batch normalisation.
    """

    def __init__(self, space: Space, *, seed: int, shares_weights: bool) -> None:
        super().__init__()
        self.space = space
        self.runs = _places_of_runs(space)
        firsts = {path: next(slot.choices()) for path, slot in space.slots.items()}
        self.network = build(space.architecture(firsts), seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for path, slot in space.slots.items():
                self._fill(path, slot, shares_weights=shares_weights)
        for where, runs in self.runs.items():
            parent, name = where.rsplit(".", 1)
            sequence = MixedSequence(_sequence(self.network, where), runs)
            setattr(self.network.get_submodule(parent), name, sequence)

    def forward(
        self,
        noisy: Float[Tensor, "b c h w"],
        boxes: Float[Tensor, "b k 4"] | None,
        *,
        mixture: Mixture,
        needs_image: bool = True,
    ) -> Outputs:
        """What a mixture says about noisy images.

        Args:
            noisy: As for :class:`~tapetum.nn.Network`.
            boxes: As there.
            mixture: What takes part.
            needs_image: Without it, an integrated network leaves its decoder out.
        """
        with self._taking(mixture):
            if needs_image or self.network.architecture.kind != "integrated":
                outputs: Outputs = self.network(noisy, boxes)
                return outputs
            return Outputs(None, self.network.label(noisy, boxes))

    def sort_channels(self, widths: Widths, optimizer: Optimizer) -> None:
        """Puts the hidden channels of each slot in the order of how much they matter."""
        for path, block in self._mixed():
            block.sort_channels(widths[path], optimizer)

    @torch.no_grad()
    def extract(self, choices: Choices) -> Network:
        """A network of the space, with a copy of its weights, on the CPU."""
        network = build(self.space.architecture(choices), seed=0)
        sequences = {_split(path)[0] for path in choices}
        loose = {
            name: value
            for name, value in self.network.state_dict().items()
            if not any(name.startswith(f"{where}.") for where in sequences)
        }
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
        """Hands parts and depths to where they are used, for one pass."""
        depths: dict[str, dict[int, Tensor]] = {}
        for first, shares in mixture.depths.items():
            where, index = _split(first)
            depths.setdefault(where, {})[index] = shares
        for path, block in self._mixed():
            block.parts = mixture.parts[path]
        for where in self.runs:
            self._run(where).depths = depths.get(where, {})
        try:
            yield
        finally:
            for _, block in self._mixed():
                block.parts = ()

    def _run(self, where: str) -> MixedSequence:
        sequence = self.network.get_submodule(where)
        assert isinstance(sequence, MixedSequence)  # noqa: S101  (we put it there)
        return sequence

    def _fill(self, path: str, slot: Slot, *, shares_weights: bool) -> None:
        where, index = _split(path)
        _sequence(self.network, where)[index] = MixedBlock(slot, shares_weights=shares_weights)

    def _mixed(self) -> Iterator[tuple[str, MixedBlock]]:
        for path in self.space.slots:
            block = self.network.get_submodule(path)
            assert isinstance(block, MixedBlock)  # noqa: S101  (we put it there)
            yield path, block


def _sequence(network: Network, where: str) -> nn.Sequential:
    sequence = network.get_submodule(where)
    assert isinstance(sequence, nn.Sequential)  # noqa: S101  (blocks stand in sequences)
    return sequence


def _split(path: str) -> tuple[str, int]:
    where, index = path.rsplit(".", 1)
    return where, int(index)


def _places_of_runs(space: Space) -> dict[str, dict[int, int]]:
    """For each sequence, where the runs that may be left out begin and how long they are."""
    places: dict[str, dict[int, int]] = {}
    for first, paths in space.optional_runs.items():
        where, index = _split(first)
        places.setdefault(where, {})[index] = len(paths)
    return places
