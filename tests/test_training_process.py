"""What a process does to compute quickly."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tapetum import allocator
from tapetum.training import ShortTraining, prepare_process
from tapetum.training.process import TRAINING_GIB, process_settings, training_device

SUITED_THEN_PREPARED = """
from tapetum.training import Recipe, prepare_process
Recipe.named("quick").suited()
settings = prepare_process(threads=2)
raise SystemExit(not (settings.threads == 2 and settings.denormals_flushed))
"""


def test_denormals_are_flushed_and_the_settings_tell() -> None:
    """Before preparation the smallest numbers are kept, after it they are zero."""
    torch.set_flush_denormal(False)
    assert not process_settings().denormals_flushed
    settings = prepare_process(threads=1)
    assert settings.denormals_flushed
    assert settings.threads == 1
    assert int((torch.tensor([1e-39]) * 1).view(torch.int32)) == 0


@pytest.mark.slow
def test_choosing_a_precision_leaves_the_threads_to_be_prepared() -> None:
    """A recipe may be suited to the machine first: every thread still flushes denormals after."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", SUITED_THEN_PREPARED]
    assert subprocess.run(command, check=False, env=environment).returncode == 0


@pytest.mark.parametrize("is_tuned", [True, False, None])
def test_the_settings_tell_of_the_allocator(
    is_tuned: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tuned, not tuned, and not ours to tune are told apart."""
    monkeypatch.setattr(allocator, "is_tuned", lambda: is_tuned)
    assert process_settings().allocator_tuned is is_tuned


@pytest.mark.parametrize(("kind", "name"), [("mps", "mps"), ("xpu", "Some Card"), ("cpu", "cpu")])
def test_every_accelerator_is_called_by_its_name(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No accelerator passes for a CPU; one whose model torch cannot tell is named by its kind."""
    found = None if kind == "cpu" else torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: found)
    monkeypatch.setattr(torch.xpu, "get_device_name", lambda: "Some Card")
    assert training_device().type == kind
    assert process_settings().device == name


@pytest.mark.parametrize(
    ("words", "pays"),
    [
        ("GenuineIntel avx512f avx512_bf16 amx_bf16", True),
        ("GenuineIntel avx512f avx512_bf16", False),
        ("AuthenticAMD avx512f avx512_bf16", True),
        ("fphp asimdhp bf16", True),
        ("GenuineIntel avx2", False),
    ],
)
def test_bf16_is_for_processors_that_are_quick_in_it(
    words: str, pays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Having the instructions is not enough."""
    (tmp_path / "cpuinfo").write_text(f"flags : {words}\n")
    monkeypatch.setattr("tapetum.training.process.CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert process_settings().bf16_pays == pays


@pytest.mark.parametrize(
    ("kind", "free", "expected"),
    [("cpu", 0, 16), ("cuda", 4.5, 4), ("cuda", 0.5, 1), ("cuda", 99, 16), ("mps", 3.5, 3)],
)
def test_trainings_at_once_have_a_core_and_memory_each(
    kind: str, free: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accelerator with memory for fewer than there are cores runs fewer, but one at least."""
    found = None if kind == "cpu" else torch.device(kind)
    free_bytes = int(free * TRAINING_GIB * 2**30)
    cuda = SimpleNamespace(mem_get_info=lambda: (free_bytes, 2 * free_bytes))
    mps = SimpleNamespace(recommended_max_memory=lambda: free_bytes)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: found)
    monkeypatch.setattr(torch, "get_device_module", lambda _: cuda if kind == "cuda" else mps)
    monkeypatch.setattr("tapetum.training.process.usable_cores", lambda: 16)
    assert ShortTraining.most_at_once() == expected
