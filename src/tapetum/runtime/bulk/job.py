"""What a job of many images is: its request, how it is executed, and the summary at its end."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tapetum.errors import InputError, MissingExtraError, nearest
from tapetum.noise import Noise
from tapetum.provenance import require_cores, require_seed
from tapetum.records import FiniteOrNone, FolderKind, Record, faults_are_ours
from tapetum.runtime.bulk.boxes import Boxes
from tapetum.runtime.package import require_package
from tapetum.runtime.predictor import Mode

__all__ = ["KIND", "Execution", "Job", "Request", "Summary", "as_text"]

ROW_FORMATS = ("jsonl", "parquet")


class Request(Record):
    """What was requested, as ``request.json`` keeps it; see :class:`Job`.

    Attributes:
        format: Tells this kind of folder from others.
        inputs: Absolute paths of the images and folders.
        package_sha256: Digest of the package.
        boxes_sha256: Digest of the boxes, if any.
    """

    format: Literal["tapetum-predictions/1"] = "tapetum-predictions/1"
    inputs: tuple[str, ...]
    package_sha256: str
    mode: Mode
    noise: Noise | None
    seed: int
    boxes_sha256: str | None
    top_k: PositiveInt
    reject_below: Annotated[float, Field(ge=0, le=1)]
    probabilities: bool
    file_format: str | None
    white: PositiveFloat | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """Which images to predict, and what to keep of the predictions.

    Attributes:
        package: A ``.tapetum`` file.
        paths: Images, and folders of images.
        out: Folder for the results.
        mode: Results to compute: ``label``, ``image`` or ``both``.
        noise: Noise to add to each image first; None for none.
        seed: Random seed of that noise.
        boxes: Boxes of each image, (k, 4), for a network that classifies boxes; by the image's path
            in its folder (``a/x.png``) or by its file name.
        top_k: Number of most probable classes whose probabilities each row lists, if above one.
        reject_below: Labels of a lower confidence are ``unknown``.
        probabilities: Whether each row lists the probabilities of all classes.
        file_format: File type of the denoised images, such as ``png``; None for that of the input.
        white: Stored value that means white; None for what the package or the file says.
    """

    package: Path
    paths: Sequence[Path]
    out: Path
    mode: Mode = "both"
    noise: Noise | None = None
    seed: int = 0
    boxes: Boxes | None = None
    top_k: int = 1
    reject_below: float = 0.0
    probabilities: bool = False
    file_format: str | None = None
    white: float | None = None

    def __post_init__(self) -> None:
        require_seed(self.seed)

    def absolute(self) -> Self:
        """Return the same job with paths that hold in other processes."""
        return replace(
            self,
            package=_absolute(self.package),
            paths=tuple(_absolute(path) for path in self.paths),
            out=_absolute(self.out),
        )

    def request(self) -> Request:
        """Return what tells this job from others, wherever it is typed.

        Raises:
            InputError: A number is out of its range, or the package or a path cannot be read.
        """
        if not any(os.path.lexists(path) for path in self.paths):
            raise InputError(
                f"there is no {' and no '.join(map(str, self.paths))}", "check the path"
            )
        shared = {name: getattr(self, name) for name in Request.model_fields if hasattr(self, name)}
        with faults_are_ours("this cannot be predicted", "correct these options"):
            return Request(
                inputs=tuple(as_text(_absolute(path)) for path in self.paths),
                package_sha256=_digest_of(self.package),
                boxes_sha256=None if self.boxes is None else _digest_of_boxes(self.boxes),
                **shared,
            )


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a job is executed; nothing of it changes a row but the times.

    Attributes:
        threads: Threads of each process; None for one a core, and for one in each worker.
        provider: What computes, such as ``cpu``, ``cuda`` or ``openvino``.
        memory_mib: Memory limit of one pass in MiB; larger images are processed in tiles.
        max_megapixels: Largest image to decode; None for what fits half of the memory.
        workers: Number of local processes that share the images.
        ray: Address of a Ray cluster that shares the images; ``local`` starts one here.
        rows: Format of the rows: ``jsonl``, or ``parquet`` for a Parquet file beside it.
    """

    threads: int | None = None
    provider: str = "cpu"
    memory_mib: int = 1024
    max_megapixels: float | None = None
    workers: int | None = None
    ray: str | None = None
    rows: str = "jsonl"

    def __post_init__(self) -> None:
        if self.workers is not None:
            require_cores(self.workers, "workers")
        if self.workers is not None and self.ray is not None:
            raise InputError("a Ray cluster has workers of its own", "leave out --workers")
        if self.max_megapixels is not None and not self.max_megapixels > 0:
            raise InputError(f"the limit is {self.max_megapixels:g} megapixels", "give more than 0")
        if self.rows not in ROW_FORMATS:
            raise InputError(f"rows cannot be {self.rows!r}", nearest(self.rows, ROW_FORMATS))

    def require_extras(self) -> None:
        """Refuse what is not installed before any work is done.

        Raises:
            MissingExtraError: Ray or pyarrow is wanted and missing.
        """
        if self.ray is not None and find_spec("ray") is None:
            raise MissingExtraError.of("ray", "ray")
        if self.rows == "parquet" and find_spec("pyarrow") is None:
            raise MissingExtraError.of("pyarrow", "parquet")

    @property
    def is_shared(self) -> bool:
        """Whether other processes predict the images."""
        return self.workers is not None or self.ray is not None


class Summary(Record):
    """The end of a job: what happened to the images, and how fast.

    Attributes:
        num_images: Images with a prediction; each frame of a file counts.
        num_failed: Files that could not be predicted.
        num_left_out: Files and folders that were left out, because they are no images.
        labels: Number of images, or boxes, of each label; the most frequent first.
        warnings: Number of images of each warning, the most frequent first; at most a hundred.
            That the labels of the package are useless comes before them.
        mean_latency_ms: Mean time in the network, in milliseconds.
        mean_prepare_ms: Mean time to prepare an image for the network, in milliseconds.
        seconds: Time of the last command of this job.
        files_per_second: Files that it did in each second; None if all were done before.
    """

    format: Literal["tapetum-predictions-summary/1"] = "tapetum-predictions-summary/1"
    num_images: NonNegativeInt = 0
    num_failed: NonNegativeInt = 0
    num_left_out: NonNegativeInt = 0
    labels: Annotated[dict[str, int], Field(default_factory=dict)]
    warnings: Annotated[dict[str, int], Field(default_factory=dict)]
    mean_latency_ms: FiniteOrNone = None
    mean_prepare_ms: FiniteOrNone = None
    seconds: float = 0.0
    files_per_second: FiniteOrNone = None

    @property
    def num_rows(self) -> int:
        """Number of rows in the table."""
        return self.num_images + self.num_failed + self.num_left_out


KIND = FolderKind("prediction", Request, Summary, "tapetum predict")


def as_text(path: Path | str) -> str:
    """Return a path as text that every reader of JSON takes; other bytes are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # unlike Path.resolve, keeps links and their names


def _digest_of(path: Path) -> str:
    require_package(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_boxes(boxes: Boxes) -> str:
    digest = hashlib.sha256()
    for name in sorted(boxes):
        digest.update(repr((name, boxes[name].tolist())).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()
