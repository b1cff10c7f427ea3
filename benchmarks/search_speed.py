"""How many pictures a second does a search step take, against the published algorithm done plainly?

A step of the weights every time and one of the logits every second time, on the whole C-NAS space
of eight operators, 64 px, batch 32:

- *plain*: every candidate has weights of its own, every step of the logits computes all eight
  (``alpha_update="full"``), eager, fp32, torch's own memory order and allocator settings;
- *plain, tuned*: the same with channels last and our allocator settings;
- *shared, full*: candidates share their weights; the logits still look at all of them;
- *shared, pair*: shared weights, two candidates of a slot for the logits;
- *swift*: the same, and each of the two paths of a step gets half of its pictures: ``swift``.

Each is a process of its own, they take turns in one run, and what counts is the ratio of the
medians, since the machine is shared.

Command:  python benchmarks/search_speed.py [--threads 2] [--json FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BATCH, SIZE_PX, CLASSES, STEPS = 32, 64, 10, 4  # an even number of steps
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"shares_weights": False, "alpha_update": "full", "channels_last": False},
    "plain, tuned": {"shares_weights": False, "alpha_update": "full"},
    "shared, full": {"shares_weights": True, "alpha_update": "full"},
    "shared, pair": {"shares_weights": True, "alpha_update": "pair"},
    "swift": {"shares_weights": True, "alpha_update": "pair", "splits_batches": True},
}


def work(name: str) -> None:
    """Takes some steps for every line on standard input and says how long they took."""
    import torch
    from accelerate import Accelerator

    from tapetum.arch.cost import multiply_adds
    from tapetum.arch.spaces import Frame, open_space
    from tapetum.data import Batch
    from tapetum.latency.campaign import Measurements
    from tapetum.latency.conditions import Conditions
    from tapetum.latency.pricing import Sample
    from tapetum.latency.table import make_table
    from tapetum.provenance import stamp
    from tapetum.search.recipe import TF_NAS, SearchRecipe
    from tapetum.search.searcher import Searcher
    from tapetum.training import prepare_process

    if name != "plain":
        prepare_process()
    import numpy as np

    space = open_space("c-nas", Frame(operators=8, picture_px=SIZE_PX, num_classes=CLASSES))
    conditions = Conditions(
        device="none", runtime="onnxruntime", runtime_version="0", precision="fp32", threads=1,
        batch=1, channels=3, height_px=SIZE_PX, width_px=SIZE_PX,
    )  # fmt: skip
    draws = [space.random(np.random.default_rng(index)) for index in range(60)]
    samples = [
        Sample(one, multiply_adds(space.architecture(one), SIZE_PX, SIZE_PX) / 1e7) for one in draws
    ]  # the speed of a step does not depend on prices
    table = make_table(space, conditions, Measurements(samples, 1, None), stamp(seed=0))
    recipe = SearchRecipe.model_validate(
        {**TF_NAS.model_dump(), "name": name, "batch_size": BATCH, "warmup_epochs": 0, **WAYS[name]}
    )
    searcher = Searcher(table, recipe, Accelerator(cpu=True), target_ms=10.0, total_steps=10_000)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX, generator=generator)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    batch = searcher.to_device(Batch(pictures, pictures, labels, None))

    def steps(first: int) -> None:
        for step in range(first, first + STEPS):
            searcher.weight_step(batch, step=step, epoch=0)
            if step % recipe.logits_every_steps:
                searcher.logit_step(batch, step=step, epoch=0)

    steps(0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number, _ in enumerate(sys.stdin, start=1):
        start = time.perf_counter()
        steps(number * STEPS)
        sys.stdout.write(f"{time.perf_counter() - start}\n")
        sys.stdout.flush()


def start(name: str, *, threads: int) -> "subprocess.Popen[str]":
    """A process that searches; ours starts in the environment in which the command searches."""
    from tapetum.allocator import relaunch_environment

    environment = {**os.environ}
    if name != "plain":
        environment = relaunch_environment() or environment
    # Threads that wait for their turn must not spin beside those whose turn it is.
    environment |= {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "10000"}
    return subprocess.Popen(  # noqa: S603  (ourselves)
        [sys.executable, __file__, "--worker", name],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def turn(worker: "subprocess.Popen[str]") -> float:
    """Pictures a second in one turn of a process."""
    assert worker.stdin is not None  # noqa: S101  (we asked for pipes)
    assert worker.stdout is not None  # noqa: S101
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return BATCH * STEPS / float(worker.stdout.readline())


def main() -> None:
    """Prints a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=9, help="turns of each way")
    parser.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked.worker)
        return
    from tapetum.provenance import stamp

    workers = {name: start(name, threads=asked.threads) for name in WAYS}
    for worker in workers.values():
        assert worker.stdout is not None  # noqa: S101
        worker.stdout.readline()
    rounds = [{name: turn(worker) for name, worker in workers.items()} for _ in range(asked.rounds)]
    for worker in workers.values():
        worker.communicate()
    result: dict[str, Any] = {"threads": asked.threads, "batch": BATCH, "ways": {}}
    for name in WAYS:
        ratios = sorted(one[name] / one["plain"] for one in rounds)
        result["ways"][name] = {
            "pictures_per_second": round(statistics.median(one[name] for one in rounds), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
        print(f"{name:14}", result["ways"][name])
    result["provenance"] = stamp(seed=0).model_dump(mode="json")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
