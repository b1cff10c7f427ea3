"""How quick is a training while another program keeps one core busy?

Trains the reduced Integrated DC-Net on batches of 8 two-digit images (96 px), as ``tapetum train``
does, in two ways: with all threads in every step, and with the number of threads chosen by the
step times (:mod:`tapetum.training.threads`).  Both take turns in one run, on the quiet machine and
beside a program that computes without a pause.  What counts is the ratio to all threads on the
quiet machine, as the median over rounds.  Each turn starts with a fresh governor, so that the time
to notice the neighbour counts.

Command:  python benchmarks/busy_neighbour.py [--rounds 5] [--seconds 20] [--json FILE]
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from result_file import add_json_option, write_result

BATCH, NUM_BATCHES, SEED = 8, 16, 0
WAYS = ("all threads", "governed")
SURROUNDINGS = ("quiet", "busy")


def work(way: str, threads: int) -> None:
    """Train for as many seconds as each line of standard input says; answer images a second."""
    import torch

    from tapetum.training import prepare_process
    from tapetum.training.threads import ThreadGovernor

    prepare_process(threads=threads)
    step = _step()
    step(0)
    print("ready", flush=True)
    for line in sys.stdin:
        governor = ThreadGovernor.of_process(torch.device("cpu")) if way == "governed" else None
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < float(line):
            before = time.perf_counter()
            step(count)
            count += 1
            if governor is not None:
                governor.after_step(time.perf_counter() - before)
        seconds = time.perf_counter() - start
        if governor is not None:
            governor.close()
        print(BATCH * count / seconds, flush=True)


def _step() -> Callable[[int], None]:
    from tapetum.arch import find_architecture
    from tapetum.data import digits
    from tapetum.nn import build
    from tapetum.training import Compute, Recipe, training_batches
    from tapetum.training.learner import Learner

    recipe = Recipe.named("quick").adjusted(batch_size=BATCH, precision="fp32", seed=SEED)
    images, _ = digits.open_digits(None, train_count=BATCH * NUM_BATCHES, test_count=1, seed=SEED)
    batches = list(training_batches(images, recipe.noise, batch_size=BATCH, seed=SEED, epoch=0))
    network = build(find_architecture("dc-net-reduced-integrated"), seed=SEED)
    learner = Learner(network, recipe, Compute())

    def step(index: int) -> None:
        batch = learner.compute.move(
            batches[index % len(batches)], channels_last=recipe.channels_last
        )
        loss, _ = learner.losses(batch, step=index)
        learner.descend(loss, step=index, total_steps=1_000_000)

    return step


def measure(rounds: int, seconds: float, threads: int) -> list[dict[str, float]]:
    """Return the images a second of each way in each surrounding, for each round."""
    from tapetum.allocator import relaunch_environment

    environment = relaunch_environment() or dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        environment.pop(name, None)
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    neighbour.send_signal(signal.SIGSTOP)
    workers = {
        way: subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, __file__, "--worker", way, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for way in WAYS
    }
    try:
        for worker in workers.values():
            _answer(worker)
        return [_round(workers, neighbour, seconds) for _ in range(rounds)]
    finally:
        neighbour.kill()
        for worker in workers.values():
            worker.kill()


def _answer(worker: "subprocess.Popen[str]") -> str:
    assert worker.stdout is not None  # noqa: S101  (a pipe)
    return worker.stdout.readline()


def _round(
    workers: dict[str, "subprocess.Popen[str]"],
    neighbour: "subprocess.Popen[bytes]",
    seconds: float,
) -> dict[str, float]:
    speeds = {}
    for surrounding in SURROUNDINGS:
        neighbour.send_signal(signal.SIGCONT if surrounding == "busy" else signal.SIGSTOP)
        for way, worker in workers.items():
            assert worker.stdin is not None  # noqa: S101  (a pipe)
            worker.stdin.write(f"{seconds}\n")
            worker.stdin.flush()
            speeds[f"{way}, {surrounding}"] = float(_answer(worker))
    neighbour.send_signal(signal.SIGSTOP)
    return speeds


def main() -> None:
    """Measure, print the ratios, and write them where that is requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a turn")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.threads)
        return
    rounds = measure(options.rounds, options.seconds, options.threads)
    quiet = f"{WAYS[0]}, {SURROUNDINGS[0]}"
    ratios = {
        name: statistics.median(speeds[name] / speeds[quiet] for speeds in rounds)
        for name in rounds[0]
    }
    for name, ratio in ratios.items():
        print(f"{name:22} {ratio:6.3f} of the quiet speed")
    if options.json:
        from tapetum.provenance import stamp

        result = {
            "command": " ".join(["python", *sys.argv]),
            "batch": BATCH,
            "seed": SEED,
            "threads": options.threads,
            "seconds": options.seconds,
            "ratios": ratios,
            "images_per_second": rounds,
            "provenance": stamp(seed=SEED).model_dump(mode="json"),
        }
        write_result(result, options.json)


if __name__ == "__main__":
    main()
