"""Many pictures at once: files in, files and a list of names out.

For each picture ``out`` gets the cleaned picture under the same name (as PNG where the format
would lose something), the noisy one beside it where noise was added, and ``predictions.json`` with
a row for every picture, those that failed included.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError, TapetumError
from tapetum.noise import Noise, add_noise, generator_for
from tapetum.records import Record, write_atomically
from tapetum.runtime.image import Picture, read_picture, write_picture
from tapetum.runtime.inputs import pictures_in
from tapetum.runtime.predictor import Prediction, Predictor

__all__ = ["Job", "PredictionRow", "read_boxes", "run_job"]

LOSSLESS_SUFFIXES = {".png", ".tif", ".tiff"}
PREDICTIONS = "predictions.json"

Boxes = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Job:
    """What to do to which pictures.

    Attributes:
        paths: Pictures, and folders of pictures.
        out: Folder for the results.
        noise: Is added to each picture first; none where null.
        seed: Of that noise.
        boxes: Boxes of each picture by file name, (k, 4), where the network names boxes.
        overwrite: Whether older results in ``out`` may be replaced.
    """

    paths: Sequence[Path]
    out: Path
    noise: Noise | None = None
    seed: int = 0
    boxes: Boxes | None = None
    overwrite: bool = False


class PredictionRow(Record):
    """What came of one picture.

    Attributes:
        picture: The file that was read.
        labels: One name, or one a box; empty where nothing is named.
        confidences: The probability of each.
        latency_ms: Time in the runtime alone.
        tiled: Whether the picture was cut into tiles.
        cleaned: The file that was written, if any.
        noisy: The file with the added noise, if any.
        error: Why there is nothing else, where it failed.
    """

    picture: str
    labels: tuple[str, ...] = ()
    confidences: tuple[float, ...] = ()
    latency_ms: float | None = None
    tiled: bool = False
    cleaned: str | None = None
    noisy: str | None = None
    error: str | None = None


def run_job(
    predictor: Predictor, job: Job, *, progress: Callable[[int, int, str], None] | None = None
) -> list[PredictionRow]:
    """Goes through all pictures; one that fails does not stop the others.

    Args:
        predictor: An opened package.
        job: What to do.
        progress: Is told of each picture.

    Returns:
        A row a picture, also written to ``predictions.json``.

    Raises:
        InputError: There is no picture, ``out`` holds older results, or is where the pictures are.
    """
    plan = list(_plan(job))
    _require_room(job, plan)
    job.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, (source, target) in enumerate(plan):
        rows.append(_one(predictor, job, index, source, target))
        if progress is not None:
            progress(index + 1, len(plan), "predicting")
    listing = json.dumps([row.model_dump(mode="json") for row in rows], indent=2) + "\n"
    write_atomically(job.out / PREDICTIONS, listing.encode())
    return rows


def read_boxes(path: Path) -> Boxes:
    """Reads ``{"picture.png": [[left, top, right, bottom], ...]}``.

    Raises:
        InputError: The file is not such JSON.
    """
    try:
        found = json.loads(path.read_bytes())
        boxes = {name: np.array(rows, dtype=np.float32) for name, rows in found.items()}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "check the path") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} does not list boxes ({error})",
            'write {"picture.png": [[left, top, right, bottom], ...]}',
        ) from error
    return boxes


def _plan(job: Job) -> Iterator[tuple[Path, Path]]:
    """Each picture, and where its cleaned form goes: in the same sub-folder, under a free name."""
    taken: set[Path] = set()
    for path in job.paths:
        for source in pictures_in(path) if path.is_dir() else [path]:
            folder = source.relative_to(path).parent if path.is_dir() else Path()
            suffix = source.suffix if source.suffix.lower() in LOSSLESS_SUFFIXES else ".png"
            target = job.out / folder / f"{source.stem}{suffix}"
            number = 2
            while target in taken:
                target = target.with_name(f"{source.stem}-{number}{suffix}")
                number += 1
            taken.add(target)
            yield source, target


def _require_room(job: Job, plan: Sequence[tuple[Path, Path]]) -> None:
    """Refuses to overwrite the pictures themselves, ever, or older results, unless allowed."""
    if not plan:
        raise InputError("no picture was given", "give picture files, or folders of them")
    sources = {source.resolve() for source, _ in plan}
    for _, target in plan:
        if target.resolve() in sources:
            raise InputError(
                f"{target} would be replaced by its cleaned form", "choose another --out"
            )
    if job.out.exists() and not job.out.is_dir():
        raise InputError(f"{job.out} is a file", "choose a folder for --out")
    if job.out.is_dir() and any(job.out.iterdir()) and not job.overwrite:
        raise InputError(
            f"{job.out} is not empty", "choose another --out, or allow it with --overwrite"
        )


def _one(predictor: Predictor, job: Job, index: int, source: Path, target: Path) -> PredictionRow:
    try:
        picture = read_picture(source)
        noisy_path = None
        if job.noise is not None:
            noisy_path = target.with_name(f"{target.stem}.noisy{target.suffix}")
            picture = _spoil(picture, job.noise, seed=job.seed, index=index)
            write_picture(noisy_path, picture)
        prediction = predictor(picture, boxes=_boxes_of(predictor, job, source))
        if prediction.cleaned is not None:
            write_picture(target, prediction.cleaned)
    except TapetumError as error:
        return PredictionRow(picture=str(source), error=str(error))
    return _row(source, target, noisy_path, prediction)


def _spoil(picture: Picture, noise: Noise, *, seed: int, index: int) -> Picture:
    return replace(picture, pixels=add_noise(picture.pixels, noise, generator_for(seed, index)))


def _boxes_of(predictor: Predictor, job: Job, source: Path) -> NDArray[np.float32] | None:
    if not predictor.takes_boxes:
        return None
    if job.boxes is None or source.name not in job.boxes:
        raise InputError(
            f"{predictor.manifest.name} names boxes, and none are listed for {source.name}",
            "list them with --boxes FILE.json, or clean only with --mode picture",
        )
    return job.boxes[source.name]


def _row(source: Path, target: Path, noisy: Path | None, prediction: Prediction) -> PredictionRow:
    return PredictionRow(
        picture=str(source),
        labels=prediction.labels,
        confidences=prediction.confidences,
        latency_ms=prediction.latency_ms,
        tiled=prediction.tiled,
        cleaned=None if prediction.cleaned is None else str(target),
        noisy=None if noisy is None else str(noisy),
    )
