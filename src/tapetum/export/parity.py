"""How far the deployable form of a network is from the trained one, measured in the runtime.

Random images of the trained size go through both, and of an odd one where the graph takes that;
nothing is assumed of either.  An export that differs by more than :data:`TOLERANCE` is not written.
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
    """How far the graph is from the network.

    Attributes:
        max_difference: The largest absolute difference of any value, by output.
        sizes_px: Heights and widths on which it was measured.
        num_images: Of each size.
        runtime: That ran the graph.
        tolerance: What is allowed.
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
        """Refuses a graph that does not do what the network does.

        Raises:
            PackageError: It names the differences.
        """
        if not self.worst <= self.tolerance:  # written so that not-a-number fails, too
            found = ", ".join(f"{key} {value:.1e}" for key, value in self.max_difference.items())
            raise PackageError(
                f"the graph of {name} differs from the network by more than "
                f"{self.tolerance:g} ({found})",
                "nothing was written; report this with the run's weights.safetensors",
            )


def measure_parity(
    network: TrainableNetwork,
    graph_bytes: bytes,
    *,
    size_px: int,
    any_size: bool = True,
    in_proportion: bool = False,
    seed: int = 0,
) -> Parity:
    """Runs network and graph on the same random images.

    Args:
        network: In evaluation mode, on the CPU.
        graph_bytes: Its serialised graph.
        size_px: Side of the images that it was trained on.
        any_size: Whether the graph takes images of other sizes too.
        in_proportion: Whether networks that return values beyond 1 (the logits of a deep one are in
            the tens) may differ by as much more: float32 has seven digits.
        seed: Of the images and boxes.
    """
    session = GraphSession(graph_bytes)
    sizes_px: tuple[tuple[int, int], ...] = ((size_px, size_px),)
    if any_size:
        sizes_px += ((size_px + 5, size_px + 11),)
    generator = np.random.default_rng(seed)
    worst = dict.fromkeys(session.output_names, 0.0)
    largest = 1.0
    for height, width in sizes_px:
        feeds = _random_feeds(network, height, width, generator)
        given = session.run(session.output_names, feeds)
        wanted = _run_network(network, feeds)
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
    """Noisy images, (4, c, h, w), and boxes in them, (4, 2, 4)."""
    architecture = network.architecture
    shape = (NUM_IMAGES, architecture.image_channels, height, width)
    feeds = {"noisy": generator.normal(0.5, 0.5, shape).astype(np.float32)}
    if architecture.classifies_boxes:
        corner = generator.uniform(0, 0.5, (NUM_IMAGES, NUM_BOXES, 2)) * (width, height)
        size = generator.uniform(0.2, 0.5, (NUM_IMAGES, NUM_BOXES, 2)) * (width, height)
        feeds["boxes"] = np.concatenate([corner, corner + size], axis=2).astype(np.float32)
    return feeds


def _run_network(
    network: TrainableNetwork, feeds: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    with torch.inference_mode():
        image, logits = network(*(torch.from_numpy(value) for value in feeds.values()))
    outputs = {"denoised": image, "logits": logits}
    return {name: value.numpy() for name, value in outputs.items() if value is not None}
