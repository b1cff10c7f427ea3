"""What a network is: frozen data, JSON both ways, no torch."""

from tapetum.arch.cost import multiply_adds, parameters
from tapetum.arch.spec import Architecture
from tapetum.arch.zoo import find, names

__all__ = ["Architecture", "find", "multiply_adds", "names", "parameters"]
