"""Export a trained network as a package, checked on the way.

The bytes of the graph run in ONNX Runtime against the trained network. The package is written under
a temporary name, opened as by a user, and compared once more. Only then does it get its name.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tapetum.formats.card import write_card
from tapetum.formats.exported import Exported, Parity
from tapetum.formats.parity import measure_parity
from tapetum.formats.precision import PrecisionChoice
from tapetum.formats.repacking import noted
from tapetum.graph import write_graph
from tapetum.nn import Network
from tapetum.records import hold_name
from tapetum.runtime import Manifest, Package, Predictor, write_package

__all__ = ["export_network", "pack"]


def export_network(
    network: Network,
    out: Path,
    manifest: Manifest,
    *,
    latency: str = "",
    lower: Callable[[Package], tuple[Package, PrecisionChoice | None]] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the package of a trained network.

    Args:
        network: The network, in evaluation mode, on the CPU.
        out: The file.
        manifest: The description of the network; its parity is measured here.
        latency: A sentence on the latency of the network, for the card.
        lower: Decides whether the package is in int8, such as :func:`choose_precision`; by default
            it is in fp32.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        PackageError: ``out`` exists, or the graph does not do what the network does.
    """
    size_px = manifest.size_px
    with hold_name(out):
        graph_bytes = _graph_of(network, manifest)
        parity = measure_parity(
            network, graph_bytes, size_px=size_px, temperature=manifest.temperature
        )
        parity.require(network.architecture.name)
        manifest = manifest.model_copy(update={"parity": parity.model_dump(mode="json")})
        choice, shipped = None, Package(manifest, graph_bytes, card="")
        if lower is not None:
            shipped, choice = lower(shipped)
        if choice is not None:
            shipped = noted(shipped, choice)
        write_package(
            out,
            shipped.graph_bytes,
            shipped.manifest,
            write_card(shipped.manifest, out, latency),
            check=lambda path: _try(path, network, size_px, parity),
            overwrite=overwrite,
        )
        return Exported(
            path=str(out),
            size_bytes=out.stat().st_size,
            parity=parity,
            precision=choice,
            remarks=manifest.remarks,
        )


def pack(network: Network, manifest: Manifest) -> Package:
    """Return the package of a network without writing a file.

    Its graph is that of the file, to the bit, so that both make the same predictions.

    Args:
        network: The network, in evaluation mode, on the CPU.
        manifest: The description of the network.
    """
    return Package(manifest, _graph_of(network, manifest), card="")


def _graph_of(network: Network, manifest: Manifest) -> bytes:
    """Return the serialised graph of a network, with its temperature."""
    weights = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
    graph = write_graph(network.architecture, weights, temperature=manifest.temperature)
    return bytes(graph.SerializeToString(deterministic=True))


def _try(path: Path, network: Network, size_px: int, parity: Parity) -> None:
    """Open the package as a user would, and refuse it if it differs from the network."""
    channels = network.architecture.image_channels
    image = np.random.default_rng(0).random((size_px, size_px, channels), dtype=np.float32)
    predictor = Predictor.open(path, max_pixels=size_px**2)
    boxes = np.array([[0, 0, size_px, size_px]], dtype=np.float32)
    answer = predictor(image, boxes=boxes if predictor.takes_boxes else None)
    if predictor.manifest.precision != "fp32":  # what it loses was measured on real images
        return
    with torch.inference_mode():
        denoised, logits = network(
            torch.from_numpy(image).permute(2, 0, 1)[None],
            torch.from_numpy(boxes)[None] if predictor.takes_boxes else None,
        )
    differences = {}
    if denoised is not None and answer.pixels is not None:
        wanted = denoised[0].clamp(0, 1).permute(1, 2, 0).numpy()
        differences["denoised"] = float(np.abs(answer.pixels - wanted).max())
    if logits is not None and answer.probabilities is not None:
        rows = logits.reshape(-1, logits.shape[-1]) / predictor.manifest.temperature
        shares = rows.softmax(dim=1).numpy()
        differences["probabilities"] = float(np.abs(answer.probabilities - shares).max())
    measured = {"max_difference": differences, "sizes_px": ((size_px, size_px),), "num_images": 1}
    parity.model_copy(update=measured).require(network.architecture.name)
