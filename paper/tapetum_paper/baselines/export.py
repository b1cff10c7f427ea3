"""Export of a trained baseline to a bare ONNX graph, by torch's own exporter.

A package needs an architecture of Tapetum, and a baseline has none.  Its graph is a plain file that
any ONNX runtime can time or run.  Inputs and outputs have the names of Tapetum's own graphs.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from tapetum.errors import MissingExtraError, PackageError
from tapetum.formats import Exported, measure_parity
from tapetum.records import write_atomically
from tapetum_paper.baselines.networks import BaselineNetwork

__all__ = ["baseline_graph", "export_baseline"]

GRAPH_SUFFIX = ".onnx"
OPSET = 18  # the exporter's own, so that it converts nothing afterwards
EXAMPLE_BATCH = 2  # the exporter would treat a batch of one as fixed


class _Bare(nn.Module):
    """A baseline with its only output, since a graph cannot return ``None``."""

    def __init__(self, network: BaselineNetwork) -> None:
        super().__init__()
        self.body = network.body

    def forward(self, noisy: Tensor) -> Tensor:
        output: Tensor = self.body(noisy)
        return output


def baseline_graph(network: BaselineNetwork, *, size_px: int) -> bytes:
    """Return the serialised ONNX graph of a baseline.

    The input ``noisy`` has shape (n, channels, ``size_px``, ``size_px``) for any n.  The output is
    ``denoised`` of the same shape, not clamped, or ``logits`` of shape (n, classes); all float32.

    Args:
        network: The network in evaluation mode, on the CPU.
        size_px: Height and width of the images in pixels.

    Raises:
        MissingExtraError: torch's exporter needs onnxscript, which is not installed.
    """
    _require_exporter()
    channels = network.architecture.image_channels
    example = torch.zeros(EXAMPLE_BATCH, channels, size_px, size_px)
    with warnings.catch_warnings():
        # These warnings are about calls between torch and onnxscript.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            _Bare(network).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["noisy"],
            output_names=["denoised" if network.architecture.denoises else "logits"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None  # noqa: S101  (only the older exporter returns nothing)
    model: bytes = program.model_proto.SerializeToString(deterministic=True)
    return model


def export_baseline(
    network: BaselineNetwork, out: Path, *, size_px: int, overwrite: bool = False
) -> Exported:
    """Write the graph of a trained baseline after checking that it computes the same.

    Args:
        network: The network in evaluation mode, on the CPU.
        out: The file; its name ends in ``.onnx``.
        size_px: Height and width of the images in pixels.
        overwrite: Whether an existing file may be replaced.

    Raises:
        PackageError: ``out`` exists or has another ending, or the graph differs from the network.
        MissingExtraError: See :func:`baseline_graph`.
    """
    name = network.architecture.name
    _require_graph_name(name, out)
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


def _require_graph_name(baseline_name: str, out: Path) -> None:
    if out.suffix != GRAPH_SUFFIX:
        raise PackageError(
            f"{baseline_name} is a baseline, and packages hold only architectures of Tapetum",
            f"give a name that ends in {GRAPH_SUFFIX}, such as {out.with_suffix(GRAPH_SUFFIX)}",
        )


def _require_exporter() -> None:
    try:
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "torch's exporter needs onnxscript, which is not installed",
            "install it: pip install onnxscript",
        ) from error
