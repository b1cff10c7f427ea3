"""The trainable form of an architecture: ``torch.nn.Module``."""

from tapetum.nn.build import AnyNetwork, build, build_block
from tapetum.nn.network import Network, Outputs
from tapetum.nn.peers import PeerNetwork, build_peer

__all__ = [
    "AnyNetwork",
    "Network",
    "Outputs",
    "PeerNetwork",
    "build",
    "build_block",
    "build_peer",
]
