"""Share a job among processes, of this machine or of a Ray cluster; a killed one loses nothing.

Each worker predicts a shard. When it dies it is started again and continues behind the rows that it
has written. If it dies a second time without a new row, the file in hand gets a row with that error
and is passed over.
"""

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Protocol, cast

from tapetum.errors import RunError, TapetumError
from tapetum.runtime.bulk.job import Execution, Job
from tapetum.runtime.bulk.message import Message
from tapetum.runtime.bulk.plan import Shard
from tapetum.runtime.bulk.rows import path_of, row_files

__all__ = ["MOST_DEATHS", "DiedError", "Start", "Worker", "share"]

COMPLETE, BAD_INPUT, STOPPED = 0, 2, 3
"""Exit codes of a worker."""

MOST_DEATHS = 3
"""Of workers at one piece of work, in a row; then it is given up."""
FIRST_FRAME = b'"frame": 0,'

_BETWEEN_LOOKS_S = 0.1
_log = logging.getLogger(__name__)


class DiedError(Exception):
    """A worker has ended without a word."""


class Worker(Protocol):
    """A process that predicts one shard."""

    def poll(self) -> bool | None:
        """Return whether the shard is complete, None while the worker runs.

        Raises:
            DiedError: The worker was killed.
            TapetumError: The worker cannot go on.
        """

    def stop(self) -> None:
        """Ask the worker to end after its image in hand."""


Start = Callable[[Shard, bool], Worker]
"""Starts a worker for a shard; true where the first image is to be passed over."""


def share(
    job: Job,
    execution: Execution,
    lock: int | None,
    *,
    should_stop: Callable[[], bool],
    tick: Callable[[int, int], None],
) -> bool:
    """Predict all images that have no rows yet, with workers.

    Args:
        job: What to predict; its paths are absolute.
        execution: How to share the work.
        lock: Descriptor of the folder's lock, which local workers hold too.
        should_stop: Asked several times a second.
        tick: Called as often with the number of files that have rows, and of the new ones.

    Returns:
        Whether the job is complete.
    """
    if execution.ray is not None:
        from tapetum.runtime.bulk.cluster import ray_workers

        with ray_workers(job, execution) as (count, start):
            return _supervise(job, count, start, should_stop, tick)
    here = partial(_LocalWorker, lock, job, execution)
    return _supervise(job, execution.workers or 1, here, should_stop, tick)


def _supervise(
    job: Job,
    count: int,
    start: Start,
    should_stop: Callable[[], bool],
    tick: Callable[[int, int], None],
) -> bool:
    """Run a worker for each shard; start those again that die."""
    counter, deaths = _RowCounter(job.out), Counter[tuple[Shard, int]]()
    done = before = counter.count()
    shards = [Shard(index, count) for index in range(1, count + 1)]
    running = {shard: start(shard, False) for shard in shards}
    is_complete = True
    try:
        while running:
            time.sleep(_BETWEEN_LOOKS_S)
            stops = should_stop()
            for shard in list(running):
                worker = running.pop(shard)
                if stops:
                    worker.stop()
                try:
                    state = worker.poll()
                except DiedError:
                    if not stops:
                        worker = start(shard, _must_pass_over(job, shard, deaths))
                    state = False if stops else None
                if state is None:
                    running[shard] = worker
                else:
                    is_complete = is_complete and state
            done, last = counter.count(), done
            if done != last:
                tick(done, done - before)
    finally:
        _wait_for(running.values())
    return is_complete


def _wait_for(workers: Iterable[Worker]) -> None:
    """Let workers end after their images in hand; an error is on its way already."""
    for worker in workers:
        worker.stop()
    for worker in workers:
        with suppress(DiedError, TapetumError):
            while worker.poll() is None:
                time.sleep(_BETWEEN_LOOKS_S)


def _must_pass_over(job: Job, shard: Shard, deaths: Counter[tuple[Shard, int]]) -> bool:
    """Count a death, and return whether the image in hand was fatal before."""
    rows = path_of(job.out, shard)
    key = shard, rows.stat().st_size if rows.exists() else 0
    deaths[key] += 1
    if deaths[key] > MOST_DEATHS:
        raise RunError(
            f"the worker of shard {shard.index}/{shard.count} was killed {deaths[key]} times "
            "without predicting an image",
            "give it more memory, or use fewer workers",
        )
    _log.warning(
        "the worker of shard %d/%d was killed and is started again", shard.index, shard.count
    )
    return deaths[key] > 1


class _RowCounter:
    """Counts the files that have rows while workers write them."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._seen: dict[Path, int] = {}
        self._count = 0

    def count(self) -> int:
        """Return the number of files with rows; only new rows are read."""
        for path in row_files(self._out):
            with path.open("rb") as file:
                file.seek(self._seen.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._seen[path] = self._seen.get(path, 0) + len(line)
                    self._count += FIRST_FRAME in line
        return self._count


class _LocalWorker:
    """A process on this machine; it ends when this one closes its input, or dies."""

    def __init__(
        self, lock: int | None, job: Job, execution: Execution, shard: Shard, suspect: bool
    ) -> None:
        self._process = subprocess.Popen(
            # -P: the current folder must not provide modules.
            [sys.executable, "-P", "-m", "tapetum.runtime.bulk.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,  # Ctrl-C is for the command, which asks its workers to end
        )
        self._input = cast("IO[bytes]", self._process.stdin)
        with suppress(BrokenPipeError):
            self._input.write(Message(job, execution, shard, suspect).to_json())
            self._input.flush()

    def poll(self) -> bool | None:
        code = self._process.poll()
        if code is None:
            return None
        self.stop()
        with cast("IO[bytes]", self._process.stdout) as output:
            words = output.read()
        if code == BAD_INPUT and words:
            raise TapetumError(**json.loads(words))
        if code not in (COMPLETE, STOPPED):
            raise DiedError
        return code == COMPLETE

    def stop(self) -> None:
        with suppress(BrokenPipeError):
            self._input.close()
