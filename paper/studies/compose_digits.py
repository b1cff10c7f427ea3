"""How fast two-digit images are composed: images a second, on one thread and on several.

    python paper/studies/compose_digits.py [--data-root DIR] [--threads 2] [--json]

Each round takes every image of a training set once, in shuffled batches of 64, as an epoch of
training does, without noise.  Printed are the median over the rounds and their spread (slowest and
fastest).  The project asks for 20,000 images a second on two cores.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tapetum.data import digits

BATCH_SIZE = 64


def main() -> None:
    """Measures and prints."""
    options = _parse()
    images, _ = digits.open_digits(
        options.data_root, train_count=options.count, test_count=1, seed=0
    )
    rates = {
        threads: [measure(images, threads) for _ in range(options.rounds)]
        for threads in sorted({1, options.threads})
    }
    result = {
        "images": options.count,
        "batch_size": BATCH_SIZE,
        "source": images.source,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "rates": [
            {
                "threads": threads,
                "images_per_s": round(statistics.median(found)),
                "slowest": round(min(found)),
                "fastest": round(max(found)),
            }
            for threads, found in rates.items()
        ],
    }
    print(json.dumps(result, indent=2) if options.json else _describe(result))


def measure(images: digits.DigitDataset, threads: int) -> float:
    """Images a second, when ``threads`` take every image once between them."""
    order = np.random.default_rng(0).permutation(len(images)).tolist()
    batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]

    def compose(share: Sequence[Sequence[int]]) -> None:
        for indices in share:
            images.take(indices, epoch=0, seed=0, train=True)

    with ThreadPoolExecutor(threads) as pool:
        start_s = time.perf_counter()
        list(pool.map(compose, [batches[thread::threads] for thread in range(threads)]))
        return len(images) / (time.perf_counter() - start_s)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast two-digit images are composed.")
    parser.add_argument("--data-root", type=Path, help="folder with MNIST's idx files")
    parser.add_argument("--count", type=int, default=30_000, help="images in the set")
    parser.add_argument("--threads", type=int, default=2, help="threads beside the run with one")
    parser.add_argument("--rounds", type=int, default=7, help="repeats")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def _describe(result: dict[str, Any]) -> str:
    lines = [f"{result['images']:,} images, {result['machine']}; {result['source']}"]
    rates = result["rates"]
    lines += [
        f"{rate['threads']} thread(s): {rate['images_per_s']:,} images/s "
        f"({rate['slowest']:,} to {rate['fastest']:,})"
        for rate in rates
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
