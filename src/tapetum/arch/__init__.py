"""What a network is: frozen data, JSON both ways, no torch."""

from tapetum.arch.cost import multiply_adds, parameters
from tapetum.arch.peers import AnyArchitecture, Peer, find_peer, peer_names, read_architecture
from tapetum.arch.spec import Architecture
from tapetum.arch.zoo import find, names

__all__ = [
    "AnyArchitecture",
    "Architecture",
    "Peer",
    "find",
    "find_peer",
    "multiply_adds",
    "names",
    "parameters",
    "peer_names",
    "read_architecture",
]
