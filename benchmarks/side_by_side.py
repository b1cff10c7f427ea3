"""Ways to do the same thing, timed side by side: a process each, in turns, in one run.

Memory settings are read when a process starts, so each way is a process of its own; a shared
machine drifts, so they take turns and what counts is the ratio of the medians.  For
``training_speed.py`` and ``search_speed.py``.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from result_file import add_json_option, write_result

PLAIN = "plain"  # the way that the others are compared with, in an environment that is not tuned


def serve(take_steps: Callable[[], None]) -> None:
    """Takes steps for every line on standard input, and says how many seconds they took."""
    import torch  # in a worker alone

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        start = time.perf_counter()
        take_steps()
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()  # it works while the process goes on
        sys.stdout.write(f"{time.perf_counter() - start}\n")
        sys.stdout.flush()


def run(
    doc: str | None,
    script: str,
    ways: Sequence[str],
    work: Callable[[str], None],
    *,
    batch: int,
    steps: int,
) -> None:
    """What such a script does: as a worker one way, otherwise all of them, in turns.

    Args:
        doc: Of the script, for its help.
        script: Its path.
        ways: Names, the plain one among them.
        work: Does one of them until it is told no more.
        batch: Images in a step.
        steps: In a turn.
    """
    parser = argparse.ArgumentParser(description=doc)
    add_json_option(parser)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=9, help="turns of each way")
    parser.add_argument("--worker", choices=ways, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked.worker)
        return
    workers = {name: _start(script, name, threads=asked.threads) for name in ways}
    for worker in workers.values():
        _read(worker)
    rounds = [
        {name: batch * steps / _turn(worker) for name, worker in workers.items()}
        for _ in range(asked.rounds)
    ]
    for worker in workers.values():
        worker.communicate()
    _tell(rounds, asked.json, threads=asked.threads, batch=batch)


def _start(script: str, name: str, *, threads: int) -> "subprocess.Popen[str]":
    """A process; all but the plain one start in the environment in which the command runs."""
    from tapetum.allocator import relaunch_environment

    environment = {**os.environ}
    if name != PLAIN:
        environment = relaunch_environment() or environment
    # Threads that wait for their turn must not spin beside those whose turn it is.
    environment |= {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "10000"}
    return subprocess.Popen(  # noqa: S603  (ourselves)
        [sys.executable, script, "--worker", name],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _turn(worker: "subprocess.Popen[str]") -> float:
    """Seconds of one turn of a process."""
    assert worker.stdin is not None  # noqa: S101  (we asked for pipes)
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return float(_read(worker))


def _read(worker: "subprocess.Popen[str]") -> str:
    assert worker.stdout is not None  # noqa: S101  (we asked for pipes)
    return worker.stdout.readline()


def _tell(
    rounds: Sequence[dict[str, float]], path: Path | None, *, threads: int, batch: int
) -> None:
    """Prints a row for each way, and writes all of them where asked."""
    from tapetum.provenance import stamp

    result: dict[str, Any] = {"threads": threads, "batch": batch, "loops": {}}
    for name in rounds[0]:
        ratios = sorted(one[name] / one[PLAIN] for one in rounds)
        result["loops"][name] = {
            "images_per_second": round(statistics.median(one[name] for one in rounds), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
        print(f"{name:14}", result["loops"][name])
    result["provenance"] = stamp(seed=0).model_dump(mode="json")
    write_result(result, path)
