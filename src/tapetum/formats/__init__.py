"""Export a trained network as a package: write, run, compare and open it again."""

from tapetum.formats.package import Exported, export_network, pack
from tapetum.formats.parity import Parity, measure_parity

__all__ = ["Exported", "Parity", "export_network", "measure_parity", "pack"]
