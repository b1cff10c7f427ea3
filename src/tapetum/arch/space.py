r"""A search space: an architecture with slots, each of which takes one of several blocks.

Wherever an architecture has a block, a space may have a :class:`Slot`. A slot fixes channels,
stride and activation, so that every choice fits its neighbours. The search chooses the operator (a
:class:`Candidate`) and the hidden width :math:`h`, which lies on a grid of steps :math:`s` around
the candidate's expansion :math:`e` of the :math:`c` input channels,

.. math::
    h \in s \mathbb{Z}, \qquad \tfrac{2}{3} e c \le h \le \tfrac{4}{3} e c .

The step is that of a runtime's vectors: a width in between costs as much as the next one on the
grid. The path of a slot is where its weights would be.

References:
    | Pushing Joint Image Denoising and Classification to the Edge (Markhorst et al., 2024)
    | https://arxiv.org/abs/2409.08943, appendix B

    | TF-NAS: Rethinking Three Search Freedoms of Latency-Constrained Differentiable Neural
      Architecture Search (Hu, Wu, He, 2020), https://arxiv.org/abs/2008.05314
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, PositiveInt, ValidationError, model_validator

from tapetum.arch.cost import placed_blocks
from tapetum.arch.spec import (
    Activation,
    Architecture,
    Block,
    Channels,
    Conv,
    DecoderLevel,
    InvertedResidual,
    KernelPx,
    Level,
    MaxPool,
    Norm,
    Region,
    StridePx,
    Up,
)
from tapetum.errors import ArchitectureError, nearest
from tapetum.records import Record, describe_faults

__all__ = [
    "Candidate",
    "Choice",
    "Choices",
    "Piece",
    "Slot",
    "Space",
    "SpaceClassifier",
    "SpaceDecoder",
    "SpaceDecoderLevel",
]

NARROWEST, WIDEST = 2 / 3, 4 / 3  # hidden widths, relative to that of the candidate


class Candidate(Record):
    """An operator for a slot: an MBConv of some kernel and expansion.

    Args:
        kernel_px: Side of the depth-wise kernel.
        expansion: Ratio of hidden to input channels, before widths are tuned.
        squeezes: Whether it has a squeeze-and-excitation, of as many channels as the input.
    """

    kernel_px: KernelPx
    expansion: Annotated[float, Field(gt=0, le=64)]
    squeezes: bool = False

    @property
    def name(self) -> str:
        """The name in the paper's table 9, such as ``k3-e6-se``, derived from the fields."""
        return f"k{self.kernel_px}-e{self.expansion:g}" + ("-se" if self.squeezes else "")


class Choice(Record):
    """The operator of a slot by its name, and its hidden channels on the slot's grid."""

    candidate: str
    hidden_channels: PositiveInt


Choices = Mapping[str, Choice | None]
"""A choice for every slot, by its path; ``None`` leaves the slot out."""


class Slot(Record):
    """A place for one of several blocks.

    Channels, stride, normalisation and activation are those of every candidate. Hidden widths are
    multiples of ``width_step``. A slot that may be left out may stay empty.
    """

    kind: Literal["slot"] = "slot"
    in_channels: Channels
    out_channels: Channels
    stride_px: StridePx = 1
    norm: Norm = "batch"
    activation: Activation = "relu"
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1)]
    width_step: Channels = 8
    may_be_left_out: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [candidate.name for candidate in self.candidates]
        if len(set(names)) < len(names):
            raise ValueError(f"two candidates are the same: {', '.join(names)}")
        if self.may_be_left_out and (self.stride_px > 1 or self.in_channels != self.out_channels):
            raise ValueError("only a slot that keeps size and channels may be left out")
        return self

    def candidate(self, name: str) -> Candidate:
        """Return the candidate of a name."""
        known = {candidate.name: candidate for candidate in self.candidates}
        if name not in known:
            raise ArchitectureError(f"this slot has no candidate {name!r}", nearest(name, known))
        return known[name]

    def widths(self, candidate: Candidate) -> range:
        """Return the hidden widths of a candidate, at least one."""
        nominal, step = candidate.expansion * self.in_channels, self.width_step
        # Rounded, so that a third of a width on the grid stays on the grid.
        narrowest = max(1, math.ceil(round(NARROWEST * nominal / step, 6)))
        widest = max(narrowest, math.floor(round(WIDEST * nominal / step, 6)))
        return range(narrowest * step, widest * step + 1, step)

    def choices(self) -> Iterator[Choice]:
        """Iterate over all choices."""
        for candidate in self.candidates:
            for width in self.widths(candidate):
                yield Choice(candidate=candidate.name, hidden_channels=width)

    def block(self, choice: Choice) -> InvertedResidual:
        """Return the block of a choice.

        Raises:
            ArchitectureError: The slot has no such candidate or width.
        """
        candidate = self.candidate(choice.candidate)
        widths = self.widths(candidate)
        if choice.hidden_channels not in widths:
            raise ArchitectureError(
                f"{candidate.name} cannot have {choice.hidden_channels} hidden channels",
                f"choose a multiple of {widths.step} from {widths[0]} to {widths[-1]}",
            )
        return self.block_of(candidate, choice.hidden_channels)

    def block_of(self, candidate: Candidate, hidden_channels: int) -> InvertedResidual:
        """Return the block of an operator and a width, on the grid or not."""
        return InvertedResidual(
            in_channels=self.in_channels,
            hidden_channels=hidden_channels,
            out_channels=self.out_channels,
            squeeze_channels=self.in_channels if candidate.squeezes else None,
            kernel_px=candidate.kernel_px,
            stride_px=self.stride_px,
            norm=self.norm,
            activation=self.activation,
        )


Piece = Annotated[Conv | InvertedResidual | MaxPool | Slot, Field(discriminator="kind")]
Pieces = tuple[Piece, ...]


class SpaceLevel(Record):
    """A :class:`~tapetum.arch.spec.Level` with slots."""

    blocks: Annotated[Pieces, Field(min_length=1)]


class SpaceDecoderLevel(Record):
    """A :class:`~tapetum.arch.spec.DecoderLevel` with slots."""

    up: Up
    skip_level: Annotated[int, Field(ge=0)] | None = None
    blocks: Pieces = ()


class SpaceDecoder(Record):
    """A :class:`~tapetum.arch.spec.Decoder` with slots."""

    blocks: Pieces = ()
    levels: tuple[SpaceDecoderLevel, ...]
    output: Conv


class SpaceClassifier(Record):
    """A :class:`~tapetum.arch.spec.Classifier` with slots."""

    source: Literal["noisy", "encoder", "denoised"]
    region: Region
    blocks: Pieces = ()
    pooling: Literal["max", "mean", "flatten"]
    features: PositiveInt
    num_classes: Annotated[int, Field(ge=2, le=10**6)]


class Space(Record):
    """A set of architectures to search; see the text of the module.

    Example:
        >>> from tapetum.arch import spaces
        >>> space = spaces.find_space("dc-nas")
        >>> import numpy as np
        >>> choices = space.random(np.random.default_rng(0))
        >>> list(choices) == list(space.slots)
        True

    Args:
        name: Name for people.
        image_channels: 1 for grey, 3 for RGB.
        encoder: Levels from the finest to the deepest.
        decoder: The decoder; None for classifiers.
        classifier: The classifier; None for denoisers.
    """

    format: Literal["tapetum-space"] = "tapetum-space"
    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    image_channels: Channels
    encoder: tuple[SpaceLevel, ...] = ()
    decoder: SpaceDecoder | None = None
    classifier: SpaceClassifier | None = None

    @cached_property
    def slots(self) -> Mapping[str, Slot]:
        """Every slot by its path, in the order of the forward pass."""
        return {
            f"{path}.{index}": piece
            for path, pieces in _parts(self)
            for index, piece in enumerate(pieces)
            if isinstance(piece, Slot)
        }

    @property
    def optional_runs(self) -> dict[str, list[str]]:
        """Runs of neighbouring optional slots: all paths of a run by the path of its first slot."""
        runs: dict[str, list[str]] = {}
        expected = first = ""
        for path, slot in self.slots.items():
            if slot.may_be_left_out:
                first = first if path == expected else path
                runs.setdefault(first, []).append(path)
            where, index = path.rsplit(".", 1)
            expected = f"{where}.{int(index) + 1}" if slot.may_be_left_out else ""
        return runs

    def sizes(self, height: int, width: int) -> Mapping[str, tuple[int, int]]:
        """Return the size of the input of each slot, for an image of a height and a width."""
        placed = placed_blocks(self._first_network(), height, width)
        return {path: size for path, _, size in placed if path in self.slots}

    def architecture(self, choices: Choices, *, name: str = "") -> Architecture:
        """Return the architecture of a choice for each slot.

        Args:
            choices: Choices by the paths of the slots.
            name: Name of the architecture; by default that of the space.

        Raises:
            ArchitectureError: Choices are missing or do not fit; all faults at once.
        """
        blocks = self._blocks(choices)
        data = self.model_dump(mode="json", exclude={"format", "schema_version"})
        for path in reversed(blocks):  # from the back, so that omitted slots do not shift indices
            *parents, last = _steps(path)
            pieces: Any = data
            for step in parents:
                pieces = pieces[step]
            block = blocks[path]
            pieces[last : last + 1] = [] if block is None else [block.model_dump(mode="json")]
        return Architecture.model_validate(data | {"name": name or self.name})

    def choices(self, architecture: Architecture) -> dict[str, Choice | None]:
        """Return the choice of each slot for an architecture of this space.

        Raises:
            ArchitectureError: The architecture is not in the space.
        """
        parts = dict(_parts(architecture))
        chosen: list[Choice | None] = []
        for where, pieces in _parts(self):
            chosen += _match(pieces, parts.get(where, ())) or []
        # Parts without slots (skips, heads, classes) must be equal too.
        choices = dict(zip(self.slots, chosen, strict=False))
        if len(chosen) != len(self.slots) or architecture != self.architecture(
            choices, name=architecture.name
        ):
            raise ArchitectureError(
                f"{architecture.name} is not a network of the space {self.name}",
                "give a network of this space, for the same images and classes",
            )
        return choices

    def random(self, generator: np.random.Generator) -> dict[str, Choice | None]:
        """Draw a choice for each slot: the candidate first, then its width, both uniformly."""
        return {path: _draw(slot, generator) for path, slot in self.slots.items()}

    def random_of_any_size(self, generator: np.random.Generator) -> dict[str, Choice | None]:
        """Draw a choice for each slot, with small, middling and large networks equally likely.

        The relative size of the network is drawn first, uniformly. Each slot then draws from the
        half of its choices, in the order of their widths, around that size.
        """
        size = generator.uniform()
        return {path: _draw_near(size, slot, generator) for path, slot in self.slots.items()}

    def _blocks(self, choices: Choices) -> dict[str, InvertedResidual | None]:
        faults = [f"{path} has no choice" for path in self.slots if path not in choices]
        faults += [f"there is no slot {path}" for path in choices if path not in self.slots]
        blocks: dict[str, InvertedResidual | None] = {}
        for path, slot in self.slots.items():
            choice = choices.get(path)
            if choice is None and path in choices and not slot.may_be_left_out:
                faults.append(f"{path} cannot be left out")
            try:
                blocks[path] = None if choice is None else slot.block(choice)
            except ArchitectureError as error:
                faults.append(f"{path}: {error.problem}, {error.remedy}")
        if faults:
            raise ArchitectureError(
                f"these choices do not fit the space {self.name}: {'; '.join(faults)}",
                "give each slot one of its candidates",
            )
        return blocks

    @model_validator(mode="after")
    def _makes_networks(self) -> Self:
        """Validate one network: slots fix channels and strides, so all others are like it."""
        try:
            self._first_network()
        except ValidationError as error:
            raise ValueError(describe_faults(error)) from error
        return self

    def _first_network(self) -> Architecture:
        return self.architecture({path: next(s.choices()) for path, s in self.slots.items()})


def _parts(whole: Space | Architecture) -> Iterator[tuple[str, Sequence[Any]]]:
    """Iterate over every run of blocks with its path."""
    encoder: Sequence[SpaceLevel | Level] = whole.encoder
    for index, level in enumerate(encoder):
        yield f"encoder.levels.{index}", level.blocks
    if whole.decoder is not None:
        yield "decoder.blocks", whole.decoder.blocks
        steps: Sequence[SpaceDecoderLevel | DecoderLevel] = whole.decoder.levels
        for index, step in enumerate(steps):
            yield f"decoder.levels.{index}.blocks", step.blocks
    if whole.classifier is not None:
        yield "classifier.blocks", whole.classifier.blocks


def _match(pieces: Sequence[Piece], blocks: Sequence[Block]) -> list[Choice | None] | None:
    """Return the choice of each slot; of equal optional slots, the first are taken.

    The result is ``None`` if the blocks are not of these pieces.
    """
    if not pieces:
        return None if blocks else []
    piece, rest = pieces[0], pieces[1:]
    here: list[Choice | None] = []
    fits = bool(blocks) and piece == blocks[0]
    if blocks and isinstance(piece, Slot):
        here += [choice for choice in piece.choices() if piece.block(choice) == blocks[0]][:1]
        fits = bool(here)
    after = _match(rest, blocks[1:]) if fits else None
    if after is not None:
        return here + after
    after = _match(rest, blocks) if isinstance(piece, Slot) and piece.may_be_left_out else None
    return None if after is None else [None, *after]


def _steps(path: str) -> list[Any]:
    """Return the keys of a path: those of ``encoder.levels.0.1`` are encoder, 0, blocks, 1."""
    steps: list[Any] = [int(step) if step.isdigit() else step for step in path.split(".")]
    return ["encoder", steps[2], "blocks", steps[3]] if steps[0] == "encoder" else steps


def _draw(slot: Slot, generator: np.random.Generator) -> Choice | None:
    index = int(generator.integers(len(slot.candidates) + slot.may_be_left_out))
    if index == len(slot.candidates):
        return None
    candidate = slot.candidates[index]
    width = int(generator.choice(slot.widths(candidate)))
    return Choice(candidate=candidate.name, hidden_channels=width)


def _draw_near(size: float, slot: Slot, generator: np.random.Generator) -> Choice | None:
    """Draw from the half of a slot's choices around a relative size: 0 the narrowest, 1 the widest.

    A slot is left out as often as it takes one of its candidates.
    """
    if slot.may_be_left_out and generator.integers(len(slot.candidates) + 1) == 0:
        return None
    # Draw numbers and make one choice of them: this runs often in a campaign.
    ordered = sorted(
        (width, index)
        for index, candidate in enumerate(slot.candidates)
        for width in slot.widths(candidate)
    )
    place = generator.uniform(max(0.0, size - 0.25), min(1.0, size + 0.25))
    width, index = ordered[min(len(ordered) - 1, int(place * len(ordered)))]
    return Choice(candidate=slot.candidates[index].name, hidden_channels=width)
