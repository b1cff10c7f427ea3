"""Run a job: alone, shared by workers, or as one shard of commands that do not know each other."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from tapetum.errors import InputError, RunError
from tapetum.images import DecodedImage, output_format
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Folder, hold
from tapetum.runtime.bulk.job import KIND, Execution, Job, Request, Summary
from tapetum.runtime.bulk.joining import PARQUET, join_rows, write_parquet
from tapetum.runtime.bulk.plan import WHOLE, Shard, require_images
from tapetum.runtime.bulk.pool import share
from tapetum.runtime.bulk.rows import ROWS, drop_failures, path_of, row_files
from tapetum.runtime.bulk.shards import open_predictor, predict_shard
from tapetum.runtime.bulk.summary import Clock, summary_of

__all__ = ["run_job"]

ALONE = Execution()
# The workers of a killed command end after their image in hand.
WAIT_S = 20.0

_log = logging.getLogger(__name__)

_Folder = Folder[Request, Summary]
_Stop = Callable[[], bool]


def run_job(
    job: Job,
    execution: Execution = ALONE,
    *,
    shard: Shard = WHOLE,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    should_stop: _Stop = lambda: False,
) -> Summary | None:
    """Predict all images of a job; one that fails does not stop the others.

    Args:
        job: Which images to predict.
        execution: How to share the work.
        shard: The part of the images that this call predicts. Calls for other parts may run at the
            same time in the same folder; the last one joins their rows.
        resume: Whether to continue an earlier job of the same request. Files that failed or were
            left out are tried again.
        overwrite: Whether to remove an earlier job at ``job.out``, with all of its results; one
            that has predicted nothing always makes room.
        progress: Called after each image.
        should_stop: Asked before each image, so that a stop leaves whole images only.

    Returns:
        The summary, as ``result.json`` keeps it, or that of the shard; None if the work was
        stopped and can be continued.

    Raises:
        InputError: There is no image or no such format of files, boxes are missing, or an image
            lies inside of ``out``.
        RunError: ``out`` holds something else, or another command is writing to it.
        PackageError: The package cannot be run.
    """
    if shard != WHOLE and (overwrite or execution.is_shared):
        raise InputError(
            "a shard is predicted by one process, and never replaces the others",
            "leave out --overwrite, --workers and --ray, or leave out --shard",
        )
    if job.file_format is not None:
        dot = DecodedImage(np.zeros((1, 1, 1), np.float32), None, 8, "grey")
        output_format(dot, job.file_format)
    if resume and (job.out / PARQUET).is_file():  # else it would keep the rows of before
        execution = replace(execution, rows="parquet")
    execution.require_extras()
    require_images(job)
    job = job.absolute()
    open_predictor(job, execution)  # refuses what cannot work before anything is written
    clock = Clock(job, shard, progress)
    if shard == WHOLE:
        wait_s = WAIT_S if resume else 0.0
        if resume:
            KIND.note_start(job.out)
        is_in_vain = not resume and not overwrite and _is_in_vain(job.out)
        if is_in_vain:
            _log.warning("the earlier job in %s predicted no image: it is replaced", job.out)
        options = {"resume": resume, "overwrite": overwrite or is_in_vain}
        with KIND.work(job.out, job.request(), **options, wait_s=wait_s) as folder:
            return _whole(folder, job, execution, clock, should_stop)
    with KIND.work(job.out, job.request(), resume=True, shared=True, wait_s=WAIT_S) as folder:
        summary = _part(folder, job, execution, shard, resume, clock, should_stop)
    _finish_after(folder, job, execution, shard)
    return summary


def _is_in_vain(out: Path) -> bool:
    """Return whether an earlier job has ended here without a prediction, so nothing is lost."""
    own = {"request.json", "result.json", *(path.name for path in row_files(out))}
    if not (out / "result.json").is_file() or {path.name for path in out.iterdir()} - own:
        return False
    with suppress(InputError):
        return KIND.open(out).result().num_images == 0
    return False


def _whole(
    folder: _Folder, job: Job, execution: Execution, clock: Clock, should_stop: _Stop
) -> Summary | None:
    """Predict all images without a prediction."""
    folder.reopen()
    for path in row_files(job.out):
        drop_failures(path)
    if execution.is_shared:
        is_complete = share(job, execution, folder.lock, should_stop=should_stop, tick=clock.tick)
    else:
        is_complete = predict_shard(job, execution, WHOLE, should_stop=should_stop, tick=clock.tick)
    return _finish(folder, job, execution, clock) if is_complete else None


def _part(
    folder: _Folder,
    job: Job,
    execution: Execution,
    shard: Shard,
    resume: bool,
    clock: Clock,
    should_stop: _Stop,
) -> Summary | None:
    """Predict one shard, beside others."""
    rows = path_of(job.out, shard)
    if not resume and (folder.is_finished or rows.exists()):
        raise RunError(
            f"shard {shard.index}/{shard.count} in {job.out} has begun already",
            "continue it with --resume",
        )
    _open_part(folder, shard)
    with hold(rows):
        if not predict_shard(job, execution, shard, should_stop=should_stop, tick=clock.tick):
            return None
        summary = summary_of(job, shard, clock)
        summary.write(_end_of(job.out, shard))
        return summary


def _open_part(folder: _Folder, shard: Shard) -> None:
    """Open a shard for more rows, one command at a time; a finished job is open again, too."""
    out, rows = folder.path, path_of(folder.path, shard)
    with hold(out / "request.json", wait_s=WAIT_S):
        if folder.is_finished:
            for end in _ends_of(out, shard.count):  # the others are complete until they are opened
                end.touch()
            folder.reopen()
        rows.touch()
        with hold(rows):
            _end_of(out, shard).unlink(missing_ok=True)
            for path in (out / ROWS, rows):
                drop_failures(path, shard)


def _finish_after(folder: _Folder, job: Job, execution: Execution, shard: Shard) -> None:
    """Finish the job if this was its last shard."""
    if not all(end.exists() for end in _ends_of(job.out, shard.count)):
        return
    with hold(job.out, wait_s=WAIT_S):
        if not folder.is_finished:
            _finish(folder, job, execution, Clock(job, WHOLE, silent))


def _finish(folder: _Folder, job: Job, execution: Execution, clock: Clock) -> Summary:
    """Join the rows and write the summary."""
    join_rows(job.out)
    summary = summary_of(job, WHOLE, clock)
    if execution.rows == "parquet":
        write_parquet(job.out)
    for end in job.out.glob("result-*-of-*.json"):
        end.unlink()
    folder.finish(summary)
    return summary


def _end_of(out: Path, shard: Shard) -> Path:
    """Return the file that says that a shard is complete."""
    return out / f"result{shard.suffix}.json"


def _ends_of(out: Path, count: int) -> list[Path]:
    return [_end_of(out, Shard(index, count)) for index in range(1, count + 1)]
