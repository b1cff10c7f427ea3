"""The trainable form of an architecture: ``torch.nn.Module``."""

from tapetum.nn.blocks import InvertedResidual, SqueezeExcite, activate
from tapetum.nn.build import build, build_block
from tapetum.nn.network import Network, Outputs, TrainableNetwork
from tapetum.nn.norm import RowBatchNorm2d, first_channels

__all__ = [
    "InvertedResidual",
    "Network",
    "Outputs",
    "RowBatchNorm2d",
    "SqueezeExcite",
    "TrainableNetwork",
    "activate",
    "build",
    "build_block",
    "first_channels",
]
