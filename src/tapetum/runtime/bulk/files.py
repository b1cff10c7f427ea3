"""Predict one file: all its frames in, one file with as many frames out, and a row for each."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
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
from tapetum.noise import Noise, Protocol, add_noise, generator_for_image
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
    """Read, predict and write frame by frame, so that one frame is in memory at a time."""
    facts = inspect_image(task.source)
    is_large = facts.num_frames == 1 and facts.width_px * facts.height_px > LARGE_PIXELS
    if is_large and job.noise is None and predictor.takes_bands:
        return [_predict_large(predictor, job, execution, task)]
    boxes, rows = _boxes_of(predictor, job, task), list[dict[str, Any]]()

    def denoised() -> Iterator[DecodedImage]:
        for number, frame in enumerate(_frames(predictor, job, execution, task)):
            prediction = predictor(frame, boxes=boxes)
            height, width = frame.pixels.shape[1:]
            rows.append(
                {"frame": number, "height_px": height, "width_px": width} | _values(job, prediction)
            )
            if prediction.denoised is not None:
                yield prediction.denoised

    written: dict[str, _Written] = {}
    if job.noise is not None:  # equal seeds add equal noise, so it is added again below
        noisy = _frames(predictor, job, execution, task)
        written["noisy"] = _write(job, task, noisy, facts.num_frames, kind=".noisy")
    images = denoised()
    first = next(images, None)  # without images all labels are there now
    if first is not None:
        written["denoised"] = _write(job, task, chain([first], images), facts.num_frames)
    notes = [file.note for file in written.values() if file.note]  # of all frames in it
    paths = {name: file.path for name, file in written.items()}
    for row in rows:
        row["warnings"] = tuple(dict.fromkeys([*row["warnings"], *notes]))
    return [row_of(task, num_frames=len(rows), **row, **paths) for row in rows]


def _frames(
    predictor: Predictor, job: Job, execution: Execution, task: Task
) -> Iterator[DecodedImage]:
    """Read the frames of a file, with the noise of the job."""
    white, most = predictor.manifest.preparation.white, execution.max_megapixels
    scores = predictor.manifest.scores
    protocol = scores.protocol if scores else "benchmark"  # as the network was trained
    for frame in read_frames(task.source, white=white, max_megapixels=most):
        if job.noise is not None:
            frame = predictor.manifest.preparation.in_channels(frame)
            frame = _noisy(frame, job.noise, job.seed, protocol)
        yield frame


def _predict_large(
    predictor: Predictor, job: Job, execution: Execution, task: Task
) -> PredictionRow:
    white, most = predictor.manifest.preparation.white, execution.max_megapixels
    image = read_stored(task.source, white=white, max_megapixels=most)
    prediction, denoised = predictor.predict_stored(image)
    written = None if denoised is None else _write(job, task, iter([denoised]), 1)
    notes = [] if written is None or written.note is None else [written.note]
    return row_of(
        task,
        height_px=image.samples.shape[0],
        width_px=image.samples.shape[1],
        denoised=None if written is None else written.path,
        **_values(job, prediction)
        | {"warnings": (*prediction.warnings, *(denoised or image).notes, *notes)},
    )


def _noisy(frame: DecodedImage, noise: Noise, seed: int, protocol: Protocol) -> DecodedImage:
    generator = generator_for_image(frame.pixels, seed)
    return replace(frame, pixels=add_noise(frame.pixels, noise, generator, protocol=protocol))


def _write(
    job: Job,
    task: Task,
    frames: Iterator[DecodedImage | StoredImage],
    num_frames: int,
    *,
    kind: str = "",
) -> _Written:
    """Write frames to one file."""
    first = next(frames)
    suffix, note = output_format(
        first, job.file_format, suffix=task.source.suffix, num_frames=num_frames
    )
    path = task.result(suffix, kind=kind)
    write_frames(path, chain([first], frames), num_frames=num_frames)
    return _Written(as_text(path), note)


def _values(job: Job, prediction: Prediction) -> dict[str, Any]:
    """Return the values of a row that come from the prediction."""
    names = ["labels", "confidences", "latency_ms", "prepare_ms", "passes", "tiled"]
    names += ["brightness", "warnings"]
    if job.probabilities or job.top_k > 1:
        names.append("by_class")
    return {name: getattr(prediction, name) for name in names}


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
