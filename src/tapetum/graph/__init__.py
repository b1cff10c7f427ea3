"""Write an architecture and its weights as an ONNX graph, without torch."""

from tapetum.graph.weights import random_weights
from tapetum.graph.writer import write_graph

__all__ = ["random_weights", "write_graph"]
