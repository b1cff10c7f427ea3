"""Kills at every file-system step of some work, in this process."""

import itertools
import os
from collections.abc import Callable

import pytest

CALLS = ("replace", "mkdir", "unlink", "rename", "rmdir")
MANY = 10**6


class KilledError(BaseException):
    """Stands for a SIGKILL: nothing is written after it."""


def kill_everywhere(work: Callable[[int], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """Call ``work(n)`` for n = 0, 1, ... so that it dies in its n-th call to the file system.

    Returns:
        The number of calls that died, all of them until the work came to its end.
    """
    for step in itertools.count():
        if not dies_at(step, lambda: work(step), monkeypatch):  # noqa: B023 - called at once
            return step
    raise AssertionError


def dies_at(step: int, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Do work that dies in its n-th call to the file system; return whether it came so far."""
    left = [step]
    with monkeypatch.context() as patch:
        for call in CALLS:
            patch.setattr(os, call, _dying(getattr(os, call), left))
        try:
            work()
        except KilledError:
            return True
    return False


def count_steps(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """Do work, and return the number of its calls to the file system."""
    left = [MANY]
    with monkeypatch.context() as patch:
        for call in CALLS:
            patch.setattr(os, call, _dying(getattr(os, call), left))
        work()
    return MANY - left[0]


def _dying(original: Callable[..., object], left: list[int]) -> Callable[..., object]:
    def counted(*arguments: object, **options: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KilledError
        return original(*arguments, **options)

    return counted
