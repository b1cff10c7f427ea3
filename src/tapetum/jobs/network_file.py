"""A network in a file of any format, opened as it is: to time it, to score it, to weigh it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tapetum.errors import TapetumError
from tapetum.formats import OpenedFile
from tapetum.jobs.evaluation import TrainedNetwork, open_trained, trained_network
from tapetum.latency import Conditions, DeployedNetwork, Runtime, find_runtime
from tapetum.runtime import GraphSession

__all__ = ["NetworkFile", "is_exported", "peak_memory_mb", "print_peak_memory"]

_CHILD = "import sys; from tapetum.jobs.network_file import print_peak_memory as run; run(sys.argv)"


def is_exported(name: str) -> bool:
    """Return whether only the runtime of its own format runs a file."""
    return not name.endswith(".onnx") and OpenedFile.find(Path(name)) is not None


class NetworkFile:
    """A package, an exported file, a graph by others, or an architecture.

    Args:
        name: The path, or the name of an architecture.
        runtime: What runs packages, architectures and graphs by others.
        size_px: Height and width of one pass of these; None for that of the network, else 224.
        channels: Channels of the images; None for those of the network, else 3.
        num_classes: Number of classes of a named architecture.

    Raises:
        InputError: The file cannot be read, or nothing has this name.
    """

    def __init__(
        self,
        name: str,
        *,
        runtime: str = "onnxruntime",
        size_px: int | None = None,
        channels: int | None = None,
        num_classes: int = 100,
    ) -> None:
        self.name, self._runtime = name, runtime
        self._size: dict[str, Any] = {"channels": channels, "size_px": size_px}
        self.arguments = {"runtime": runtime, "num_classes": num_classes, **self._size}
        self._exported = OpenedFile.find(Path(name))
        if self._exported is not None:
            self._network = self._exported.network
        else:
            self._network = DeployedNetwork.open(
                name, channels=channels or 3, num_classes=num_classes
            )

    @property
    def size_mb(self) -> float:
        """Size of all its files; of an architecture that of its graph."""
        paths = [Path(self.name)] if self._exported is None else self._exported.paths
        if paths[0].suffix == ".json" or not paths[0].is_file():
            return len(self._network.graph) / 1e6
        return sum(path.stat().st_size for path in paths) / 1e6

    @property
    def provider(self) -> str:
        """What really computes."""
        if self._exported is not None or self._runtime != "onnxruntime":
            return "cpu"
        return GraphSession(self._network.graph, threads=1).provider

    def at(self, threads: int) -> tuple[DeployedNetwork, Runtime, Conditions]:
        """Return the network with its runtime, and the conditions of one pass.

        Raises:
            InputError: It cannot run here.
            MissingExtraError: Its runtime is not installed.
        """
        if self._exported is not None:
            return self._network, self._exported, self._exported.conditions(threads)
        network, runtime = self._network, find_runtime(self._runtime)
        return network, runtime, network.conditions(runtime, threads=threads, **self._size)

    def run_once(self, threads: int) -> object:
        """Open it, run one pass and return what was opened; raise what :meth:`at` raises."""
        network, runtime, conditions = self.at(threads)
        forward = runtime.prepare(network, conditions)
        forward()
        return forward

    def why_not(self, threads: int) -> str:
        """Return why it cannot be timed here; empty where it can."""
        try:
            self.run_once(threads)
        except (TapetumError, RuntimeError) as error:  # of a runtime of exported files
            return str(error).splitlines()[0]
        return ""

    def trained(self) -> TrainedNetwork | None:
        """Return it for scoring; None where its classes and its preparation are not known."""
        if self._exported is not None:
            return trained_network(self._exported.written.manifest, self._exported)
        return None if self._network.manifest is None else open_trained(Path(self.name))


def peak_memory_mb(files: Sequence[NetworkFile], threads: int) -> float | None:
    """Return the peak memory of a new process that opens and runs each file once, in MB.

    Python and its libraries are included. None where the system does not tell.
    """
    given = (json.dumps(files[0].arguments), str(threads), *(file.name for file in files))
    # -P: the current folder must not provide modules.
    command = [sys.executable, "-P", "-c", _CHILD, *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    with suppress(ValueError, IndexError):
        return float(done.stdout.split()[-1])
    return None


def print_peak_memory(arguments: Sequence[str]) -> None:
    """Run files in this process, and print its peak memory; see :func:`peak_memory_mb`."""
    _, form, threads, *names = arguments
    files = [NetworkFile(name, **json.loads(form)) for name in names]
    _held_together = [file.run_once(int(threads)) for file in files]
    sys.stdout.write(f"{_peak_mb()}\n")


def _peak_mb() -> float:
    """Return the peak of this process; ``ru_maxrss`` on Linux begins with that of the parent."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
