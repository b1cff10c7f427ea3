"""A run or a package, opened for scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Described
from tapetum.data import digits
from tapetum.errors import InputError
from tapetum.noise import PAPER_SIGMAS, Gaussian, Noise, Protocol
from tapetum.runtime import GraphSession, Package, open_package
from tapetum.training import RUNS, Predict, load_network, network_predict

__all__ = ["Subject", "open_subject", "package_predict"]


@dataclass(frozen=True)
class Subject:
    """Something that predicts, and what it was made for.

    Attributes:
        architecture: What it is.
        class_names: In the order of its logits.
        size_px: Side of the images that it was trained on.
        noises: The levels that it was trained for.
        protocol: What was kept of the noisy images.
        seed: Of its training, and so of the split of a folder.
        predict: Runs it.
    """

    architecture: Described
    class_names: tuple[str, ...]
    size_px: int
    noises: Sequence[Noise]
    protocol: Protocol
    seed: int
    predict: Predict

    def image_form(self, data: str, *, size_px: int | None = None) -> dict[str, int | None]:
        """The size and the channels in which to open images for it.

        Args:
            data: A folder, or ``digits``, whose images have one form.
            size_px: Instead of the size that it was trained on.
        """
        if data == digits.DIGITS:
            return {"size_px": size_px}
        channels = self.architecture.image_channels
        return {"size_px": size_px or self.size_px, "channels": channels}


def open_subject(path: Path, *, threads: int | None = None) -> Subject:
    """Opens the folder of a run or a ``.tapetum`` file.

    Args:
        path: Of either.
        threads: For a package.

    Raises:
        InputError: There is neither.
        RunError: The run is not finished.
        PackageError: The package cannot be run.
    """
    if path.is_dir():
        if threads is not None:
            raise InputError(f"{path} is a run, and --threads is for packages", "leave it out")
        return _open_run(path)
    if path.is_file():
        return _open_package(open_package(path), threads)
    raise InputError(f"there is no {path}", "give the folder of a run, or a .tapetum file")


def package_predict(package: Package, *, threads: int | None = None) -> Predict:
    """Makes a package callable by :func:`tapetum.training.evaluate`."""
    session = GraphSession(package.graph_bytes, threads=threads)

    def predict(
        noisy: NDArray[np.float32], boxes: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        feeds = {"noisy": noisy} if boxes is None else {"noisy": noisy, "boxes": boxes}
        feeds = {name: feeds[name] for name in session.input_names}
        values = session.run(session.output_names, feeds)
        found = dict(zip(session.output_names, values, strict=True))
        return found.get("denoised"), found.get("logits")

    return predict


def _open_run(path: Path) -> Subject:
    run = RUNS.open(path)
    request = run.request
    return Subject(
        architecture=request.architecture,
        class_names=request.class_names,
        size_px=request.data.size_px,
        noises=request.recipe.noise.spread(),
        protocol=request.recipe.noise.protocol,
        seed=request.recipe.seed,
        predict=network_predict(load_network(path)),
    )


def _open_package(package: Package, threads: int | None) -> Subject:
    manifest = package.manifest
    scores, seed = manifest.scores, manifest.provenance.get("seed")
    noises = [row.noise for row in scores.rows if row.noise is not None] if scores else []
    return Subject(
        architecture=manifest.architecture,
        class_names=manifest.class_names,
        size_px=manifest.size_px,
        noises=noises or [Gaussian(sigma=sigma) for sigma in PAPER_SIGMAS],
        protocol=scores.protocol if scores else "benchmark",
        seed=seed if isinstance(seed, int) else 0,
        predict=package_predict(package, threads=threads),
    )
