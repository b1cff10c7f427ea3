"""From a trained network to a package that ships: written, run, compared, opened again."""

from tapetum.export.package import Exported, export_network
from tapetum.export.parity import Parity, measure_parity
from tapetum.export.peers import export_peer, peer_graph, require_graph_name

__all__ = [
    "Exported",
    "Parity",
    "export_network",
    "export_peer",
    "measure_parity",
    "peer_graph",
    "require_graph_name",
]
