"""What this process does to compute quickly on a CPU, in one place; ``tapetum doctor`` shows it.

Three things pay off, and none of them changes what is learnt (ratios measured on two x86-64 cores):

- *Denormals are flushed.*  Trained weights bring numbers below 1e-38, which a CPU multiplies 5 to
  30 times slower than others.
- *Threads* are no more than the cores this process may use; in a container with a quota the
  default is every core of the machine.
- *The allocator keeps its memory* instead of giving it back after each step (1.4 to 1.5 times
  faster).  glibc reads these settings only when a process starts, so the command line starts
  itself again with :func:`relaunch_environment`.

Precision is another matter: bf16 halves the memory traffic, but only some machines compute in it.
:func:`suited` turns a recipe that asks for bf16 into one in fp32 where that would be slower.
"""

import os
import platform
from pathlib import Path
from typing import Literal

import torch

from tapetum.provenance import usable_cores
from tapetum.records import Record
from tapetum.training.recipe import Recipe

__all__ = [
    "ALLOCATOR_ENVIRONMENT",
    "ProcessSettings",
    "prepare_process",
    "process_settings",
    "relaunch_environment",
    "suited",
]

ALLOCATOR_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",  # 4 GiB: no block is ever mapped, hence unmapped
    "MALLOC_TRIM_THRESHOLD_": "17179869184",  # 16 GiB: freed memory stays with the process
    "MALLOC_TOP_PAD_": "268435456",  # 256 MiB: grows in few, large steps
}

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # /proc/cpuinfo: x86-64 twice, then Arm


class ProcessSettings(Record):
    """How this process computes.

    Attributes:
        device: Where networks are trained.
        cores: Cores this process may use.
        threads: Threads of one torch operation.
        vector_instructions: What torch's CPU kernels use, such as ``AVX512``.
        denormals_flushed: Whether every thread takes numbers below 1e-38 for zero.
        allocator_tuned: Whether freed memory is kept; ``None`` where that is not ours to set.
        bf16_pays: Whether the device computes in bf16.
        waiting_threads: ``OMP_WAIT_POLICY``; on a machine shared with others ``PASSIVE`` avoids a
            collapse and costs 1.4 to 1.8 times when it is quiet.
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
    """Flushes denormals and limits threads; call it before the first large torch operation.

    Threads inherit the flushing from the one that starts them: those that torch has already
    started keep their denormals, and ``denormals_flushed`` then says so.

    Args:
        threads: Of one torch operation; by default ``OMP_NUM_THREADS``, else the usable cores.

    Returns:
        What holds from now on.
    """
    torch.set_flush_denormal(True)
    wanted = threads or min(torch.get_num_threads(), usable_cores())
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)
    return process_settings()


def process_settings() -> ProcessSettings:
    """What holds in this process now; changes nothing."""
    policy = os.environ.get("OMP_WAIT_POLICY", "").upper()
    return ProcessSettings(
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        vector_instructions=torch.backends.cpu.get_cpu_capability(),
        denormals_flushed=_denormals_are_flushed(),
        allocator_tuned=_allocator_is_tuned() if _is_glibc() else None,
        bf16_pays=_bf16_pays(),
        waiting_threads=policy if policy in ("ACTIVE", "PASSIVE") else None,
    )


def relaunch_environment() -> dict[str, str] | None:
    """The environment in which training is fastest, to start this program again with.

    Returns:
        A copy of the environment with the allocator's settings; ``None`` where they are set
        already (so that a program starts itself again at most once), or would have no effect.
    """
    if not _is_glibc() or any(name in os.environ for name in ALLOCATOR_ENVIRONMENT):
        return None
    return {**os.environ, **ALLOCATOR_ENVIRONMENT}


def suited(recipe: Recipe, settings: ProcessSettings) -> Recipe:
    """The recipe in the precision that is fast here: bf16 only where the device computes in it."""
    if recipe.precision == "bf16" and not settings.bf16_pays:
        return recipe.model_copy(update={"precision": "fp32"})
    return recipe


def _denormals_are_flushed() -> bool:
    denormal = torch.full((32_768 * torch.get_num_threads(),), 1e-39)  # a share for every thread
    # As integers: a comparison of floats in a flushing thread would take any denormal for zero.
    return not (denormal * 1).view(torch.int32).any()


def _allocator_is_tuned() -> bool:
    return all(os.environ.get(name) == value for name, value in ALLOCATOR_ENVIRONMENT.items())


def _is_glibc() -> bool:
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"


def _bf16_pays() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False  # not Linux: fp32 is never wrong
    return not _BF16_FLAGS.isdisjoint(words)
