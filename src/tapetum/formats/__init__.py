"""Export a trained network as a package or a plain graph: write, run, compare, open again."""

from tapetum.formats.package import Exported, export_network, pack
from tapetum.formats.parity import Parity, measure_parity

__all__ = ["Exported", "Parity", "export_network", "measure_parity", "pack"]
