"""What a network is: frozen data, JSON both ways, no torch."""

from tapetum.arch import spec
from tapetum.arch.cost import (
    block_costs,
    bytes_per_pixel,
    multiply_adds,
    parameters,
    placed_blocks,
    reach_px,
)
from tapetum.arch.facts import Described, NetworkFacts
from tapetum.arch.space import Candidate, Choice, Choices, Slot, Space, optional_runs
from tapetum.arch.spaces import Frame, open_space
from tapetum.arch.spec import Architecture
from tapetum.arch.zoo import architecture_names, find_architecture

__all__ = [
    "Architecture",
    "Candidate",
    "Choice",
    "Choices",
    "Described",
    "Frame",
    "NetworkFacts",
    "Slot",
    "Space",
    "architecture_names",
    "block_costs",
    "bytes_per_pixel",
    "find_architecture",
    "multiply_adds",
    "open_space",
    "optional_runs",
    "parameters",
    "placed_blocks",
    "reach_px",
    "spec",
]
