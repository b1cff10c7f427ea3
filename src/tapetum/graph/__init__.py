"""Write an architecture and its weights as an ONNX graph, without torch."""

from tapetum.graph.int8_layers import Int8Layer, int8_layers, with_weights
from tapetum.graph.quantise import Quantiser
from tapetum.graph.unfold import unfold_weights
from tapetum.graph.weights import random_weights, repeated_weights
from tapetum.graph.writer import write_graph

__all__ = [
    "Int8Layer",
    "Quantiser",
    "int8_layers",
    "random_weights",
    "repeated_weights",
    "unfold_weights",
    "with_weights",
    "write_graph",
]
