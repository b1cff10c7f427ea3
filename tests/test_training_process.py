"""What a process does to compute quickly."""

import pytest
import torch

from tapetum.training import prepare_process, process_settings, relaunch_environment
from tapetum.training.process import ALLOCATOR_ENVIRONMENT


def test_denormals_are_flushed_and_the_settings_tell() -> None:
    """Before preparation the smallest numbers are kept, after it they are zero."""
    torch.set_flush_denormal(False)
    assert not process_settings().denormals_flushed
    settings = prepare_process(threads=1)
    assert settings.denormals_flushed
    assert settings.threads == 1
    assert int((torch.tensor([1e-39]) * 1).view(torch.int32)) == 0


def test_a_relaunch_happens_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment adds the allocator's settings; with them set there is none to give."""
    monkeypatch.setattr("tapetum.training.process._is_glibc", lambda: True)
    for name in ALLOCATOR_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TAPETUM_TEST", "kept")
    environment = relaunch_environment()
    assert environment is not None
    assert environment.items() >= ALLOCATOR_ENVIRONMENT.items()
    assert environment["TAPETUM_TEST"] == "kept"
    assert process_settings().allocator_tuned is False
    for name, value in ALLOCATOR_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert relaunch_environment() is None
    assert process_settings().allocator_tuned is True


def test_no_relaunch_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other allocators do not know these settings."""
    monkeypatch.setattr("tapetum.training.process._is_glibc", lambda: False)
    assert relaunch_environment() is None
    assert process_settings().allocator_tuned is None
