"""A file that an export wrote, opened as it is: to time it, and to score it.

``FILE.json`` beside it says what it is. The file is run by the runtime of its own format.
"""

import hashlib
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError
from tapetum.evaluation import Answer
from tapetum.formats.exported import WrittenFile
from tapetum.formats.proof import at_size, random_images, run_one
from tapetum.formats.target import Run, Target
from tapetum.formats.targets import TARGETS
from tapetum.images import DecodedImage
from tapetum.latency import Conditions, DeployedNetwork, Runtime
from tapetum.runtime import Preparation

__all__ = ["OpenedFile", "described_at", "paths_of"]

_Floats = NDArray[np.float32]


def paths_of(out: Path, target: Target) -> dict[str, Path]:
    """Return the place of each file by its ending; the first one is that which the user names."""
    first, *others = target.endings
    return {first: out, **{ending: out.with_suffix(ending) for ending in others}}


def described_at(out: Path) -> Path:
    """Return the place of the description of a file."""
    return out.with_name(f"{out.name}.json")


class OpenedFile(Runtime):
    """A written file with what is beside it: the runtime of its own network, and one to score.

    Args:
        path: The file that a user names.
        target: Its format.

    Raises:
        InputError: The description is missing, or belongs to another file.
    """

    threads = 1  # images to score at once: not every runtime can be called by several

    def __init__(self, path: Path, target: Target) -> None:
        if not path.exists():
            raise InputError(f"there is no {path}", "check the path")
        if not described_at(path).exists():
            raise InputError(
                f"there is no {described_at(path)}, which says how {path} is run",
                "export it again, and keep both together",
            )
        self.written = WrittenFile.read(described_at(path))
        self.paths = tuple(paths_of(path, target).values())
        self._target, self._settings = target, self.written.settings
        digests = {hashlib.sha256(one.read_bytes()).hexdigest() for one in self.paths}
        if digests != set(self.written.sha256.values()):
            problem = f"{described_at(path)} describes another file than {path}"
            raise InputError(problem, "export it again")

    @classmethod
    def find(cls, path: Path) -> "OpenedFile | None":
        """Open a file by its ending; None for packages, and for ONNX graphs without a description.

        Raises:
            InputError: As for the class.
        """
        target = next((one for one in TARGETS if one.endings[0] == path.suffix.lower()), None)
        if target is None or (target.name == "onnx" and not described_at(path).exists()):
            return None
        return cls(path, target)

    @cached_property
    def _run(self) -> Run:
        """The file on one thread, to score it."""
        return self._opened(threads=1)

    @cached_property
    def _library(self) -> tuple[str, str]:
        """Name and version of what runs it, which is not kept in memory for that."""
        name, _, version = self._opened(threads=1).runtime.partition(" ")
        return name, version

    def _opened(self, threads: int) -> Run:
        """Open the file.

        Raises:
            MissingExtraError: The runtime of its format is not installed.
            InputError: The file runs in a browser, or not on this processor.
        """
        if self._target.name == "html":
            raise InputError(
                "a page runs in a browser", "open it there: the page shows its own milliseconds"
            )
        with self._target.opened(self.paths[0], self._settings, threads=threads) as run:
            return run

    @property
    def name(self) -> str:
        """Name of the library that runs it."""
        return self._library[0]

    @property
    def version(self) -> str:
        """Version of the library."""
        return self._library[1]

    @property
    def precision(self) -> str:
        """Number format of the file; in fp16 only the weights are sure to be so."""
        return "fp16 weights" if self.written.precision == "fp16" else self.written.precision

    @property
    def network(self) -> DeployedNetwork:
        """The network, without a graph: the file is run as it is."""
        manifest = self.written.manifest
        return DeployedNetwork(b"", {}, manifest.architecture, manifest.size_px)

    def conditions(self, threads: int) -> Conditions:
        """Return the conditions of a pass: the size and the batch that the file is for."""
        batch, channels = self._settings.batch or 1, self.preparation.channels
        found = self.network.conditions(self, threads=threads, batch=batch, channels=channels)
        height_px, width_px = self._settings.fixed or (found.height_px, found.width_px)
        return found.model_copy(update={"height_px": height_px, "width_px": width_px})

    def prepare(self, network: DeployedNetwork, conditions: Conditions) -> Callable[[], object]:
        """Open the file, and return a pass on random images; see :class:`Runtime`."""
        del network
        size, count = (conditions.height_px, conditions.width_px), conditions.batch
        given = random_images(self.written.manifest, count, size, np.random.default_rng(0))
        return partial(self._opened(conditions.threads), *given)

    @property
    def preparation(self) -> Preparation:
        """How an image becomes the input of the network."""
        return self.written.manifest.preparation

    def predict(
        self,
        image: DecodedImage,
        boxes: _Floats | None,
        *,
        with_image: bool = True,  # noqa: ARG002  (a file always computes both)
    ) -> Answer:
        """Return the outputs for one image, at the size of the file where that is fixed."""
        taken = boxes if self.written.manifest.labels == "boxes" else None
        given = at_size(self._settings.fixed, self.preparation.colours(image), taken)
        return run_one(self._run, *given, self._settings.batch or 1)
