"""What every test shares: one thread each, and nothing of the developer's own.

Set before torch is imported, which reads the thread settings once.  The tests run beside each
other (``pytest -n 2``), where threads that spin while they wait make each other collapse.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # some tests import onnxruntime themselves
os.environ.pop("TAPETUM_DATA", None)

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_timing_lock() -> Iterator[None]:
    """Tests that run beside each other time without waiting for one another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tapetum.latency.lock.LOCK_NAME", f"tapetum-test-{os.getpid()}")
        yield


@pytest.fixture(scope="session", autouse=True)
def any_share_of_the_core() -> Iterator[None]:
    """Tests that run beside each other share the cores: no pass is thrown away for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tapetum.latency.agent.FULL_SHARE", 0.0)
        patch.setattr("tapetum.latency.timing.QUIET_SHARE", 0.0)
        yield
