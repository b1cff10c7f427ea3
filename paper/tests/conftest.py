"""Settings that all tests share: one thread each, and nothing of the developer's own.

They are set before torch is imported, which reads the settings of threads once.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.pop("TAPETUM_DATA", None)

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_timing_lock() -> Iterator[None]:
    """Tests that run beside each other measure without waiting for one another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tapetum.latency.lock.LOCK_NAME", f"tapetum-test-{os.getpid()}")
        yield
