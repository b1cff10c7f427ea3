"""Write an architecture and its weights as an ONNX graph, without torch."""

from tapetum.graph.quantise import Quantiser
from tapetum.graph.unfold import unfold_weights
from tapetum.graph.weights import random_weights, repeated_weights
from tapetum.graph.writer import write_graph

__all__ = ["Quantiser", "random_weights", "repeated_weights", "unfold_weights", "write_graph"]
