"""Run a bundle: on this machine, or on a device through ssh and scp."""

import hashlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tapetum.errors import InputError
from tapetum.latency.bundle.found import DeviceTimings
from tapetum.latency.lock import timing_lock
from tapetum.records import hidden_beside, write_atomically

__all__ = ["run_here", "run_over_ssh"]

FOLDER = ".tapetum-bundles"  # in the home folder of the device
RESULT = "timings.json"


def run_here(bundle: Path, out: Path) -> DeviceTimings:
    """Time the networks of a bundle on this machine, as a device would, and read the result.

    Until all are timed, the rounds lie in a hidden file beside ``out``, so that the same command
    continues after an interruption.

    Raises:
        InputError: The bundle failed; what it said was shown.
    """
    kept = hidden_beside(out, f".{_digest(bundle)}.json")
    command = [sys.executable, str(bundle), "--quiet", "--out", str(kept)]
    with timing_lock():
        _run(command, "the bundle failed on this machine")
    found = DeviceTimings.read(kept)
    kept.replace(out)
    return found


def run_over_ssh(
    bundle: Path, out: Path, host: str, *, python: str = "python3", options: Sequence[str] = ()
) -> DeviceTimings:
    """Copy a bundle to a device, time its networks there, and copy the result back.

    The bundle stays on the device until its result is here, so that the same command continues
    after an interruption.

    Args:
        bundle: The bundle.
        out: File for the result.
        host: ``user@device``, as ssh takes it.
        python: Python of the device, which has numpy and ONNX Runtime. A relative path begins in
            the home folder there.
        options: Options for both ssh and scp, such as ``-i KEY``.

    Raises:
        InputError: ssh is not installed, the device cannot be reached, or the bundle failed there.
    """
    for program in ("ssh", "scp"):
        if shutil.which(program) is None:
            raise InputError(f"{program} is not installed here", "install OpenSSH's client")
    if host.startswith("-") or not host.strip():
        raise InputError(f"{host!r} is no host", "give it as user@device")
    digest = _digest(bundle)
    folder = f"{FOLDER}/{digest}"
    ssh, scp = ["ssh", *options, "--", host], ["scp", "-q", *options, "--"]
    reached = f"{host} cannot be reached"
    _run([*ssh, f"mkdir -p {folder}"], reached)
    _run([*scp, str(bundle), f"{host}:{folder}/bundle.zip"], reached)
    command = f"cd {folder} && {_program(python)} bundle.zip --quiet --out {RESULT}"
    _run([*ssh, command], f"the bundle failed on {host}")
    part = out.with_name(f".{out.name}.{digest}.part")
    try:
        _run([*scp, f"{host}:{folder}/{RESULT}", str(part)], reached)
        timings = DeviceTimings.read(part)
        write_atomically(out, part.read_bytes())
    finally:
        part.unlink(missing_ok=True)
    _run([*ssh, f"rm -r {folder}"], reached)
    return timings


def _program(name: str) -> str:
    """Return the name of a program for a shell that has left the home folder."""
    if "/" not in name or name.startswith("/"):
        return shlex.quote(name)
    return f'"$HOME"/{shlex.quote(name.removeprefix("~/"))}'


def _digest(bundle: Path) -> str:
    """Return what equal bundles share, so that a measurement continues."""
    return hashlib.sha256(bundle.read_bytes()).hexdigest()[:12]


def _run(command: Sequence[str], fault: str) -> None:
    """Run a command, whose messages are shown as they come."""
    code = subprocess.run(command, check=False).returncode  # noqa: S603  (as the user asked)
    if code:
        raise InputError(
            f"{fault}: '{command[0]}' ended with exit code {code}",
            "its own message stands above; repeat the command once that is mended",
        )
