"""Architectures and search spaces as frozen data: JSON both ways, no torch.

:mod:`~tapetum.arch.spec` holds the parts of an architecture, :mod:`~tapetum.arch.cost` counts
operations and parameters, :mod:`~tapetum.arch.families` and :mod:`~tapetum.arch.zoo` make named
architectures, and :mod:`~tapetum.arch.spaces` makes search spaces.
"""

from tapetum.arch import cost, families, spaces, spec, zoo
from tapetum.arch.facts import Described, NetworkFacts
from tapetum.arch.space import Candidate, Choice, Choices, Slot, Space
from tapetum.arch.spec import Architecture
from tapetum.arch.zoo import architecture_names, find_architecture

__all__ = [
    "Architecture",
    "Candidate",
    "Choice",
    "Choices",
    "Described",
    "NetworkFacts",
    "Slot",
    "Space",
    "architecture_names",
    "cost",
    "families",
    "find_architecture",
    "spaces",
    "spec",
    "zoo",
]
