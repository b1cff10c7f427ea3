"""Networks as ``torch.nn.Module``: the blocks, and the network of an architecture."""

from tapetum.nn import blocks
from tapetum.nn.build import build
from tapetum.nn.lite0 import Lite0, open_lite0
from tapetum.nn.network import Network, Outputs, TrainableNetwork
from tapetum.nn.norm import RowBatchNorm2d, first_channels, reestimate_statistics
from tapetum.nn.ridge import can_start, start_from_lite0

__all__ = [
    "Lite0",
    "Network",
    "Outputs",
    "RowBatchNorm2d",
    "TrainableNetwork",
    "blocks",
    "build",
    "can_start",
    "first_channels",
    "open_lite0",
    "reestimate_statistics",
    "start_from_lite0",
]
