"""Score a run or a package on images that it was not trained on; a package needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

from tapetum.arch import Described
from tapetum.data import DataOptions, Dataset, SplitList
from tapetum.errors import InputError
from tapetum.evaluation import PackageSubject, Subject, score
from tapetum.jobs.choose import (
    SPLIT,
    is_digits,
    lists_options,
    open_logged,
    refuse_noise_of_pairs,
    require_fit,
    require_network,
    say,
)
from tapetum.noise import PAPER_SIGMAS, Gaussian, Noise, Protocol, parse_noise
from tapetum.progress import ProgressCallback, shown_path, silent
from tapetum.provenance import require_cores
from tapetum.records import as_path
from tapetum.runtime import Manifest, Split, open_package
from tapetum.scores import Scores

__all__ = [
    *("TrainedNetwork", "evaluate", "note_part", "open_images_of", "open_trained"),
    "trained_network",
]


@lists_options
def evaluate(
    path: str | Path,
    data: str | Path,
    *,
    noise: str | float | Sequence[str | float] | None = None,
    protocol: Protocol | None = None,
    part: Literal["validation", "all"] = "validation",
    seed: int | None = None,
    noise_seed: int = 0,
    max_megapixels: float | None = 2_000.0,
    threads: int | None = None,
    progress: ProgressCallback = silent,
    **digits: Unpack[DataOptions],
) -> Scores:
    """Score a run or a package on the validation images of a dataset, as a device would run it.

    Each image is prepared, classified and denoised as ``tapetum predict`` does, so that both give
    the same labels and images.

    Example:
        >>> import tapetum
        >>> scores = tapetum.evaluate("digits.tapetum", "digits", noise=[0.1, 0.3], test_count=8)
        >>> len(scores.rows)
        2

    Args:
        path: Folder of a run, or a ``.tapetum`` file.
        data: Folder of images, ``digits`` or ``digit-crops``.
        noise: Noise levels, such as 0.2 or ``speckle:0.1``; default those of the training.
        protocol: ``benchmark`` (unclipped) or ``camera`` (clipped to 8 bits); default as trained.
        part: ``validation``, or ``all`` images of a folder of which none was trained on.
        seed: Random seed of the split or of the digits; default as trained.
        noise_seed: Random seed of the noise.
        max_megapixels: Limit of the pixels of all images and noise levels, in millions; above it
            all images are classified but only a random choice is denoised and compared.
        threads: Inference threads; default all cores.
        progress: Called after each image.
        digits: Options of a folder or of digits; see :class:`tapetum.jobs.DataOptions`.

    Raises:
        InputError: The network or the dataset cannot be opened, or they do not fit.
    """
    levels = [noise] if isinstance(noise, str | float | int) else noise or ()
    noises = [parse_noise(str(level)) for level in levels]
    network = open_trained(as_path(path, "a run or a package"), threads=threads)
    idle = {"--seed": seed, "--group-by": digits.get("group_by")}
    named = [name for name, value in idle.items() if value is not None]
    if named and network.listed is not None and not is_digits(data):
        raise InputError(
            f"{shown_path(path)} keeps the split of its training, so {' and '.join(named)} has no "
            "effect",
            "leave it out",
        )
    given = {name: value for name, value in digits.items() if value is not None}
    seed = network.seed if seed is None else seed
    options = {"score_all": part == "all", "seed": seed, "progress": progress, **given}
    dataset = open_images_of(network, data, **options)
    refuse_noise_of_pairs(dataset, noise=noises, protocol=protocol)
    note_part(network, dataset)
    return score(
        network.subject,
        dataset,
        noises or network.noises,
        protocol=protocol or network.protocol,
        seed=noise_seed,
        max_megapixels=max_megapixels,
        filters=True,
        short_training=network.short_training,
        progress=progress,
    )


def note_part(network: "TrainedNetwork", dataset: Dataset) -> None:
    """Say which images are scored, where a folder is not the one of the training."""
    if len(dataset.train) and _is_another(dataset.info.split, network.split):
        total = len(dataset.train) + len(dataset.validation)
        say(
            f"scored: {len(dataset.validation):,} of {total:,} images, the part that a training "
            "would hold out; if the network was trained on none, score all of them with 'tapetum "
            "evaluate --part all'"
        )


def _is_another(split: Split | None, trained: Split | None) -> bool:
    """Return whether a folder was divided here, and is not the one that was trained on."""
    if split is None or split.val_fraction is None:
        return False
    return trained is None or split.files_sha256 != trained.files_sha256


def open_images_of(network: "TrainedNetwork", data: str | Path, **options: Any) -> Dataset:
    """Open a dataset in the form that a trained network takes, divided as in its training."""
    form = {} if is_digits(data) else network.form()
    dataset = open_logged(data, **({"seed": network.seed} | form | options))
    require_fit(network.architecture, dataset, class_names=network.class_names)
    return dataset


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that can be scored, and the conditions of its training.

    Attributes:
        architecture: Architecture of the network.
        class_names: Classes, in the order of the logits.
        size_px: Height and width of its training images.
        noises: Noise levels of its training.
        protocol: Noise protocol of its training.
        seed: Random seed of its training, and so of the split of a folder.
        split: How the folder of its training was divided; None for digits.
        listed: The files of its training, which a run keeps.
        subject: Runs the network.
        short_training: That its training was far too short; empty where it was not.
    """

    architecture: Described
    class_names: tuple[str, ...]
    size_px: int
    noises: Sequence[Noise]
    protocol: Protocol
    seed: int
    split: Split | None
    listed: SplitList | None
    subject: Subject
    short_training: str

    def form(self) -> dict[str, Any]:
        """Return the options that open a folder as it was opened for the training."""
        preparation = self.subject.preparation
        return {
            "size_px": self.size_px,
            "resize": preparation.resize,
            "white": preparation.white,
            "channels": preparation.channels,
            "class_names": self.class_names,
            "like": self.split,
            "listed": self.listed,
        }


def open_trained(path: Path, *, threads: int | None = None) -> TrainedNetwork:
    """Open the folder of a finished run, or a package, for scoring."""
    if threads is not None:
        require_cores(threads)
    require_network(path)
    if path.is_dir():
        return _open_run(path, threads)
    package = open_package(path)
    return trained_network(package.manifest, PackageSubject(package, threads=threads))


def _open_run(path: Path, threads: int | None) -> TrainedNetwork:
    from tapetum.jobs.exporting import subject_of_run  # torch
    from tapetum.jobs.fit_result import run_at
    from tapetum.training import RUNS, prepare_process

    prepare_process()  # before torch starts its threads
    path = run_at(path)
    run = RUNS.open(path)
    request = run.request
    return TrainedNetwork(
        architecture=request.architecture,
        class_names=request.class_names,
        size_px=request.data.size_px,
        noises=request.recipe.noise.spread(),
        protocol=request.recipe.noise.protocol,
        subject=subject_of_run(path, threads=threads),
        seed=request.recipe.seed if request.data.split is None else request.data.split.seed,
        split=request.data.split,
        listed=SplitList.read(path / SPLIT) if (path / SPLIT).is_file() else None,
        short_training=run.result().few_steps,
    )


def trained_network(manifest: Manifest, subject: Subject) -> TrainedNetwork:
    """Return the network of a manifest, which a subject runs, for scoring."""
    scores, seed = manifest.scores, manifest.provenance.get("seed")
    noises = [row.noise for row in scores.rows if row.noise is not None] if scores else []
    return TrainedNetwork(
        architecture=manifest.architecture,
        class_names=manifest.class_names,
        size_px=manifest.size_px,
        noises=noises or [Gaussian(sigma=sigma) for sigma in PAPER_SIGMAS],
        protocol=scores.protocol if scores else "benchmark",
        seed=seed if isinstance(seed, int) else 0,
        subject=subject,
        split=manifest.split,
        listed=None,
        short_training=scores.short_training if scores else "",
    )
