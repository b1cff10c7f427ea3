"""Workers that perform pieces of a race: processes of this machine, or of a Ray cluster.

A worker computes with one thread, on a core of its own where the process may use all cores that it
sees. It lives as long as the race, so that torch is loaded once. A worker that dies costs the piece
in hand, which another one performs again.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from queue import SimpleQueue
from typing import IO, Any, Protocol, cast

from tapetum.allocator import relaunch_environment
from tapetum.errors import InterruptedTrainingError, MissingExtraError, TapetumError
from tapetum.progress import stop_requests
from tapetum.provenance import require_cores, usable_cores
from tapetum.runtime import bulk
from tapetum.search.work import Task, Work, perform
from tapetum.training import ShortTraining, prepare_process

__all__ = ["Workers", "open_workers", "perform_all"]

_BETWEEN_LOOKS_S = 0.1
_OF_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
_log = logging.getLogger(__name__)


class Workers(Protocol):
    """Several processes that perform work, each one piece at a time."""

    size: int

    def perform(self, work: Work) -> None:
        """Perform work in the next free worker; called by as many threads as there are workers.

        Raises:
            bulk.DiedError: The worker was killed.
            TapetumError: The result cannot be written.
        """

    def stop(self) -> None:
        """End all workers at once."""


@contextmanager
def open_workers(workers: int | None = None, ray: str | None = None) -> Iterator[Workers]:
    """Start workers, which end with the context.

    Args:
        workers: Number of processes on this machine, by default one a core, or fewer on a GPU
            that has no memory for so many; or of tasks at once on the cluster, by default as many
            as it has cores.
        ray: Address of a Ray cluster whose machines see the same files under the same paths;
            ``local`` starts one here.

    Raises:
        InputError: There are not so many cores, or there is no such cluster.
        MissingExtraError: Ray is wanted and missing.
    """
    if ray is None:
        if workers is not None:
            require_cores(workers, "workers")
        here = _LocalWorkers(workers or ShortTraining.most_at_once())
        try:
            yield here
        finally:
            here.stop()
        return
    if find_spec("ray") is None:
        raise MissingExtraError.of("ray", "ray")
    with bulk.ray_cluster(ray, cpus=workers) as cluster:
        yield _RayWorkers(cluster, workers)


def perform_all(
    workers: Workers,
    works: Sequence[Work],
    *,
    tick: Callable[[Work], None],
    give_up: Callable[[Work, str], None],
) -> None:
    """Perform all works whose results are missing.

    Args:
        workers: Who performs them.
        works: In the order in which they begin.
        tick: Called after each one, in this thread; also for those that were there.
        give_up: Called before where every worker of a work has died, with the reason.

    Raises:
        TapetumError: A result cannot be written.
        InterruptedTrainingError: Ctrl-C was pressed.
    """
    is_over = threading.Event()
    with ThreadPoolExecutor(workers.size) as threads, stop_requests() as stop:
        waiting: dict[Future[str], Work] = {}
        try:
            for work in works:
                waiting[threads.submit(_insist, workers, work, is_over)] = work
            while waiting:
                done, _ = wait(waiting, _BETWEEN_LOOKS_S, FIRST_COMPLETED)
                for future in done:
                    work = waiting.pop(future)
                    fault = future.result()
                    if fault:
                        give_up(work, fault)
                    tick(work)
                if stop.is_set():
                    raise InterruptedTrainingError(
                        "the race was interrupted; what has ended is kept",
                        "run the same command again with --resume to continue",
                        signal_number=stop.signal_number,
                    )
        except BaseException:
            is_over.set()
            threads.shutdown(wait=False, cancel_futures=True)
            workers.stop()
            raise


def _insist(workers: Workers, work: Work, is_over: threading.Event) -> str:
    """Perform work again when its worker dies; return why it cannot be performed, or nothing."""
    for death in range(1, bulk.MOST_DEATHS + 1):
        if work.out.exists():
            return ""
        try:
            workers.perform(work)
        except bulk.DiedError:
            if is_over.is_set():  # it was stopped
                return ""
            _log.warning("a worker was killed at %s (%d)", work.out.name, death)
        else:
            return ""
    return f"its worker was killed {bulk.MOST_DEATHS} times; it may need more memory"


class _LocalWorkers:
    """Processes of this machine."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._all = [_Process(core) for core in _cores(size)]
        for process in self._all:
            self._idle.put(process)

    def perform(self, work: Work) -> None:
        process = self._idle.get()
        try:
            process.perform(work)
        finally:
            self._idle.put(process)

    def stop(self) -> None:
        for process in self._all:
            process.stop()


class _Process:
    """A worker process; it is started with its first work, and again after its death."""

    def __init__(self, core: int | None) -> None:
        self._core = core
        self._running: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_stopped = False

    def perform(self, work: Work) -> None:
        running = self._started()
        try:
            stream = cast("IO[bytes]", running.stdin)
            stream.write(Task(work=work).model_dump_json().encode() + b"\n")
            stream.flush()
            answer = cast("IO[bytes]", running.stdout).readline()
        except (OSError, ValueError):  # a broken pipe, or one that was closed
            answer = b""
        if not answer.endswith(b"\n"):
            self._end()
            raise bulk.DiedError
        words = json.loads(answer)
        if words:
            raise TapetumError(**words)

    def stop(self) -> None:
        self._is_stopped = True
        self._end()

    def _started(self) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._is_stopped:
                raise bulk.DiedError
            if self._running is None:
                core = [] if self._core is None else [str(self._core)]
                self._running = subprocess.Popen(  # noqa: S603 - the command is ours
                    # -P: the current folder must not provide modules.
                    [sys.executable, "-P", "-m", "tapetum.search.worker", *core],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C is for the command, which ends its workers
                )
            return self._running

    def _end(self) -> None:
        with self._lock:
            running, self._running = self._running, None
        if running is None:
            return
        running.kill()  # it keeps nothing that a kill could damage
        running.wait()
        for stream in (running.stdin, running.stdout):
            with suppress(OSError):
                cast("IO[bytes]", stream).close()


class _RayWorkers:
    """Tasks of a Ray cluster, one a core."""

    def __init__(self, ray: Any, most: int | None) -> None:
        self.size = min(bulk.num_cpus(ray), most or sys.maxsize)
        self._ray = ray
        self._remote = ray.remote(num_cpus=1, max_retries=0)(_perform_with_one_thread)
        self._tasks: set[Any] = set()
        self._is_stopped = False

    def perform(self, work: Work) -> None:
        if self._is_stopped:
            raise bulk.DiedError
        errors, task = self._ray.exceptions, self._remote.remote(work)
        self._tasks.add(task)
        try:
            self._ray.get(task)
        except errors.RayTaskError as error:
            if isinstance(error.cause, TapetumError):
                raise error.cause from error
            raise
        except errors.RayError as error:  # its process or its machine was lost
            raise bulk.DiedError from error
        finally:
            self._tasks.discard(task)

    def stop(self) -> None:
        self._is_stopped = True
        for task in list(self._tasks):
            self._ray.cancel(task, force=True)


def _perform_with_one_thread(work: Work) -> None:
    prepare_process(threads=1)
    perform(work)


def _cores(size: int) -> list[int | None]:
    """Return a core for each worker; none where a quota, not the cores, limits this process."""
    if not hasattr(os, "sched_getaffinity"):
        return [None] * size
    allowed = sorted(os.sched_getaffinity(0))
    # Processes that share a machine by quotas would all choose its first cores.
    return [*allowed[:size]] if len(allowed) == usable_cores() >= size else [None] * size


def _environment() -> dict[str, str]:
    """Return the environment of a worker: one thread, and nothing of torchrun."""
    environment = relaunch_environment() or dict(os.environ)
    environment |= {"OMP_NUM_THREADS": "1"}
    return {name: value for name, value in environment.items() if name not in _OF_TORCHRUN}
