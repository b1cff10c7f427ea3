"""Measure how far the exported graph differs from the trained network.

Both run on random images of the trained size, and of an odd size if the graph takes that. An export
that differs by more than :data:`TOLERANCE` is not written.
"""

from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.errors import PackageError
from tapetum.nn import TrainableNetwork
from tapetum.records import Record
from tapetum.runtime import GraphSession

__all__ = ["TOLERANCE", "Parity", "measure_parity"]

TOLERANCE = 1e-4
NUM_IMAGES = 4
NUM_BOXES = 2


class Parity(Record):
    """The difference between a graph and its network.

    Attributes:
        max_difference: The largest absolute difference of any value, by output.
        sizes_px: Heights and widths on which it was measured.
        num_images: Images of each size.
        runtime: The runtime of the graph.
        tolerance: The largest difference that is allowed.
    """

    max_difference: dict[str, float]
    sizes_px: tuple[tuple[int, int], ...]
    num_images: int
    runtime: str
    tolerance: float = TOLERANCE

    @property
    def worst(self) -> float:
        """The largest difference of all outputs."""
        return max(self.max_difference.values())

    def require(self, name: str) -> None:
        """Refuse a graph that does not do what the network does.

        Raises:
            PackageError: The difference is above the tolerance.
        """
        if not self.worst <= self.tolerance:  # so written, NaN fails too
            listed = ", ".join(f"{key} {value:.1e}" for key, value in self.max_difference.items())
            raise PackageError(
                f"the graph of {name} differs from the network by more than "
                f"{self.tolerance:g} ({listed})",
                "nothing was written; report this with the run's weights.safetensors",
            )


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
            worst[name] = max(worst[name], float(np.abs(value - wanted[name]).max()))
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
