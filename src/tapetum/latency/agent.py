"""Time networks on a device that has numpy and a runtime, and nothing of this project.

This one file is the program of a bundle: ``python3 bundle.zip`` reads the networks beside it in the
archive, times them in rounds, and writes what it found as JSON. It needs Python 3.8 and imports
nothing of this project. On a machine with the project, :mod:`tapetum.latency.timing` times with the
same functions.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import math
import os
import platform
import statistics
import sys
import time
import zipfile
from typing import Any, Callable, NamedTuple, Sequence  # noqa: UP035  (Python 3.8)

__all__ = [
    *("COARSE", "FORMAT", "JOB", "WIDTH", "Bench", "Round", "clock_is_coarse", "core_share"),
    *("cpu_model", "main", "measure", "session_options", "time_pass", "time_round"),
]

FULL_SHARE = 0.95  # of the core; a pass that got less was preempted
PATIENCE = 4  # times the passes and the time of a round are spent on a core that is shared
COARSE_MS = 0.1  # a clock in longer steps does not tell what share of a core a short pass got
MOST_READINGS = 200_000  # of such a clock, some 50 ms: it may stand still
MOST_PASSES = 100_000  # in one round, so that a clock that stands still cannot hang a measurement
WRITTEN_EVERY = 10  # networks, so that an interruption costs few
SLOWER = 2.0  # times the multiply-adds of a network that was too slow: such networks are left out

COARSE = (
    "the processor's time is counted in long steps here, so that it is not known whether other "
    "programs use the cores; end them while networks are timed"
)

FORMAT, JOB = "tapetum-device-timings", "job.json"
WIDTH = "width"  # the family of what tells the grid of widths, of which none is left out

ForwardPass = Callable[[], object]


class Round(NamedTuple):
    """The passes of one network in one round.

    Attributes:
        passes_ms: Duration of each pass that counts, in milliseconds.
        num_preempted: Number of passes that do not count, because another process took the core.
        wall_ms: Duration of all passes together, counted or not.
        cpu_ms: Time that the processor worked for them; None where that is not measured.
    """

    passes_ms: Sequence[float]
    num_preempted: int = 0
    wall_ms: float = 0.0
    cpu_ms: float | None = None

    @property
    def median_ms(self) -> float:
        """The median of the passes that count."""
        return statistics.median(self.passes_ms)

    @property
    def core_share(self) -> float | None:
        """The share of the core that the passes got; None where it is not measured."""
        return core_share([self])


def core_share(rounds: Sequence[Round]) -> float | None:
    """Return the share of the core that some rounds got together; None where it is unknown."""
    pairs = [(one.cpu_ms, one.wall_ms) for one in rounds if one.cpu_ms is not None]
    wall_ms = sum(wall_ms for _, wall_ms in pairs)
    return min(1.0, sum(cpu_ms for cpu_ms, _ in pairs) / wall_ms) if wall_ms > 0 else None


class Pass(NamedTuple):
    """One pass: its duration, and the share of the core that it got."""

    wall_ms: float
    share: float

    @property
    def is_preempted(self) -> bool:
        """Whether another process took the core."""
        return self.share < FULL_SHARE


def time_round(
    forward: ForwardPass,
    *,
    warmups: int,
    warmup_ms: float,
    min_passes: int,
    min_ms: float,
    threads: int | None,
) -> Round:
    """Time one round of a network, without the warm-up and without preempted passes.

    Args:
        forward: Runs one pass.
        warmups: The least number of passes before counting.
        warmup_ms: The least time of them.
        min_passes: The least number of passes that count. On a shared core at most
            :data:`PATIENCE` times as many are run; where still too few were left alone, the
            processor's time of those that got most of the core counts.
        min_ms: The least time of them.
        threads: Inference threads; None where the processor does not compute, as with a GPU.  Where
            the processor's time is counted in long steps, its share is not judged either.
    """
    if clock_is_coarse():
        threads = None
    _time_passes(forward, warmups, warmup_ms, threads=None)
    timed = _time_passes(forward, min_passes, min_ms, threads=threads)
    kept = [one.wall_ms for one in timed if not one.is_preempted]
    if len(kept) < min_passes:
        best = sorted(timed, key=lambda one: one.share, reverse=True)[:min_passes]
        kept = [one.share * one.wall_ms for one in best]
    return Round(
        passes_ms=kept,
        num_preempted=len(timed) - len(kept),
        wall_ms=sum(one.wall_ms for one in timed),
        cpu_ms=None if threads is None else sum(one.share * one.wall_ms for one in timed),
    )


def _time_passes(
    forward: ForwardPass, at_least: int, at_least_ms: float, *, threads: int | None
) -> list[Pass]:
    timed: list[Pass] = []
    num_kept, kept_ms, total_ms = 0, 0.0, 0.0
    while num_kept < at_least or (kept_ms < at_least_ms and len(timed) < MOST_PASSES):
        if len(timed) >= PATIENCE * at_least and total_ms >= PATIENCE * at_least_ms:
            break
        timed.append(time_pass(forward, threads))
        total_ms += timed[-1].wall_ms
        if not timed[-1].is_preempted:
            num_kept, kept_ms = num_kept + 1, kept_ms + timed[-1].wall_ms
    return timed


def time_pass(forward: ForwardPass, threads: int | None) -> Pass:
    """Time one pass; without ``threads`` the whole core is taken to be its own."""
    caller_ns, process_ns = time.thread_time_ns(), time.process_time_ns()
    start_ns = time.perf_counter_ns()
    forward()
    wall_ns = time.perf_counter_ns() - start_ns
    if threads is None or wall_ns == 0:
        return Pass(wall_ns / 1e6, 1.0)
    process_ns, caller_ns = time.process_time_ns() - process_ns, time.thread_time_ns() - caller_ns
    return Pass(wall_ns / 1e6, min(1.0, max(caller_ns, process_ns / threads) / wall_ns))


@functools.lru_cache(maxsize=1)
def clock_is_coarse() -> bool:
    """Return whether the processor's time is counted in steps too long for one pass.

    Windows counts it in steps of 15.6 ms (cpython #135304), whatever it says.
    """
    return max(map(tick_ms, (time.thread_time_ns, time.process_time_ns))) > COARSE_MS


def tick_ms(clock: Callable[[], int]) -> float:
    """Return the least of three steps of a clock in nanoseconds; infinite where it stands still."""
    past, steps = clock(), [math.inf]
    for _ in range(MOST_READINGS):
        now = clock()
        if now > past:
            steps.append((now - past) / 1e6)
            past = now
        if len(steps) > 3:
            break
    return min(steps)


def cpu_fields() -> dict[str, str]:
    """Return the fields of Linux's file of processors, those of the last core."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    return {key.strip(): text.strip() for key, _, text in (line.partition(":") for line in lines)}


def cpu_model() -> str:
    """Return the model of the processor; boards with ARM name themselves."""
    fields = cpu_fields()
    names = [fields.get(key, "") for key in ("model name", "Model", "Hardware")]
    return next(filter(None, names), "") or platform.processor() or platform.machine() or "unknown"


def session_options(onnxruntime: Any, threads: int) -> Any:
    """Return the settings of ONNX Runtime that decide its speed, as packages run."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    is_arm = platform.machine().lower() in ("arm64", "aarch64")
    flags = cpu_fields().get("flags", "").split()
    if not is_arm and {"avx512_vnni", "avx_vnni"}.isdisjoint(flags):
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


class Bench:
    """The networks of a bundle on this device."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        try:
            import numpy
            import onnxruntime
        except ImportError as error:
            sys.exit(
                f"{error.name} is not installed for this Python: make a virtual environment with "
                "'python3 -m venv ~/venv', then '~/venv/bin/python -m pip install numpy "
                "onnxruntime', and run the bundle with that Python (over ssh: --python "
                "venv/bin/python)"
            )
        self.archive, self.numpy, self.runtime = archive, numpy, onnxruntime
        self.content = archive.read(JOB)
        self.job = json.loads(self.content)
        self.threads = self.job["threads"]

    def facts(self) -> dict[str, Any]:
        """Return what the timings hold for."""
        return {
            "format": FORMAT,
            "schema_version": 1,
            "job_sha256": hashlib.sha256(self.content).hexdigest(),
            "device": cpu_model(),
            "runtime_version": self.runtime.__version__,
            "cores": os.cpu_count(),
        }

    def prepare(self, network: dict[str, Any]) -> ForwardPass:
        """Load a network and return a pass on random images."""
        content = self.archive.read(network["file"])
        options = session_options(self.runtime, self.threads)
        session = self.runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        generator = self.numpy.random.RandomState(0)
        feeds = {
            name: generator.random_sample(shape).astype("float32")
            for name, shape in network["images"].items()
        }
        for name, values in network["boxes"].items():
            feeds[name] = self.numpy.array(values, "float32")
        names = [output.name for output in session.get_outputs()]
        return lambda: session.run(names, feeds)

    def time(self, network: dict[str, Any]) -> Round:
        """Time one round of a network, which is loaded anew."""
        return time_round(self.prepare(network), threads=self.threads, **self.job["passes"])


def measure(bench: Bench, found: dict[str, Any], out: str) -> None:
    """Time all networks, round after round, until the time is over, and go on from what is there.

    What was found is written after every few networks, and after each round.
    """
    job, rounds = bench.job, found["rounds"]
    networks, end = job["networks"], time.monotonic() + 60 * job["minutes"]
    too_slow = limits(job, rounds)
    for number in range(min(map(len, rounds), default=0), job["most_rounds"]):
        for index, network in enumerate(networks):
            past = rounds[index]
            if len(past) > number:
                continue  # it was timed before an interruption
            limit = too_slow.get(network["precision"])
            is_left_out = limit is not None and network["multiply_adds"] > limit
            is_left_out &= network["family"] != WIDTH
            is_left_out |= bool(number and past[0] is None)
            if is_left_out or (number and time.monotonic() > end):
                past.append(None)
                continue
            past.append(bench.time(network))
            if is_too_slow(job, past):
                too_slow.setdefault(network["precision"], SLOWER * network["multiply_adds"])
            if (index + 1) % WRITTEN_EVERY == 0:
                write(out, found)
            say(f"round {number + 1} of {job['most_rounds']}: {index + 1} of {len(networks)}")
        write(out, found)
        if time.monotonic() > end:
            break
    sys.stderr.write("\n")


def limits(job: dict[str, Any], rounds: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Return the multiply-adds above which networks are left out, by number format."""
    found: dict[str, float] = {}
    for network, past in zip(job["networks"], rounds):  # noqa: B905  (Python 3.8)
        if is_too_slow(job, past):
            found.setdefault(network["precision"], SLOWER * network["multiply_adds"])
    return found


def is_too_slow(job: dict[str, Any], past: Sequence[Any]) -> bool:
    """Return whether a network was slower than needed when it was timed last."""
    timed = [one for one in past if one is not None]
    return bool(timed) and Round(*timed[-1]).median_ms > job["longest_ms"]


def say(text: str) -> None:
    """Show how far it is, on one line of a terminal."""
    end = "" if sys.stderr.isatty() else "\n"
    if end == "" or text.endswith(("0", "1")):
        sys.stderr.write(f"\r{text}    {end}")
        sys.stderr.flush()


def write(path: str, found: dict[str, Any]) -> None:
    """Replace a file in one step."""
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(found, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def started(bench: Bench, out: str) -> dict[str, Any]:
    """Return what an earlier, interrupted run has found, or nothing yet."""
    facts = bench.facts()
    if not os.path.exists(out):
        return {**facts, "job": bench.job, "rounds": [[] for _ in bench.job["networks"]]}
    with open(out, encoding="utf-8") as file:
        try:
            found: dict[str, Any] = json.load(file)
        except ValueError:
            found = {}
    if not isinstance(found, dict) or any(found.get(name) != facts[name] for name in facts):
        sys.exit(f"{out} exists and is not of this bundle and device; name another file with --out")
    return found


def main(arguments: Sequence[str] | None = None, bundle: str | None = None) -> None:
    """Time the networks of the bundle that this program was started from."""
    path = bundle or sys.argv[0]
    name = os.path.splitext(os.path.basename(path))[0]
    parser = argparse.ArgumentParser(
        prog=f"python3 {os.path.basename(path)}",
        description="Time the networks of this bundle on this device. Stop other programs "
        "meanwhile. A run that was interrupted continues where it stopped.",
    )
    parser.add_argument("--quiet", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", default=f"{name}.json", help="JSON file to write (%(default)s)")
    asked = parser.parse_args(arguments)
    with zipfile.ZipFile(path) as archive:
        bench = Bench(archive)
        found = started(bench, asked.out)
        if clock_is_coarse():
            sys.stderr.write(f"{COARSE}\n")
        measure(bench, found, asked.out)
    if not asked.quiet:  # else the result is fetched
        sys.stderr.write(f"wrote {asked.out}; copy it back, for 'tapetum fit --latency'\n")


if __name__ == "__main__":
    main()
