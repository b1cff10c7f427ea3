"""Predict one shard in this process: image by image, each with its files and its rows."""

from collections.abc import Callable, Collection
from dataclasses import replace

from tapetum.errors import InputError
from tapetum.records import changed
from tapetum.runtime.bulk.files import predict_file, row_of
from tapetum.runtime.bulk.job import Execution, Job
from tapetum.runtime.bulk.plan import Shard, plan
from tapetum.runtime.bulk.rows import DoneImages, RowsFile
from tapetum.runtime.package import open_package
from tapetum.runtime.prediction import require_labels
from tapetum.runtime.predictor import Predictor

__all__ = ["open_predictor", "predict_shard"]

_DEADLY = "the process died twice while it predicted this file; it may need more memory"


def open_predictor(job: Job, execution: Execution) -> Predictor:
    """Open the package of a job."""
    package = open_package(job.package)
    if job.white is not None:
        preparation = changed(
            package.manifest.preparation, {"white": job.white}, what="the preparation of images"
        )
        manifest = package.manifest.model_copy(update={"preparation": preparation})
        package = replace(package, manifest=manifest)
    predictor = Predictor(
        package,
        threads=1 if execution.is_shared and execution.threads is None else execution.threads,
        mode=job.mode,
        memory_mib=execution.memory_mib,
        provider=execution.provider,
        top_k=None if job.probabilities else job.top_k,
        reject_below=job.reject_below,
    )
    _refuse_idle(job, predictor.outputs)
    if job.boxes is not None and not predictor.takes_boxes:
        raise InputError(
            f"boxes were given, but {predictor.manifest.name} labels none with --mode {job.mode}",
            "leave out --boxes",
        )
    if predictor.takes_boxes and job.boxes is None:  # once, and not for each image
        manifest = predictor.manifest
        alone = ", or clean only with --mode image" if manifest.denoises else ""
        raise InputError(
            f"{manifest.name} classifies boxes, but none were given",
            f"list them with --boxes FILE.json{alone}",
        )
    return predictor


def _refuse_idle(job: Job, outputs: Collection[str]) -> None:
    """Refuse options of what is not computed."""
    given = {"--top-k": job.top_k != 1, "--probabilities": job.probabilities}
    require_labels(outputs, given | {"--reject-below": job.reject_below > 0})
    for option, is_given, has_effect, why in (
        ("--format", job.file_format is not None, "denoised" in outputs, "no image is written"),
        ("--seed", job.seed != 0, job.noise is not None, "no noise is added"),
    ):
        if is_given and not has_effect:
            raise InputError(f"{option} has no effect: {why}", "leave it out")


def predict_shard(
    job: Job,
    execution: Execution,
    shard: Shard,
    *,
    should_stop: Callable[[], bool],
    tick: Callable[[int, int], None] = lambda done, new: None,  # noqa: ARG005 - its signature
    suspect: bool = False,
) -> bool:
    """Predict the images of a shard that have no rows yet.

    Args:
        job: What to predict.
        execution: Limits.
        shard: The part of it.
        should_stop: Asked before each image.
        tick: Called after each file with the number of files that have rows, and of the new ones.
        suspect: Whether to skip the first image, because processes died of it.

    Returns:
        Whether the shard is complete.
    """
    predictor = open_predictor(job, execution)
    done, new = DoneImages(job.out), 0
    before = done.count(shard)
    with RowsFile(job.out, shard) as rows:
        for task in plan(job, shard, done=done):
            if should_stop():
                return False
            failed = [row_of(task, error=_DEADLY)] if suspect else None
            rows.add(failed or predict_file(predictor, job, execution, task))
            suspect, new = False, new + 1
            tick(before + new, new)
    return True
