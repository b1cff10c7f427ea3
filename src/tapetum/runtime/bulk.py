"""Many pictures at once: files in, files and a list of names out.

For each picture ``out`` gets the cleaned picture under the same name (as PNG where the format
would lose something), the noisy one beside it where noise was added, and ``predictions.json`` with
a row for every picture, those that failed included.  Where ``out`` is inside a folder of pictures,
what it holds is a result and never a source.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError, TapetumError
from tapetum.noise import Noise, add_noise, generator_for
from tapetum.progress import ProgressCallback
from tapetum.records import Record, write_atomically
from tapetum.runtime.image import Picture, lossless_suffix, read_picture, write_picture
from tapetum.runtime.inputs import pictures_in
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.predictor import Prediction, Predictor

__all__ = ["Job", "PredictionRow", "read_boxes", "run_job", "scale_note"]

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
        boxes: Boxes of each picture, (k, 4), where the network names boxes; by its path in the
            given folder (``a/x.png``), or else by its file name.
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
        width_px: Of the image; null where it could not be read.
        height_px: The same.
        labels: One name, or one a box; empty where nothing is named.
        confidences: The probability of each.
        latency_ms: Time in the runtime alone.
        tiled: Whether the picture was cut into tiles.
        cleaned: The file that was written, if any.
        noisy: The file with the added noise, if any.
        error: Why there is nothing else, where it failed.
    """

    picture: str
    width_px: int | None = None
    height_px: int | None = None
    labels: tuple[str, ...] = ()
    confidences: tuple[float, ...] = ()
    latency_ms: float | None = None
    tiled: bool = False
    cleaned: str | None = None
    noisy: str | None = None
    error: str | None = None


def run_job(
    predictor: Predictor, job: Job, *, progress: ProgressCallback | None = None
) -> list[PredictionRow]:
    """Goes through all pictures; one that fails does not stop the others.

    Args:
        predictor: An opened package.
        job: What to do.
        progress: Is told of each picture.

    Returns:
        A row a picture, also written to ``predictions.json``.

    Raises:
        InputError: There is no picture, the network needs boxes and gets none, ``out`` holds
            older results, or is where the pictures are.
    """
    _require_boxes(predictor, job)
    plan = list(_plan(job))
    _require_room(job, plan)
    job.out.mkdir(parents=True, exist_ok=True)
    rows: list[PredictionRow] = []
    try:
        for index, task in enumerate(plan):
            rows.append(_one(predictor, job, index, task))
            if progress is not None:
                progress(index + 1, len(plan), "predicting")
    finally:  # who interrupts keeps the rows of what is written already
        listing = json.dumps([row.model_dump(mode="json") for row in rows], indent=2) + "\n"
        write_atomically(job.out / PREDICTIONS, listing.encode())
    return rows


def scale_note(manifest: Manifest, rows: Sequence[PredictionRow]) -> str | None:
    """A sentence about labels that were made at another scale than was validated, if any.

    Training and validation resample the middle square of a labelled image to ``size_px``, while a
    prediction takes the image as it is: the scales agree where its shorter side is ``size_px``.
    Nothing is said of boxes, which are resampled one by one, nor after a training on pairs, which
    are cut and not resampled.
    """
    if manifest.labels != "whole" or _knows_pairs(manifest):
        return None
    sides = [min(row.width_px or 0, row.height_px or 0) for row in rows if row.labels]
    num_others = sum(side != manifest.size_px for side in sides)
    if not num_others:
        return None
    return (
        f"{num_others} of {len(sides)} labels were made at another scale than was validated, "
        f"because the shorter side of the image is not {manifest.size_px} px; for the accuracy "
        "that was validated, resize such images to it first"
    )


def read_boxes(path: Path) -> Boxes:
    """Reads ``{"picture.png": [[left, top, right, bottom], ...]}``; paths in a folder work, too.

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


@dataclass(frozen=True)
class _Task:
    """One picture.

    Attributes:
        source: The file.
        name: Its path in the given folder, with forward slashes; the file name where none was.
        target: Where its cleaned form goes, without an ending: what it needs is known later.
    """

    source: Path
    name: str
    target: Path

    def cleaned(self, suffix: str) -> Path:
        """The file for the cleaned picture."""
        return self.target.with_name(f"{self.target.name}{suffix}")

    def noisy(self, suffix: str) -> Path:
        """The file for the picture with the added noise."""
        return self.target.with_name(f"{self.target.name}.noisy{suffix}")


def _plan(job: Job) -> Iterator[_Task]:
    """Each picture, and where its cleaned form goes: in the same sub-folder, under a free name."""
    taken: set[Path] = set()
    for source, relative in _sources(job):
        task = _Task(source, relative.as_posix(), job.out / relative.parent / source.stem)
        number = 2
        while not taken.isdisjoint(_names(job, task)):
            target = task.target.with_name(f"{source.stem}-{number}")
            task = replace(task, target=target)
            number += 1
        taken.update(_names(job, task))
        yield task


def _sources(job: Job) -> Iterator[tuple[Path, Path]]:
    """Each picture, and its path in the folder that was given."""
    for path in job.paths:
        if not os.path.isdir(path):  # unlike Path.is_dir, false where it may not be looked at
            yield path, Path(path.name)
            continue
        is_inside = path.resolve() in job.out.resolve().parents
        for source in pictures_in(path, without=job.out if is_inside else None):
            yield source, source.relative_to(path)


def _names(job: Job, task: _Task) -> set[Path]:
    """What a picture occupies in ``out``, without endings."""
    return {task.cleaned("")} if job.noise is None else {task.cleaned(""), task.noisy("")}


def _require_boxes(predictor: Predictor, job: Job) -> None:
    """Refuses once, and not for each picture, what cannot work for any."""
    if predictor.takes_boxes and job.boxes is None:
        manifest = predictor.manifest
        alone = ", or clean only with --mode picture" if manifest.cleans else ""
        raise InputError(
            f"{manifest.name} names boxes, and none were given",
            f"list them with --boxes FILE.json{alone}",
        )


def _require_room(job: Job, plan: Sequence[_Task]) -> None:
    """Refuses to overwrite the pictures themselves, ever, or older results, unless allowed."""
    if not plan:
        raise InputError("no picture was given", "give picture files, or folders of them")
    sources = {task.source.resolve() for task in plan}
    for task in plan:
        for name in _names(job, task):
            for suffix in (task.source.suffix, ".png"):
                target = name.with_name(f"{name.name}{suffix}")
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


def _one(predictor: Predictor, job: Job, index: int, task: _Task) -> PredictionRow:
    try:
        picture = read_picture(task.source)
        boxes = _boxes_of(predictor, job, task)
        noisy_path = cleaned_path = None
        if job.noise is not None:
            picture = _spoil(picture, job.noise, seed=job.seed, index=index)
            noisy_path = task.noisy(lossless_suffix(picture, task.source.suffix))
            write_picture(noisy_path, picture)
        prediction = predictor(picture, boxes=boxes)
        if prediction.cleaned is not None:
            suffix = lossless_suffix(prediction.cleaned, task.source.suffix)
            cleaned_path = task.cleaned(suffix)
            write_picture(cleaned_path, prediction.cleaned)
    except TapetumError as error:
        return PredictionRow(picture=str(task.source), error=str(error))
    size_px = picture.pixels.shape[1:]
    return _row(task.source, size_px, cleaned_path, noisy_path, prediction)


def _spoil(picture: Picture, noise: Noise, *, seed: int, index: int) -> Picture:
    return replace(picture, pixels=add_noise(picture.pixels, noise, generator_for(seed, index)))


def _boxes_of(predictor: Predictor, job: Job, task: _Task) -> NDArray[np.float32] | None:
    if not predictor.takes_boxes or job.boxes is None:
        return None
    for name in (task.name, task.source.name):
        if name in job.boxes:
            return job.boxes[name]
    raise InputError(
        f"{predictor.manifest.name} names boxes, and none are listed for {task.name}",
        "add them to the --boxes file",
    )


def _knows_pairs(manifest: Manifest) -> bool:
    """Whether the network was validated on images that brought their own noise."""
    scores = manifest.scores
    return scores is not None and all(row.noise is None for row in scores.rows)


def _row(
    source: Path,
    size_px: tuple[int, ...],
    cleaned: Path | None,
    noisy: Path | None,
    prediction: Prediction,
) -> PredictionRow:
    height_px, width_px = size_px
    return PredictionRow(
        picture=str(source),
        width_px=width_px,
        height_px=height_px,
        labels=prediction.labels,
        confidences=prediction.confidences,
        latency_ms=prediction.latency_ms,
        tiled=prediction.tiled,
        cleaned=None if cleaned is None else str(cleaned),
        noisy=None if noisy is None else str(noisy),
    )
