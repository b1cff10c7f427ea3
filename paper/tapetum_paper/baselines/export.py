"""A trained baseline becomes a bare ONNX graph, by torch's own exporter, proved on the way.

A package holds an architecture of ours, from which its reader knows what it takes and gives; a baseline
has none.  Its graph is a file for whoever times it or runs it by hand: images of one size, any
number of them, input and output named as in our own graphs.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from tapetum.errors import MissingExtraError, PackageError
from tapetum.export.package import Exported
from tapetum.export.parity import measure_parity
from tapetum.nn import BaselineNetwork
from tapetum.records import write_atomically

__all__ = ["GRAPH_SUFFIX", "baseline_graph", "export_baseline", "output_name", "require_graph_name"]

GRAPH_SUFFIX = ".onnx"
# What the exporter is written for, and our own graphs have: it needs no conversion afterwards.
OPSET = 18
EXAMPLE_BATCH = 2  # one image would be taken for a fixed size


class _Bare(nn.Module):
    """A baseline with its one output alone: a graph has no place for the one that is missing."""

    def __init__(self, network: BaselineNetwork) -> None:
        super().__init__()
        self.body = network.body

    def forward(self, noisy: Tensor) -> Tensor:
        output: Tensor = self.body(noisy)
        return output


def output_name(network: BaselineNetwork) -> str:
    """What the graph of a baseline returns: ``denoised`` or ``logits``, as in our own graphs."""
    return "denoised" if network.architecture.denoises else "logits"


def baseline_graph(network: BaselineNetwork, *, size_px: int) -> bytes:
    """The serialised ONNX graph of a baseline.

    Its input ``noisy`` is (n, channels, ``size_px``, ``size_px``), for any n; its output
    ``denoised`` is like it, not clamped, or ``logits`` is (n, classes); all float32.

    Args:
        network: In evaluation mode, on the CPU.
        size_px: Side of the images that the graph takes.

    Raises:
        MissingExtraError: torch's exporter needs onnxscript, which is not installed.
    """
    _require_exporter()
    channels = network.architecture.image_channels
    example = torch.zeros(EXAMPLE_BATCH, channels, size_px, size_px)
    with warnings.catch_warnings():
        # Of how torch and onnxscript call each other; the user has no part in it.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            _Bare(network).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["noisy"],
            output_names=[output_name(network)],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None  # noqa: S101  (only the older exporter returns nothing)
    model: bytes = program.model_proto.SerializeToString(deterministic=True)
    return model


def export_baseline(
    network: BaselineNetwork, out: Path, *, size_px: int, overwrite: bool = False
) -> Exported:
    """Writes the graph of a trained baseline, once it has been shown to do what the network does.

    Args:
        network: In evaluation mode, on the CPU.
        out: The graph; its name ends in ``.onnx``.
        size_px: Side of the images that it was trained on, and that the graph takes.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        PackageError: ``out`` is taken or has another ending, or the graph does not do what the
            network does.
        MissingExtraError: As in :func:`baseline_graph`.
    """
    name = network.architecture.name
    require_graph_name(name, out)
    if out.exists() and not (overwrite and out.is_file()):
        remedy = "choose another name" if out.is_dir() else "choose another name, or overwrite it"
        raise PackageError(f"{out} exists already", remedy)
    graph_bytes = baseline_graph(network, size_px=size_px)
    parity = measure_parity(
        network, graph_bytes, size_px=size_px, any_size=False, in_proportion=True
    )
    parity.require(name)
    write_atomically(out, graph_bytes)
    return Exported(path=str(out), size_bytes=out.stat().st_size, parity=parity)


def require_graph_name(baseline_name: str, out: Path) -> None:
    """Refuses a file that would be taken for a package.

    Raises:
        PackageError: The name does not end in ``.onnx``.
    """
    if out.suffix != GRAPH_SUFFIX:
        raise PackageError(
            f"{baseline_name} is a baseline, and a package holds architectures of Tapetum alone",
            f"give a name that ends in {GRAPH_SUFFIX}, such as {out.with_suffix(GRAPH_SUFFIX)}, "
            "for its bare graph",
        )


def _require_exporter() -> None:
    try:
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "torch's exporter needs onnxscript, which is not installed",
            "install it: pip install 'tapetum[baselines]'",
        ) from error
