"""Settings of the allocator: what a process is started again with, and how often."""

import subprocess
import sys

import pytest

from tapetum import allocator
from tapetum.allocator import ALLOCATOR_ENVIRONMENT, is_tuned, relaunch_environment


def test_a_relaunch_happens_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment adds the allocator's settings; with them set there is none to give."""
    monkeypatch.setattr(allocator, "_is_glibc", lambda: True)
    for name in ALLOCATOR_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TAPETUM_TEST", "kept")
    environment = relaunch_environment()
    assert environment is not None
    assert environment.items() >= ALLOCATOR_ENVIRONMENT.items()
    assert environment["TAPETUM_TEST"] == "kept"
    assert is_tuned() is False
    for name, value in ALLOCATOR_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert relaunch_environment() is None
    assert is_tuned() is True


def test_settings_of_the_user_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has set one of them keeps all as they are."""
    monkeypatch.setattr(allocator, "_is_glibc", lambda: True)
    for name in ALLOCATOR_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(next(iter(ALLOCATOR_ENVIRONMENT)), "1")
    assert relaunch_environment() is None
    assert is_tuned() is False


def test_no_relaunch_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other allocators do not know these settings."""
    monkeypatch.setattr(allocator, "_is_glibc", lambda: False)
    assert relaunch_environment() is None
    assert is_tuned() is None


def test_asking_does_not_load_torch() -> None:
    """A program that is to start itself again pays for nothing that it would load twice."""
    code = "import sys, tapetum.allocator; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
