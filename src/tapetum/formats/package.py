"""Export a trained network as a package, checked on the way.

The bytes of the graph run in ONNX Runtime against the trained network. The package is written under
a temporary name, opened as by a user, and compared once more. Only then does it get its name.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from tapetum.errors import PackageError
from tapetum.formats.card import write_card
from tapetum.formats.parity import Parity, measure_parity
from tapetum.formats.precision import PrecisionChoice
from tapetum.formats.standalone import write_standalone
from tapetum.graph import write_graph
from tapetum.nn import Network
from tapetum.records import Record, hold_name
from tapetum.runtime import (
    Manifest,
    Package,
    Predictor,
    open_package,
    write_package,
)

__all__ = ["Exported", "export_network", "pack"]


class Exported(Record):
    """The result of an export.

    Attributes:
        path: The package, or the plain graph.
        size_bytes: Size of the file.
        parity: How far the graph differs from the trained network, in fp32.
        precision: The comparison of fp32 and int8, and what was written; None where only fp32 was
            asked for.
        remarks: What a user must know of its scores, in sentences without a full stop.
    """

    path: str
    size_bytes: int
    parity: Parity
    precision: PrecisionChoice | None = None
    remarks: tuple[str, ...] = ()


def export_network(
    network: Network,
    out: Path,
    manifest: Manifest,
    *,
    latency: str = "",
    lower: Callable[[Package], tuple[Package, PrecisionChoice | None]] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the package of a trained network, or its plain graph where the name ends in ``.onnx``.

    Args:
        network: The network, in evaluation mode, on the CPU.
        out: The file; its ending, ``.tapetum`` or ``.onnx``, decides what is written.
        manifest: The description of the network; its parity is measured here.
        latency: A sentence on the latency of the network, for the card.
        lower: Decides whether the package is in int8, such as :func:`choose_precision`; by default
            it is in fp32.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        PackageError: ``out`` exists or has another ending, or the graph does not do what the
            network does.
    """
    is_plain, size_px = _is_plain(out, overwrite=overwrite), manifest.size_px
    if is_plain and lower is not None:
        raise PackageError(
            "a plain graph is for every runtime, and int8 is made for onnxruntime",
            "export int8 as .tapetum, or the plain graph in fp32",
        )
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
            origin = shipped.manifest.provenance | {"precision": choice.model_dump(mode="json")}
            noted = shipped.manifest.model_copy(update={"provenance": origin})
            shipped = replace(shipped, manifest=noted)
        with TemporaryDirectory() as folder:
            package = Path(folder) / "model.tapetum" if is_plain else out
            write_package(
                package,
                shipped.graph_bytes,
                shipped.manifest,
                write_card(shipped.manifest, out, latency),
                check=lambda path: _try(path, network, size_px, parity),
                overwrite=overwrite,
            )
            if is_plain:
                write_standalone(open_package(package), out)
        return Exported(
            path=str(out),
            size_bytes=out.stat().st_size,
            parity=parity,
            precision=choice,
            remarks=() if manifest.scores is None else manifest.scores.remarks,
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


def _is_plain(out: Path, *, overwrite: bool) -> bool:
    """Return whether a plain graph is requested; refuse other endings and an existing graph."""
    ending = out.suffix.lower()
    if ending not in ("", ".tapetum", ".onnx"):
        problem = f"an export ends in .tapetum or .onnx, not in {ending}"
        raise PackageError(problem, "choose one of these endings")
    if ending == ".onnx" and out.exists() and not (overwrite and out.is_file()):
        raise PackageError(f"{out} exists already", "choose another name, or overwrite it")
    return ending == ".onnx"


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
