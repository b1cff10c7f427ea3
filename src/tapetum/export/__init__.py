"""From a trained network to a package that ships: written, run, compared, opened again."""

from tapetum.export.package import Exported, export_network
from tapetum.export.parity import Parity, measure_parity

__all__ = ["Exported", "Parity", "export_network", "measure_parity"]
