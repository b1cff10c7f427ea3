"""Measure how far the exported graph differs from the trained network.

Both run on random images of the trained size, and of an odd size if the graph takes that. An export
that differs by more than its tolerance is not written.
"""

from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.formats.exported import TOLERANCE, Parity
from tapetum.nn import TrainableNetwork
from tapetum.runtime import GraphSession

__all__ = ["measure_parity"]

NUM_IMAGES = 4
NUM_BOXES = 2


def measure_parity(
    network: TrainableNetwork,
    graph_bytes: bytes,
    *,
    size_px: int,
    any_size: bool = True,
    in_proportion: bool = False,
    temperature: float = 1.0,
) -> Parity:
    """Run network and graph on the same random images.

    Args:
        network: The network, in evaluation mode, on the CPU.
        graph_bytes: The serialised graph of the network.
        size_px: Height and width of the training images.
        any_size: Whether the graph takes images of other sizes.
        in_proportion: Whether differences are divided by values beyond 1: float32 has seven digits,
            and the logits of a deep network are in the tens.
        temperature: What the graph divides the logits of the network by.
    """
    session = GraphSession(graph_bytes)
    sizes_px = ((size_px, size_px), (size_px + 5, size_px + 11))[: 1 + any_size]
    generator = np.random.default_rng(0)
    worst, largest = dict.fromkeys(session.output_names, 0.0), 1.0
    for height, width in sizes_px:
        feeds = _random_feeds(network, height, width, generator)
        given = session.run(session.output_names, feeds)
        wanted = _run_network(network, feeds, temperature)
        for name, value in zip(session.output_names, given, strict=True):
            difference = np.abs(value - wanted[name]).max()
            worst[name] = float(np.maximum(worst[name], difference))  # keeps NaN
            largest = max(largest, float(np.abs(wanted[name]).max()))
    return Parity(
        max_difference=worst,
        sizes_px=sizes_px,
        num_images=NUM_IMAGES,
        runtime=f"onnxruntime {version('onnxruntime')}",
        tolerance=TOLERANCE * largest if in_proportion else TOLERANCE,
    )


def _random_feeds(
    network: TrainableNetwork, height: int, width: int, generator: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Return noisy images, (4, c, h, w), and boxes in them, (4, 2, 4)."""
    architecture = network.architecture
    shape = (NUM_IMAGES, architecture.image_channels, height, width)
    feeds = {"noisy": generator.normal(0.5, 0.5, shape).astype(np.float32)}
    if architecture.classifies_boxes:
        corner = generator.uniform(0, 0.5, (NUM_IMAGES, NUM_BOXES, 2)) * (width, height)
        size = generator.uniform(0.2, 0.5, (NUM_IMAGES, NUM_BOXES, 2)) * (width, height)
        feeds["boxes"] = np.concatenate([corner, corner + size], axis=2).astype(np.float32)
    return feeds


def _run_network(
    network: TrainableNetwork, feeds: dict[str, NDArray[np.float32]], temperature: float
) -> dict[str, NDArray[np.float32]]:
    with torch.inference_mode():
        image, logits = network(*(torch.from_numpy(value) for value in feeds.values()))
    outputs = {"denoised": image, "logits": None if logits is None else logits / temperature}
    return {name: value.numpy() for name, value in outputs.items() if value is not None}
