"""A bounded queue of work, done in threads so that the event loop goes on."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from fastapi import HTTPException

from tapetum.serving.limits import Limits
from tapetum.serving.problems import refusal

__all__ = ["WorkQueue"]

T = TypeVar("T")

_LONGEST_RETRY_S = 60
_WEIGHT = 0.1  # of the newest duration in their moving average


class WorkQueue:
    """Some threads, and a bounded number of requests that wait for them.

    Images do not share passes of the network. On a processor a pass over 8 images saves time only
    where the network is the smallest part of a request (``benchmarks/results/serve_load.json``),
    and all images would wait for the last one.

    All methods belong to the event loop.

    Args:
        limits: Number of threads and of places, and the time limit.
    """

    def __init__(self, limits: Limits) -> None:
        self.capacity = limits.workers + limits.queue
        self.in_flight = 0
        self._workers, self._timeout_s = limits.workers, limits.timeout_s
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="tapetum-serve")
        self._typical_s = 0.1

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, from before the body of a request is received.

        Raises:
            HTTPException: 503, as all places are taken.
        """
        if self.in_flight >= self.capacity:
            raise self._refusal(f"{self.capacity} images wait or are computed already")
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work in a thread.

        Work that has begun cannot be stopped. Where it exceeds the time limit, its result is
        dropped, and its place is free when it ends.

        Raises:
            HTTPException: 503, as the time limit was exceeded.
        """
        future = self._pool.submit(self._timed, work)
        waiter = asyncio.wrap_future(future)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(waiter)
        except TimeoutError:
            waiter.add_done_callback(_ignore)
            if not future.cancel():
                self._hold_until_done(future)
            raise self._refusal(f"the image took longer than {self._timeout_s:g} s") from None

    def close(self) -> None:
        """Wait until all work has ended."""
        self._pool.shutdown()

    def _timed(self, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return work()
        finally:
            self._typical_s += _WEIGHT * (time.perf_counter() - start - self._typical_s)

    def _hold_until_done(self, future: "Future[Any]") -> None:
        """Take a second place, as the first one is given back with the refusal."""
        loop = asyncio.get_running_loop()
        self.in_flight += 1

        def give_back() -> None:
            self.in_flight -= 1

        future.add_done_callback(lambda _: loop.call_soon_threadsafe(give_back))

    def _refusal(self, reason: str) -> HTTPException:
        seconds = math.ceil(self.in_flight * self._typical_s / self._workers)
        after = min(max(seconds, 1), _LONGEST_RETRY_S)
        return refusal(503, f"{reason}; try again in {after} s", {"Retry-After": str(after)})


def _ignore(waiter: "asyncio.Future[Any]") -> None:
    """Look at a result that nobody waits for, or asyncio would log it."""
    if not waiter.cancelled():
        waiter.exception()
