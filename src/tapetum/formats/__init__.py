"""Export a trained network as a package or a plain graph: write, run, compare, open again."""

from tapetum.formats.package import Exported, export_network, pack
from tapetum.formats.parity import Parity, measure_parity
from tapetum.formats.precision import PrecisionChoice, choose_precision
from tapetum.formats.quantise import FEWEST_IMAGES, quantise

__all__ = [
    "FEWEST_IMAGES",
    "Exported",
    "Parity",
    "PrecisionChoice",
    "choose_precision",
    "export_network",
    "measure_parity",
    "pack",
    "quantise",
]
