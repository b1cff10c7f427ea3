"""A finished run becomes a package."""

from pathlib import Path

from tapetum.export import Exported, export_network
from tapetum.nn import Network
from tapetum.training import RUNS, load_network

__all__ = ["export_run"]


def export_run(run_path: Path, out: Path, *, overwrite: bool = False) -> Exported:
    """Writes the package of a finished run, with its scores and its provenance.

    Args:
        run_path: The folder of the run.
        out: The package; by custom its name ends in ``.tapetum``.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        RunError: The run is not finished, or was trained from a module without an architecture.
        PackageError: ``out`` is taken, or the graph does not do what the network does.
    """
    run = RUNS.open(run_path)
    result = run.result()
    network = load_network(run_path)
    assert isinstance(network, Network)  # noqa: S101  (built from the run's architecture)
    return export_network(
        network,
        out,
        size_px=run.request.data.size_px,
        class_names=run.request.class_names,
        provenance=result.provenance,
        scores=result.scores,
        overwrite=overwrite,
    )
