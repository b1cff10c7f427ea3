"""Architectures and search spaces as frozen data: JSON both ways, no torch.

:mod:`~tapetum.arch.spec` holds the parts of an architecture, :mod:`~tapetum.arch.cost` counts
operations and parameters, :mod:`~tapetum.arch.families` and :mod:`~tapetum.arch.zoo` make named
architectures, :mod:`~tapetum.arch.shape` makes fast ones from a few numbers,
:mod:`~tapetum.arch.spaces` makes the search spaces of the paper.
"""

from tapetum.arch import cost, families, ladder, spaces, spec, zoo
from tapetum.arch.distance import distance
from tapetum.arch.facts import Described, NetworkFacts
from tapetum.arch.nearby import nearby
from tapetum.arch.recognise import shape_of
from tapetum.arch.relatives import relatives
from tapetum.arch.shape import Branch, Shape
from tapetum.arch.shapes import ShapeSpace
from tapetum.arch.space import Candidate, Choice, Choices, Slot, Space
from tapetum.arch.spec import Architecture
from tapetum.arch.zoo import architecture_names, find_architecture, open_architecture

__all__ = [
    "Architecture",
    "Branch",
    "Candidate",
    "Choice",
    "Choices",
    "Described",
    "NetworkFacts",
    "Shape",
    "ShapeSpace",
    "Slot",
    "Space",
    "architecture_names",
    "cost",
    "distance",
    "families",
    "find_architecture",
    "ladder",
    "nearby",
    "open_architecture",
    "relatives",
    "shape_of",
    "spaces",
    "spec",
    "zoo",
]
