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
from tapetum.records import Record, read_json, write_atomically
from tapetum.runtime.image import output_format, read_image, write_image
from tapetum.runtime.inputs import images_in
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.predictor import Predictor

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

    Labels, confidences, latency and tiling are those of :class:`Prediction`; the size of an image
    that could not be read is None.

    Attributes:
        image: The input file.
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
            rows.append(_row(predictor, job, index, task))
            if progress is not None:
                progress(index + 1, len(plan), "predicting")
    finally:  # an interrupt keeps the rows of the files that are written
        listing = json.dumps([row.model_dump(mode="json") for row in rows], indent=2) + "\n"
        write_atomically(job.out / PREDICTIONS, listing.encode())
    return rows


def scale_note(manifest: Manifest, rows: Sequence[PredictionRow]) -> str | None:
    """Return a sentence about labels that were made at another scale than was validated, if any.

    Validation resamples the central square of a labelled image to ``size_px``, while a prediction
    takes the image as it is. Boxes are resampled one by one and pairs are not: neither has a note.
    """
    scores = manifest.scores
    is_paired = scores is not None and all(row.noise is None for row in scores.rows)
    if manifest.labels != "whole" or is_paired:
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
        entries = read_json(path)
        return {name: np.array(rows, dtype=np.float32) for name, rows in entries.items()}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path} does not list boxes ({error})",
            'write {"image.png": [[left, top, right, bottom], ...]}',
        ) from error


@dataclass(frozen=True)
class _Task:
    """One image to predict, its path in its folder, and the denoised file without a suffix."""

    source: Path
    name: str
    target: Path

    def denoised(self, suffix: str) -> Path:
        return self.target.with_name(f"{self.target.name}{suffix}")

    def noisy(self, suffix: str) -> Path:
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


def _row(predictor: Predictor, job: Job, index: int, task: _Task) -> PredictionRow:
    """Predict one image and write its files."""
    try:
        image = read_image(task.source)
        boxes = _boxes_of(predictor, job, task)
        noisy_path = denoised_path = None
        if job.noise is not None:
            pixels = add_noise(image.pixels, job.noise, generator_for(job.seed, index))
            image = replace(image, pixels=pixels)
            noisy_path = task.noisy(output_format(image, suffix=task.source.suffix).suffix)
            write_image(noisy_path, image)
        prediction = predictor(image, boxes=boxes)
        if prediction.denoised is not None:
            denoised = prediction.denoised.as_file_of(image)
            suffix = output_format(denoised, suffix=task.source.suffix).suffix
            denoised_path = task.denoised(suffix)
            write_image(denoised_path, denoised)
    except TapetumError as error:
        return PredictionRow(image=str(task.source), error=str(error))
    height_px, width_px = image.pixels.shape[1:]
    return PredictionRow(
        image=str(task.source),
        width_px=width_px,
        height_px=height_px,
        labels=prediction.labels,
        confidences=prediction.confidences,
        latency_ms=prediction.latency_ms,
        tiled=prediction.tiled,
        denoised=None if denoised_path is None else str(denoised_path),
        noisy=None if noisy_path is None else str(noisy_path),
    )


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
