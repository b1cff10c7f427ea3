"""A finished run becomes a package; that of a peer a bare graph."""

from pathlib import Path

from tapetum.arch import Peer
from tapetum.errors import RunError
from tapetum.export import Exported, export_network, export_peer, require_graph_name
from tapetum.nn import PeerNetwork
from tapetum.training import RunFolder, load_network

__all__ = ["export_run", "trained_size_px"]


def export_run(run_path: Path, out: Path, *, overwrite: bool = False) -> Exported:
    """Writes the package of a finished run, with its scores and its provenance.

    Args:
        run_path: The folder of the run.
        out: The package; by custom its name ends in ``.tapetum``.  The run of a peer gives a bare
            graph instead, whose name must end in ``.onnx``.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        RunError: The run is not finished.
        PackageError: ``out`` is taken or no place for a peer, or the graph does not do what the
            network does.
        MissingExtraError: A peer needs a library that is not installed.
    """
    run = RunFolder.open(run_path)
    result = run.result()
    if isinstance(run.request.architecture, Peer):
        require_graph_name(run.request.architecture.name, out)
    network, size_px = load_network(run_path), trained_size_px(run)
    if isinstance(network, PeerNetwork):
        return export_peer(network, out, size_px=size_px, overwrite=overwrite)
    return export_network(
        network,
        out,
        size_px=size_px,
        class_names=run.request.class_names,
        provenance=result.provenance,
        scores=result.scores,
        overwrite=overwrite,
    )


def trained_size_px(run: RunFolder) -> int:
    """The side of the training pictures, which the request keeps.

    Raises:
        RunError: The request does not say.
    """
    size_px = run.request.data.get("size_px")
    if not isinstance(size_px, int):
        raise RunError(
            f"the request of the run {run.path} does not say how large its pictures were",
            "add data.size_px to its request.json",
        )
    return size_px
