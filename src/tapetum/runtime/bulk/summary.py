"""Progress while a job runs, and the summary of its rows."""

import time
from collections import Counter

from tapetum.progress import ProgressCallback
from tapetum.runtime.bulk.job import Job, Summary
from tapetum.runtime.bulk.plan import Shard, about_how_many
from tapetum.runtime.bulk.rows import read_rows
from tapetum.runtime.package import open_package

__all__ = ["Clock", "summary_of"]

MOST_WARNINGS = 100


class Clock:
    """Counts the files of this command, and reports count and rate."""

    def __init__(self, job: Job, shard: Shard, progress: ProgressCallback) -> None:
        self._progress = progress
        self._total = about_how_many(job) // shard.count
        self._start = time.monotonic()
        self._num_new = 0

    def tick(self, done: int, new: int) -> None:
        """Report that ``done`` files have rows, ``new`` of them by this command."""
        self._num_new = new
        rate = "" if self.rate is None else f", {self.rate:.3g} files a second"
        self._progress(done, max(done, self._total), f"predicting{rate}, in about files")

    @property
    def seconds(self) -> float:
        """Time since the beginning of this command."""
        return time.monotonic() - self._start

    @property
    def rate(self) -> float | None:
        """Number of files that this command did in each second; None if there were none."""
        return self._num_new / max(self.seconds, 1e-9) if self._num_new else None


def summary_of(job: Job, shard: Shard, clock: Clock) -> Summary:
    """Return the summary of the rows of a part of the images.

    Labels that were useless on the held-out images of the package are warned of first.
    """
    done, failed, left_out = 0, 0, 0
    latency_ms = prepare_ms = 0.0
    labels: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    for row in read_rows(job.out, shard):
        failed += row.error is not None
        left_out += row.left_out is not None
        if row.is_done:
            done += 1
            latency_ms += row.latency_ms or 0.0
            prepare_ms += row.prepare_ms or 0.0
            labels.update(row.labels)
            warnings.update(row.warnings)
            if len(warnings) > 2 * MOST_WARNINGS:  # one for each image would fill the memory
                warnings = Counter(dict(warnings.most_common(MOST_WARNINGS)))
    scores = open_package(job.package).manifest.scores if labels else None
    fault = scores and scores.label_fault
    useless = {f"do not rely on the label: on held-out images {fault}": done} if fault else {}
    return Summary(
        num_images=done,
        num_failed=failed,
        num_left_out=left_out,
        labels=dict(labels.most_common()),
        warnings={**useless, **dict(warnings.most_common(MOST_WARNINGS))},
        mean_latency_ms=latency_ms / done if done else None,
        mean_prepare_ms=prepare_ms / done if done else None,
        seconds=clock.seconds,
        files_per_second=clock.rate,
    )
