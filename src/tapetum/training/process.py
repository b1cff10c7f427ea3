"""Settings of this process for fast training on a CPU; ``tapetum doctor`` shows them.

Three settings pay, and none changes what is learnt (measured on two x86-64 cores):

- *Denormals are flushed.*  Training produces numbers below 1e-38, which a CPU multiplies 5 to 30
  times slower than others.
- *Threads* are no more than the cores this process may use; in a container with a quota the
  default is every core of the machine.
- *The allocator keeps its memory* instead of giving it back after each step: see
  :mod:`tapetum.allocator`, which has to act before this process starts.

bf16 halves the memory traffic, but is fast on some machines only:
:meth:`~tapetum.training.Recipe.suited` replaces it by fp32 elsewhere.
"""

import os
from pathlib import Path
from typing import Literal

import torch

from tapetum import allocator
from tapetum.provenance import usable_cores
from tapetum.records import Record

__all__ = [
    "ProcessSettings",
    "bf16_pays",
    "most_trainings",
    "prepare_process",
    "process_settings",
    "training_device",
]

TRAINING_GIB = 2  # of an accelerator: its context and kernels, and the networks of a race

# Words of /proc/cpuinfo, all of a set: Intel's tiles, Arm, and AMD's vectors.  Intel has the latter
# too, but without tiles a step in bf16 takes a quarter longer there than in fp32 (docs/log.md).
_BF16_PAYS = ({"amx_bf16"}, {"bf16"}, {"AuthenticAMD", "avx512_bf16"})

CPU_INFO = Path("/proc/cpuinfo")


class ProcessSettings(Record):
    """How this process computes.

    Attributes:
        device: Name of the training device.
        cores: Number of cores that this process may use.
        threads: Number of threads of one torch operation.
        vector_instructions: Instruction set of torch's CPU kernels, such as ``AVX512``.
        denormals_flushed: Whether every thread treats numbers below 1e-38 as zero.
        allocator_tuned: Whether freed memory is kept; ``None`` where that cannot be set.
        bf16_pays: Whether the device is faster in bf16 than in fp32.
        waiting_threads: ``OMP_WAIT_POLICY``.  ``PASSIVE`` costs a factor of 1.4 to 1.8 on a quiet
            machine.
    """

    device: str
    cores: int
    threads: int
    vector_instructions: str
    denormals_flushed: bool
    allocator_tuned: bool | None
    bf16_pays: bool
    waiting_threads: Literal["ACTIVE", "PASSIVE"] | None


def prepare_process(*, threads: int | None = None) -> ProcessSettings:
    """Flush denormals and limit threads; call this before the first large torch operation.

    Threads inherit the flushing from the thread that starts them.  Those that torch has already
    started keep their denormals, and ``denormals_flushed`` is false.

    Args:
        threads: Number of threads of one torch operation; by default ``OMP_NUM_THREADS``, or the
            usable cores.

    Returns:
        The settings from now on.
    """
    torch.set_flush_denormal(True)
    wanted = threads or min(torch.get_num_threads(), usable_cores())
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)
    return process_settings()


def process_settings() -> ProcessSettings:
    """Return the settings of this process.

    This starts torch's threads: call :func:`prepare_process` instead where nothing has been
    prepared yet.
    """
    policy = os.environ.get("OMP_WAIT_POLICY", "").upper()
    return ProcessSettings(
        device=_device_name(training_device()),
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        vector_instructions=torch.backends.cpu.get_cpu_capability(),
        denormals_flushed=_denormals_are_flushed(),
        allocator_tuned=allocator.is_tuned(),
        bf16_pays=bf16_pays(),
        waiting_threads=policy if policy in ("ACTIVE", "PASSIVE") else None,
    )


def training_device() -> torch.device:
    """Return the device of training: the accelerator that torch finds, or the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def most_trainings() -> int:
    """Return how many trainings run here at once by default, each in a process of its own.

    One a core; on an accelerator as many as have :data:`TRAINING_GIB` of its free memory, at least
    one and at most one a core.
    """
    free = _free_bytes(training_device())
    cores = usable_cores()
    return cores if free is None else max(1, min(cores, free // (TRAINING_GIB * 2**30)))


def _free_bytes(device: torch.device) -> int | None:
    """Return the memory that is free on an accelerator; None on a CPU, or where it is not told."""
    if device.type == "cpu":
        return None
    module = torch.get_device_module(device)
    if hasattr(module, "mem_get_info"):
        return int(module.mem_get_info()[0])
    if hasattr(module, "recommended_max_memory"):  # MPS
        return int(module.recommended_max_memory())
    return None


def _denormals_are_flushed() -> bool:
    denormal = torch.full((32_768 * torch.get_num_threads(),), 1e-39)  # a share for every thread
    # As integers: a comparison of floats in a flushing thread would take any denormal for zero.
    return not (denormal * 1).view(torch.int32).any()


def _device_name(device: torch.device) -> str:
    if device.type == "cpu":
        return "cpu"
    name = getattr(torch.get_device_module(device), "get_device_name", None)  # MPS has none
    return device.type if name is None else str(name())


def bf16_pays() -> bool:
    """Return whether the training device is quicker in bf16 than in fp32."""
    kind = training_device().type
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind != "cpu":
        return False  # not measured: fp32 is never wrong
    try:
        words = set(CPU_INFO.read_text().split())
    except OSError:
        return False  # not Linux
    return any(needed <= words for needed in _BF16_PAYS)
