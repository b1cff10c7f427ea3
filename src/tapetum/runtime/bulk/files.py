"""Predict one file: all its frames in, one file with as many frames out, and a row for each."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError, TapetumError
from tapetum.images import (
    DecodedImage,
    StoredImage,
    inspect_image,
    output_format,
    read_frames,
    read_stored,
    write_frames,
)
from tapetum.noise import Noise, add_noise, generator_for_image
from tapetum.runtime.bulk.job import Execution, Job, as_text
from tapetum.runtime.bulk.plan import Task
from tapetum.runtime.bulk.rows import PredictionRow
from tapetum.runtime.large import LARGE_PIXELS
from tapetum.runtime.prediction import Prediction
from tapetum.runtime.predictor import Predictor

__all__ = ["predict_file", "row_of"]

# Where nothing can be written, every other image would fail as well.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class _Written(NamedTuple):
    """A file that was written, and what was lost in it."""

    path: str
    note: str | None


def predict_file(
    predictor: Predictor, job: Job, execution: Execution, task: Task
) -> list[PredictionRow]:
    """Predict all frames of a file and write its results.

    Returns:
        One row for each frame; a single row with the reason where there is no prediction.

    Raises:
        DataError: No file can be written any more.
    """
    if task.left_out is not None:
        return [row_of(task, left_out=task.left_out)]
    try:
        return _predict(predictor, job, execution, task)
    except MemoryError:
        return [row_of(task, error="out of memory")]
    except (TapetumError, OSError) as error:
        if _is_full(error):
            raise
        return [row_of(task, error=str(error))]


def row_of(task: Task, **values: Any) -> PredictionRow:
    """Return a row of a task with some values."""
    return PredictionRow(name=task.name, image=as_text(task.source), **values)


def _predict(
    predictor: Predictor, job: Job, execution: Execution, task: Task
) -> list[PredictionRow]:
    white = predictor.manifest.preparation.white
    if job.noise is None and predictor.takes_bands and _is_large(task):
        return [_predict_large(predictor, job, execution, task)]
    frames = list(read_frames(task.source, white=white, max_megapixels=execution.max_megapixels))
    written: dict[str, _Written] = {}
    if job.noise is not None:
        frames = [_noisy(frame, job.noise, job.seed) for frame in frames]
        written["noisy"] = _write(job, task, frames, kind=".noisy")
    boxes = _boxes_of(predictor, job, task)
    predictions = [predictor(frame, boxes=boxes) for frame in frames]
    images = [each.denoised for each in predictions if each.denoised is not None]
    if images:
        written["denoised"] = _write(job, task, images)
    notes = [file.note for file in written.values() if file.note]
    notes += [note for image in images for note in image.notes]
    return [
        row_of(
            task,
            frame=number,
            num_frames=len(frames),
            height_px=frame.pixels.shape[1],
            width_px=frame.pixels.shape[2],
            warnings=tuple(dict.fromkeys([*(prediction.denoised or frame).notes, *notes])),
            **{name: file.path for name, file in written.items()},
            **_values(job, prediction),
        )
        for number, (frame, prediction) in enumerate(zip(frames, predictions, strict=True))
    ]


def _is_large(task: Task) -> bool:
    """Whether a file holds a single image whose floats would take too much memory."""
    facts = inspect_image(task.source)
    return facts.num_frames == 1 and facts.width_px * facts.height_px > LARGE_PIXELS


def _predict_large(
    predictor: Predictor, job: Job, execution: Execution, task: Task
) -> PredictionRow:
    white, most = predictor.manifest.preparation.white, execution.max_megapixels
    image = read_stored(task.source, white=white, max_megapixels=most)
    prediction, denoised = predictor.predict_stored(image)
    written = None if denoised is None else _write(job, task, [denoised])
    notes = [] if written is None or written.note is None else [written.note]
    return row_of(
        task,
        height_px=image.samples.shape[0],
        width_px=image.samples.shape[1],
        warnings=(*image.notes, *notes),
        denoised=None if written is None else written.path,
        **_values(job, prediction),
    )


def _noisy(frame: DecodedImage, noise: Noise, seed: int) -> DecodedImage:
    generator = generator_for_image(frame.pixels, seed)
    return replace(frame, pixels=add_noise(frame.pixels, noise, generator))


def _write(
    job: Job, task: Task, frames: Sequence[DecodedImage | StoredImage], *, kind: str = ""
) -> _Written:
    """Write frames to one file."""
    suffix, note = output_format(
        frames[0], job.file_format, suffix=task.source.suffix, num_frames=len(frames)
    )
    path = task.result(suffix, kind=kind)
    write_frames(path, frames)
    return _Written(as_text(path), note)


def _values(job: Job, prediction: Prediction) -> dict[str, Any]:
    """Return the values of a row that come from the prediction."""
    wants_classes = job.probabilities or job.top_k > 1
    return {
        "labels": prediction.labels,
        "confidences": prediction.confidences,
        "by_class": prediction.by_class if wants_classes else (),
        "latency_ms": prediction.latency_ms,
        "prepare_ms": prediction.prepare_ms,
        "passes": prediction.passes,
        "tiled": prediction.tiled,
    }


def _boxes_of(predictor: Predictor, job: Job, task: Task) -> NDArray[np.float32] | None:
    if not predictor.takes_boxes or job.boxes is None:
        return None
    for name in (task.name, task.source.name):
        if name in job.boxes:
            return job.boxes[name]
    raise InputError(
        f"{predictor.manifest.name} classifies boxes, but none are listed for {task.name}",
        "add them to the --boxes file",
    )


def _is_full(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, TapetumError) else error
    return isinstance(cause, OSError) and cause.errno in _NO_ROOM
