"""The trainable form of an architecture: ``torch.nn.Module``."""

from tapetum.nn.build import build, build_block
from tapetum.nn.network import Network, Outputs

__all__ = ["Network", "Outputs", "build", "build_block"]
