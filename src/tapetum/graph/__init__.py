"""The deployable form of an architecture: an ONNX graph, written without torch."""

from tapetum.graph.weights import random_weights, weight_shapes
from tapetum.graph.writer import output_names, write_graph

__all__ = ["output_names", "random_weights", "weight_shapes", "write_graph"]
