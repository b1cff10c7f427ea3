"""The provenance of a result: commit, versions, machine and seed.

A stamp never fails: unknown facts are None. Versions are read from the metadata of packages, so
that nothing is imported.
"""

import logging
import os
import platform
import shlex
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

from pydantic import SerializerFunctionWrapHandler, model_serializer

import tapetum
from tapetum.errors import InputError
from tapetum.records import Record, checkout

__all__ = [
    "Provenance",
    "cpu_model",
    "has_int8_instructions",
    "require_cores",
    "require_seed",
    "stamp",
    "usable_cores",
    "within_cores",
]

PACKAGES = (
    *("accelerate", "numpy", "onnx", "onnxruntime", "openvino", "pillow", "pydantic"),
    *("safetensors", "scipy", "timm", "torch", "torchvision"),
)
CPUINFO = Path("/proc/cpuinfo")
END_OF_SEEDS = 2**31  # torch and numpy both take these

_log = logging.getLogger(__name__)


class Provenance(Record):
    """The facts that are needed to believe a result, or to reproduce it.

    Facts that are unknown, or do not apply, are None here and left out of the JSON.

    Args:
        tapetum: Version of this package.
        commit: Git commit of its source, of a checkout.
        dirty: Whether the source differed from the commit.
        python: Version of Python.
        platform: Operating system, its version and the architecture of the machine.
        cpu: Model of the processor.
        cores: Number of cores that this process may use.
        memory_gib: Memory of the machine, in GiB.
        packages: Versions of relevant packages, if installed.
        command: The command line.
        date: Date of the stamp, in UTC, as ISO 8601.
        seed: Random seed.
    """

    tapetum: str
    commit: str | None = None
    dirty: bool | None = None
    python: str
    platform: str
    cpu: str
    cores: int
    memory_gib: float | None = None
    packages: dict[str, str]
    command: str
    date: str
    seed: int | None = None

    @model_serializer(mode="wrap")
    def _without_unknown(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value is not None}


def stamp(*, seed: int | None = None) -> Provenance:
    """Return the provenance of a result of this process, with its random seed if it has one."""
    commit, dirty = checkout(Path(tapetum.__file__).resolve().parent)
    return Provenance(
        tapetum=tapetum.__version__,
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_model(),
        cores=usable_cores(),
        memory_gib=_memory_gib(),
        packages=_versions(PACKAGES),
        command=_command(sys.argv),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
    )


def cpu_model() -> str:
    """Return the model of the processor."""
    return _cpu_model(CPUINFO)


def _cpu_model(cpuinfo: Path) -> str:
    """Return the processor from Linux's file, else from Python."""
    fields = _cpu_fields(cpuinfo)
    # ARM kernels give the board (as "Model") instead of the processor.
    names = [fields.get(key, "") for key in ("model name", "Model", "Hardware")]
    return next(filter(None, names), "") or platform.processor() or platform.machine() or "unknown"


def has_int8_instructions() -> bool:
    """Return whether this processor multiplies bytes without an overflow; unknown ones do not."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True
    flags = _cpu_fields(CPUINFO).get("flags", "").split()
    return not {"avx512_vnni", "avx_vnni"}.isdisjoint(flags)


def _cpu_fields(cpuinfo: Path) -> dict[str, str]:
    """Return the fields of Linux's file, those of the last core; empty where it is missing."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {key.strip(): text.strip() for key, _, text in (line.partition(":") for line in lines)}


def usable_cores() -> int:
    """Return the number of cores that this process may use: its affinity and container quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, _quota_of_cores(Path("/sys/fs/cgroup/cpu.max"))))


def require_cores(count: int, what: str = "threads") -> None:
    """Refuse more threads or processes than :func:`usable_cores`; they would only wait.

    Raises:
        InputError: There are more of them than cores, or none.
    """
    cores = usable_cores()
    if not 1 <= count <= cores:
        raise InputError(
            f"{count} {what} were requested, but this process may use {_in_words(cores)}",
            f"use 1 to {cores}" if cores > 1 else "use 1",
        )


def require_seed(seed: int | None, what: str = "seed") -> None:
    """Refuse what no job takes as a random seed; None, for a default, is taken.

    Args:
        seed: The seed, from 0 to 2**31 - 1.
        what: Name of the argument, for the sentence.

    Raises:
        InputError: It is out of that range, or no whole number.
    """
    is_whole = isinstance(seed, SupportsIndex)
    if seed is not None and not (is_whole and 0 <= index(seed) < END_OF_SEEDS):
        raise InputError(f"{what} is {seed!r}", f"use a whole number from 0 to {END_OF_SEEDS - 1}")


def within_cores(threads: int | None) -> int:
    """Return the threads that a package wants, at most one for each core; None: all cores."""
    cores = usable_cores()
    if threads is not None and threads > cores:
        _note_fewer(threads, cores)
    return min(threads or cores, cores)


@cache
def _note_fewer(threads: int, cores: int) -> None:
    """Warn once that a package runs on fewer threads than its latency holds for."""
    _log.warning(
        "the package's latency holds for %d threads, but only %s can be used here",
        threads,
        _in_words(cores),
    )


def _in_words(cores: int) -> str:
    return f"{cores} core{'s' if cores > 1 else ''}"


def _quota_of_cores(path: Path) -> int:
    """Return the cores that control groups allow (``quota period`` in microseconds, or ``max``)."""
    unlimited = 1 << 16
    try:
        quota, period = path.read_text().split()
        return unlimited if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return unlimited


def _memory_gib() -> float | None:
    try:
        size_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # unknown on some systems
        return None
    return round(size_bytes / 2**30, 1)


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for package in packages:
        # A half-removed package leaves a folder without a version.
        with suppress(metadata.PackageNotFoundError):
            if version := metadata.version(package):
                versions[package] = version
    return versions


def _command(arguments: list[str]) -> str:
    """Return the command line, with the name of the program instead of its path."""
    if not arguments:
        return ""
    program = Path(arguments[0])
    # `tapetum train` restarts itself as `python -m tapetum`, a file of the package.
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *arguments[1:]])
