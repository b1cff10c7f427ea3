"""From a trained network to a package that ships, proved on the way.

The graph is written from the description and the weights, run in ONNX Runtime against the trained
network, written, opened again as any user would, and run once more.  Only then is it done.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tapetum.export.card import write_card
from tapetum.export.parity import Parity, measure_parity
from tapetum.graph import write_graph
from tapetum.nn import Network
from tapetum.records import Record
from tapetum.runtime import Manifest, Predictor, write_package

__all__ = ["Exported", "export_network"]


class Exported(Record):
    """What an export has made.

    Attributes:
        path: The package.
        size_bytes: Of the file.
        parity: How far the graph is from the trained network.
    """

    path: str
    size_bytes: int
    parity: Parity


def export_network(
    network: Network,
    out: Path,
    *,
    size_px: int,
    class_names: Iterable[str] = (),
    provenance: Record | None = None,
    scores: Iterable[Mapping[str, Any]] = (),
    overwrite: bool = False,
) -> Exported:
    """Writes the package of a trained network.

    Args:
        network: In evaluation mode, on the CPU.
        out: The package; by custom its name ends in ``.tapetum``.
        size_px: Side of the pictures that it was trained on.
        class_names: In the order of the logits.
        provenance: Of the training.
        scores: Rows of the evaluation.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        PackageError: ``out`` is taken, or the graph does not do what the network does.
    """
    architecture = network.architecture
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    model = write_graph(architecture, weights)
    parity = measure_parity(network, model.SerializeToString(), size_px=size_px)
    parity.require(architecture.name)
    manifest = Manifest.of(
        architecture,
        size_px=size_px,
        class_names=class_names,
        provenance=provenance,
        scores=scores,
        parity=parity.model_dump(mode="json"),
    )
    written = write_package(out, model, manifest, write_card(manifest, out), overwrite=overwrite)
    _try(out, written)
    return Exported(path=str(out), size_bytes=out.stat().st_size, parity=parity)


def _try(path: Path, manifest: Manifest) -> None:
    """Opens the package as a user would and runs one picture through it."""
    size_px = manifest.size_px
    picture = np.full((size_px, size_px, manifest.picture_channels), 0.5, dtype=np.float32)
    boxes = np.array([[0, 0, size_px, size_px]], dtype=np.float32)
    predictor = Predictor.open(path)
    predictor(picture, boxes=boxes if predictor.takes_boxes else None)
