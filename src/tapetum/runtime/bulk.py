"""Predict many images: files in, files and a list of labels out.

For each image, ``out`` gets the denoised image under the same name (as PNG where the format would
lose something), the noisy one next to it where noise was added, and ``predictions.json`` with a row
for every image, failed ones included. Where ``out`` is inside a folder of images, its files are
never taken as input.
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
from tapetum.runtime.image import DecodedImage, lossless_suffix, read_image, write_image
from tapetum.runtime.inputs import images_in
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.predictor import Prediction, Predictor

__all__ = ["Job", "PredictionRow", "read_boxes", "run_job", "scale_note"]

PREDICTIONS = "predictions.json"

Boxes = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Job:
    """Which images to predict, and how.

    Attributes:
        paths: Images, and folders of images.
        out: Folder for the results.
        noise: Noise to add to each image first; None for none.
        seed: Random seed of that noise.
        boxes: Boxes of each image, (k, 4), for a network that classifies boxes; by the image's path
            in its folder (``a/x.png``) or by its file name.
        overwrite: Whether older results in ``out`` may be replaced.
    """

    paths: Sequence[Path]
    out: Path
    noise: Noise | None = None
    seed: int = 0
    boxes: Boxes | None = None
    overwrite: bool = False


class PredictionRow(Record):
    """The prediction for one image.

    Attributes:
        image: The input file.
        width_px: Width of the image; None if it could not be read.
        height_px: Height of the image, likewise.
        labels: One label, or one per box; empty where nothing is classified.
        confidences: The probability of each label.
        latency_ms: Time in the runtime alone, in milliseconds.
        tiled: Whether the image was cut into tiles.
        denoised: The denoised file, if any.
        noisy: The file with added noise, if any.
        error: The reason of a failure, if any.
    """

    image: str
    width_px: int | None = None
    height_px: int | None = None
    labels: tuple[str, ...] = ()
    confidences: tuple[float, ...] = ()
    latency_ms: float | None = None
    tiled: bool = False
    denoised: str | None = None
    noisy: str | None = None
    error: str | None = None


def run_job(
    predictor: Predictor, job: Job, *, progress: ProgressCallback | None = None
) -> list[PredictionRow]:
    """Predict all images; a failed one does not stop the others.

    Args:
        predictor: An opened package.
        job: Which images to predict, and how.
        progress: Called after each image.

    Returns:
        One row per image, also written to ``predictions.json``.

    Raises:
        InputError: There is no image, boxes are missing, ``out`` holds older results, or ``out``
            holds the images.
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
    finally:  # an interrupt keeps the rows of the files that are written
        listing = json.dumps([row.model_dump(mode="json") for row in rows], indent=2) + "\n"
        write_atomically(job.out / PREDICTIONS, listing.encode())
    return rows


def scale_note(manifest: Manifest, rows: Sequence[PredictionRow]) -> str | None:
    """Return a sentence about labels that were made at another scale than was validated, if any.

    Training and validation resample the central square of a labelled image to ``size_px``, while a
    prediction takes the image as it is. The scales agree where its shorter side is ``size_px``.
    There is no note on boxes, which are resampled one by one, or after a training on pairs, which
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
    """Read ``{"image.png": [[left, top, right, bottom], ...]}``; keys may be paths in a folder.

    Raises:
        InputError: The file is not such JSON.
    """
    try:
        entries = json.loads(path.read_bytes())
        boxes = {name: np.array(rows, dtype=np.float32) for name, rows in entries.items()}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "check the path") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} does not list boxes ({error})",
            'write {"image.png": [[left, top, right, bottom], ...]}',
        ) from error
    return boxes


@dataclass(frozen=True)
class _Task:
    """One image to predict.

    Attributes:
        source: The file.
        name: The path in its folder, with forward slashes; the file name without a folder.
        target: The denoised file without a suffix, which is known later.
    """

    source: Path
    name: str
    target: Path

    def denoised(self, suffix: str) -> Path:
        """Return the file of the denoised image."""
        return self.target.with_name(f"{self.target.name}{suffix}")

    def noisy(self, suffix: str) -> Path:
        """Return the file of the image with added noise."""
        return self.target.with_name(f"{self.target.name}.noisy{suffix}")


def _plan(job: Job) -> Iterator[_Task]:
    """Return all tasks: each result goes to the same sub-folder, under a free name."""
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
    """Return each image with its path in the given folder."""
    for path in job.paths:
        if not os.path.isdir(path):  # unlike Path.is_dir, false without permission
            yield path, Path(path.name)
            continue
        is_inside = path.resolve() in job.out.resolve().parents
        for source in images_in(path, without=job.out if is_inside else None):
            yield source, source.relative_to(path)


def _names(job: Job, task: _Task) -> set[Path]:
    """Return the names that an image occupies in ``out``, without suffixes."""
    return {task.denoised("")} if job.noise is None else {task.denoised(""), task.noisy("")}


def _require_boxes(predictor: Predictor, job: Job) -> None:
    """Refuse once, and not for each image, what cannot work for any."""
    if predictor.takes_boxes and job.boxes is None:
        manifest = predictor.manifest
        alone = ", or clean only with --mode image" if manifest.denoises else ""
        raise InputError(
            f"{manifest.name} classifies boxes, but none were given",
            f"list them with --boxes FILE.json{alone}",
        )


def _require_room(job: Job, plan: Sequence[_Task]) -> None:
    """Refuse to overwrite the input images, or older results unless allowed."""
    if not plan:
        raise InputError("no image was given", "give image files, or folders of them")
    sources = {task.source.resolve() for task in plan}
    for task in plan:
        for name in _names(job, task):
            for suffix in (task.source.suffix, ".png"):
                target = name.with_name(f"{name.name}{suffix}")
                if target.resolve() in sources:
                    raise InputError(
                        f"{target} would be replaced by its denoised image", "choose another --out"
                    )
    if job.out.exists() and not job.out.is_dir():
        raise InputError(f"{job.out} is a file", "choose a folder for --out")
    if job.out.is_dir() and any(job.out.iterdir()) and not job.overwrite:
        raise InputError(
            f"{job.out} is not empty", "choose another --out, or allow it with --overwrite"
        )


def _one(predictor: Predictor, job: Job, index: int, task: _Task) -> PredictionRow:
    try:
        image = read_image(task.source)
        boxes = _boxes_of(predictor, job, task)
        noisy_path = denoised_path = None
        if job.noise is not None:
            image = _add_noise(image, job.noise, seed=job.seed, index=index)
            noisy_path = task.noisy(lossless_suffix(image, task.source.suffix))
            write_image(noisy_path, image)
        prediction = predictor(image, boxes=boxes)
        if prediction.denoised is not None:
            suffix = lossless_suffix(prediction.denoised, task.source.suffix)
            denoised_path = task.denoised(suffix)
            write_image(denoised_path, prediction.denoised)
    except TapetumError as error:
        return PredictionRow(image=str(task.source), error=str(error))
    size_px = image.pixels.shape[1:]
    return _row(task.source, size_px, denoised_path, noisy_path, prediction)


def _add_noise(image: DecodedImage, noise: Noise, *, seed: int, index: int) -> DecodedImage:
    return replace(image, pixels=add_noise(image.pixels, noise, generator_for(seed, index)))


def _boxes_of(predictor: Predictor, job: Job, task: _Task) -> NDArray[np.float32] | None:
    if not predictor.takes_boxes or job.boxes is None:
        return None
    for name in (task.name, task.source.name):
        if name in job.boxes:
            return job.boxes[name]
    raise InputError(
        f"{predictor.manifest.name} classifies boxes, but none are listed for {task.name}",
        "add them to the --boxes file",
    )


def _knows_pairs(manifest: Manifest) -> bool:
    """Whether the network was validated on paired images."""
    scores = manifest.scores
    return scores is not None and all(row.noise is None for row in scores.rows)


def _row(
    source: Path,
    size_px: tuple[int, ...],
    denoised: Path | None,
    noisy: Path | None,
    prediction: Prediction,
) -> PredictionRow:
    height_px, width_px = size_px
    return PredictionRow(
        image=str(source),
        width_px=width_px,
        height_px=height_px,
        labels=prediction.labels,
        confidences=prediction.confidences,
        latency_ms=prediction.latency_ms,
        tiled=prediction.tiled,
        denoised=None if denoised is None else str(denoised),
        noisy=None if noisy is None else str(noisy),
    )
