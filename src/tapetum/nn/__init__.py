"""Networks as ``torch.nn.Module``: the blocks, and the network of an architecture."""

from tapetum.nn import blocks
from tapetum.nn.build import build
from tapetum.nn.network import Network, Outputs, TrainableNetwork
from tapetum.nn.norm import RowBatchNorm2d, first_channels

__all__ = [
    "Network",
    "Outputs",
    "RowBatchNorm2d",
    "TrainableNetwork",
    "blocks",
    "build",
    "first_channels",
]
