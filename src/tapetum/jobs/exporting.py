"""Export a finished run as a package, or as a plain ONNX graph."""

from pathlib import Path

from tapetum.evaluation import PackageSubject, Subject
from tapetum.formats import Exported, export_network, pack
from tapetum.nn import Network, TrainableNetwork
from tapetum.records import as_path
from tapetum.runtime import Manifest
from tapetum.training import RUNS, NetworkSubject, load_network

__all__ = ["export", "export_run", "subject_of_run"]


def export(run: str | Path, out: str | Path, *, overwrite: bool = False) -> Exported:
    """Write the package of a finished run, and check that it computes what the network computes.

    A name that ends in ``.onnx`` gets a plain graph instead, for other runtimes and languages. It
    prepares images itself, and returns probabilities and the denoised image.

    Example:
        >>> import tapetum
        >>> exported = tapetum.export("runs/digits", "digits.tapetum")
        >>> exported.parity.worst < 1e-4
        True

    Args:
        run: Folder of the run.
        out: File to write; its ending, ``.tapetum`` or ``.onnx``, decides what.
        overwrite: Whether to replace an existing file.

    Raises:
        RunError: The run is not finished, or its network has no architecture.
        PackageError: ``out`` exists or has another ending, or the graph does not compute what the
            network computes.
    """
    run, out = as_path(run, "a run"), as_path(out, "the file to write")
    return export_run(run, out, overwrite=overwrite)


def export_run(
    path: Path,
    out: Path,
    *,
    latency: str = "",
    threads: int | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the package of a finished run, with what its card says of the latency.

    Args:
        path: Folder of the run.
        out: Package to write.
        latency: Text on the latency.
        threads: Inference threads that a latency budget holds for; None without one.
        overwrite: Whether to replace an existing file.
    """
    folder = RUNS.open(path)
    data, result = folder.request.data, folder.result()
    network = load_network(path)
    assert isinstance(network, Network)  # noqa: S101  (built from the run's architecture)
    manifest = Manifest.of(
        network.architecture,
        size_px=data.size_px,
        preparation=data.preparation,
        typical_px=data.typical_px,
        threads=threads,
        split=data.split and data.split.model_copy(update={"labels": None}),  # a path
        class_names=folder.request.class_names,
        provenance=result.provenance,
        scores=result.scores,
    )
    return export_network(network, out, manifest, latency=latency, overwrite=overwrite)


def subject_of_run(
    path: Path, *, network: TrainableNetwork | None = None, threads: int | None = None
) -> Subject:
    """Return the network of a finished run, as it is scored: as the package that it becomes.

    Args:
        path: Folder of the run.
        network: A module to load the weights into; required where it has no architecture. It is
            scored in torch.
        threads: Inference threads of the package; by default one per core.
    """
    request = RUNS.open(path).request
    loaded = load_network(path, network=network)
    if not isinstance(loaded, Network):
        return NetworkSubject(loaded, request.data.preparation)
    manifest = Manifest.of(
        loaded.architecture,
        size_px=request.data.size_px,
        preparation=request.data.preparation,
        class_names=request.class_names,
    )
    return PackageSubject(pack(loaded, manifest), threads=threads)
