"""Work on many files at once; Pillow releases the lock of Python while it decodes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tapetum.provenance import usable_cores

__all__ = ["Progress", "in_threads"]

Progress = Callable[[int, int], None]  # files done, all files

_MOST_THREADS = 8  # each holds a whole decoded image

T = TypeVar("T")
R = TypeVar("R")


def in_threads(
    work: Callable[[T], R], items: Sequence[T], progress: Progress | None = None
) -> list[R]:
    """Return the result of every item, in order; progress is called after each one."""
    pool = ThreadPoolExecutor(min(_MOST_THREADS, usable_cores()))
    results = []
    try:
        for result in pool.map(work, items):
            results.append(result)
            if progress is not None:
                progress(len(results), len(items))
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, do not wait for the rest
    return results
