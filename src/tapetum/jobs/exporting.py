"""Export a finished run as a package, and score it as the package that it becomes."""

from functools import partial
from pathlib import Path
from typing import Any

from tapetum.data import Dataset
from tapetum.errors import InputError, PackageError
from tapetum.evaluation import PackageSubject, Subject
from tapetum.formats import (
    Exported,
    FineTuner,
    PrecisionChoice,
    Settings,
    choose_precision,
    export_network,
    pack,
)
from tapetum.images import path_of_name
from tapetum.jobs.choose import AskedPrecision, is_digits, say
from tapetum.jobs.evaluation import open_images_of, open_trained
from tapetum.jobs.finetuning import finetune
from tapetum.nn import Network, TrainableNetwork
from tapetum.progress import ProgressCallback, silent
from tapetum.runtime import Manifest, Package
from tapetum.training import RUNS, NetworkSubject, Result, Run, load_network

__all__ = ["AskedPrecision", "export_run", "images_of_run", "network_of_run", "subject_of_run"]


def images_of_run(path: Path, data: str | Path | None, progress: ProgressCallback) -> Dataset:
    """Open the images that a run was trained and validated on."""
    info = RUNS.open(path).request.data
    source = info.source if is_digits(info.source) else path_of_name(info.source)
    given = source if data is None else data
    counts = {"train_count": info.num_train, "test_count": info.num_validation}
    return open_images_of(
        open_trained(path), given, progress=progress, **(counts if is_digits(given) else {})
    )


def export_run(
    path: Path,
    out: Path,
    *,
    latency: str = "",
    threads: int | None = None,
    runtime: str = "onnxruntime",
    precision: AskedPrecision = "fp32",
    speed_up: float | None = None,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    epochs: int | None = None,
    dataset: str | Path | Dataset | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> Exported:
    """Write the package of a finished run, with what its card says of the latency.

    The other arguments are those of :func:`export`; ``threads`` and ``runtime``, in which int8 is
    timed, are those of the latency budget, ``speed_up`` is that of int8 on another device, which
    counts in place of that of this one, ``epochs`` are those of a fine-tuning, the settings say how
    int8 is calibrated, and the dataset may be opened already.
    """
    folder = RUNS.open(path)
    network, manifest = network_of_run(path, threads=threads)

    def lowered(package: Package) -> tuple[Package, PrecisionChoice | None]:
        given, noise = dataset, folder.request.recipe.noise
        if not isinstance(given, Dataset):
            given = images_of_run(path, given, progress)
        finetuner = None
        if epochs is not None:
            learning = (folder.request.recipe, given.train)
            tune = partial(finetune, network, *learning, epochs=epochs, progress=progress)
            finetuner = FineTuner(epochs, tune)
        choose = partial(
            choose_precision,
            protocol=noise.protocol,
            runtime=runtime,
            device_speed_up=speed_up,
            settings=settings,
            finetuner=finetuner,
            progress=progress,
        )
        if precision == "int8":
            return choose(package, given, noise.spread(), asked="int8")
        try:
            return choose(package, given, noise.spread())
        except (InputError, PackageError) as error:
            say(f"fp32 is used, since int8 is not possible: {error.problem}")
            return package, None

    lower = None if precision == "fp32" else lowered
    return export_network(network, out, manifest, latency=latency, lower=lower, overwrite=overwrite)


def network_of_run(path: Path, *, threads: int | None = None) -> tuple[Network, Manifest]:
    """Return the network of a finished run, and the manifest of its package.

    Args:
        path: Folder of the run.
        threads: Inference threads of its latency budget; None for all cores.
    """
    network = load_network(path)
    assert isinstance(network, Network)  # noqa: S101  (built from the run's architecture)
    return network, _manifest(RUNS.open(path), network, threads)


def _manifest(run: Run, network: Network, threads: int | None = None) -> Manifest:
    """Return the manifest of the package of a finished run."""
    info, result = run.request.data, run.result()
    return Manifest.of(
        network.architecture,
        size_px=info.size_px,
        preparation=info.preparation,
        brightness=result.brightness if run.request.class_names else None,
        typical_px=info.typical_px,
        threads=threads,
        split=info.split and info.split.model_copy(update={"labels": None}),  # a path
        class_names=run.request.class_names,
        provenance=_origin(result),
        scores=result.scores and result.scores.model_copy(update={"mistakes": ()}),  # of the report
    )


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
    run, loaded = RUNS.open(path), load_network(path, network=network)
    if isinstance(loaded, Network):
        return PackageSubject(pack(loaded, _manifest(run, loaded)), threads=threads)
    scores = run.result().scores
    temperature = 1.0 if scores is None else scores.temperature
    return NetworkSubject(loaded, run.request.data.preparation, temperature=temperature)


def _origin(result: Result) -> dict[str, Any]:
    """Return the provenance of a run, with the weights of others that it began with."""
    origin = result.provenance.model_dump(mode="json")
    weights = {} if result.start is None else result.start.origin
    return origin | ({"pretrained": weights} if weights else {})
