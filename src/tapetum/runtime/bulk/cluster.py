"""Workers on a Ray cluster, whose machines see the same files under the same paths."""

import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tapetum.errors import InputError, TapetumError
from tapetum.runtime.bulk.job import Execution, Job
from tapetum.runtime.bulk.plan import Shard
from tapetum.runtime.bulk.pool import DiedError, Start, Worker
from tapetum.runtime.bulk.shards import predict_shard

__all__ = ["num_cpus", "ray_cluster", "ray_workers"]

LOCAL = "local"
PIECES_PER_CPU = 4  # so that a slow machine does not hold up the end


@contextmanager
def ray_workers(job: Job, execution: Execution) -> Iterator[tuple[int, Start]]:
    """Connect to a cluster, and give the number of pieces and how to start each."""
    assert execution.ray is not None  # noqa: S101  (the caller looked)
    with ray_cluster(execution.ray) as ray:
        predict = ray.remote(num_cpus=execution.threads or 1, max_retries=0)(_predict)

        def start(shard: Shard, suspect: bool) -> Worker:
            return _RayWorker(ray, predict.remote(job, execution, shard, suspect))

        yield PIECES_PER_CPU * num_cpus(ray), start


@contextmanager
def ray_cluster(address: str, *, cpus: int | None = None) -> Iterator[Any]:
    """Connect to a Ray cluster, or start one, and give Ray's module.

    Args:
        address: Address of the cluster; ``local`` starts one here, which ends with the context.
        cpus: Number of tasks at once of one that is started here; by default one a core.

    Raises:
        InputError: There is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == LOCAL:  # else Ray makes a token below the home folder
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray as installed

    ray: Any = installed  # its functions have few types
    with tempfile.TemporaryDirectory(prefix="tapetum-", dir=_short_folder()) as place:
        try:
            with _own_signals():
                ray.init(**_options(address, place, cpus))
        except (OSError, RuntimeError, ValueError) as error:
            raise _unreachable(address, error) from error
        try:
            yield ray
        finally:
            ray.shutdown()


def _short_folder() -> str | None:
    """Return where Ray's files go, whose sockets have a limit of 103 bytes for their path.

    A folder for temporary files may have a long name, as on macOS; None takes it all the same.
    """
    is_usable = os.name == "posix" and os.access("/tmp", os.W_OK | os.X_OK)  # noqa: S108
    return "/tmp" if is_usable else None  # noqa: S108  (a folder of our own is made in it)


def _unreachable(address: str, error: Exception) -> InputError:
    if address == LOCAL:
        return InputError(
            f"Ray cannot be started here: {error}",
            "correct this, or leave --ray out: --workers uses this machine as well",
        )
    return InputError(
        f"cannot connect to the Ray cluster {address!r}: {error}",
        f"check --ray, or use {LOCAL!r} to start one here",
    )


def num_cpus(ray: Any) -> int:
    """Return the number of tasks of one thread that a connected cluster runs at once."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of Ctrl-C and SIGTERM, which Ray replaces by some that end the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _options(address: str, place: str, cpus: int | None) -> dict[str, Any]:
    quiet = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    own = {"include_dashboard": False, "_temp_dir": place, "num_cpus": cpus}
    return quiet | own if address == LOCAL else quiet


def _predict(job: Job, execution: Execution, shard: Shard, suspect: bool) -> bool:
    """Predict a shard on a machine of the cluster; what has rows is not predicted again."""
    return predict_shard(job, execution, shard, should_stop=lambda: False, suspect=suspect)


class _RayWorker:
    """A task of a cluster."""

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray = ray
        self._task = task

    def poll(self) -> bool | None:
        errors = self._ray.exceptions
        if not self._ray.wait([self._task], timeout=0)[0]:
            return None
        try:
            return bool(self._ray.get(self._task))
        except errors.TaskCancelledError:
            return False
        except errors.RayTaskError as error:
            if isinstance(error.cause, TapetumError):
                raise error.cause from error
            raise
        except errors.RayError as error:  # its process or its machine was lost
            raise DiedError from error

    def stop(self) -> None:
        self._ray.cancel(self._task)
