"""Does a random brightness of training images help a network that meets another illumination?

The same network learns with equal steps from images as they are, and from images that are brighter
or darker by up to a share. Steel (neu_cls) has validation images of other coils: those of one class
are a third darker than its training images. Photographs (imagenette128) have no such shift and
should not suffer. A run that was stopped continues.

    python benchmarks/brightness.py --data-root DATA --work RUNS --seeds 0 1 2 \
        --json benchmarks/results/brightness.json
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Any

from paced import DATASETS, default_network, kept_steps, trained
from result_file import Rows, add_json_option

SIZE_PX, MINUTES = 64, 3.0
MULTIPLY_ADDS = 100e6  # 0.45 times the latency of a DC-Net of base width 20
SHARES = (0.0, 0.3)
MEANS = ("accuracy", "macro_accuracy", "psnr_db")


def row(data: Path, work: Path, *, share: float, seed: int) -> dict[str, Any]:
    """Train and score once, or return what is there."""
    network = default_network(data.name, size_px=SIZE_PX, multiply_adds=MULTIPLY_ADDS)
    pace = work / f"{data.name}_pace.json"
    result, used = trained(
        data,
        work / f"{data.name}_{share:g}_{seed}",
        architecture=network,
        augmentation={"brightness": share},
        size_px=SIZE_PX,
        steps=kept_steps(pace, MINUTES, network, data, size_px=SIZE_PX),
        seed=seed,
    )
    assert result.scores is not None  # noqa: S101  (a training ends with scores)
    known = {"case": f"{data.name}, brightness +-{share:.0%}", "seed": seed}
    found: dict[str, Any] = result.scores.headline.model_dump(include=set(MEANS))
    return known | {"steps": result.steps} | found | {"processor_minutes": used}


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    add_json_option(parser)
    asked = parser.parse_args()
    rows = Rows(asked.json, MEANS)
    for name, seed, share in product(asked.datasets, asked.seeds, asked.shares):
        rows.add(row(asked.data_root / name, asked.work, share=share, seed=seed))


if __name__ == "__main__":
    main()
