"""Does a network learn more where a training begins on images of half the size?

The same network is trained for as many minutes of one core, on images of full size alone or on
images of half the size for the first 40 % of the work. A step on these takes about a third of the
time at 128 px, so that there are twice as many steps in all. A run that was stopped continues.

    python benchmarks/half_size.py --data-root DATA --work RUNS --seeds 0 1 2 \
        --json benchmarks/results/half_size.json
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Any

from paced import DATASETS, default_network, kept_steps, linked, trained
from result_file import Rows, add_json_option
from tapetum.training import RUNS, Recipe

SIZES_PX, MINUTES = (128,), 3.0
MULTIPLY_ADDS_A_PIXEL = 24.4e3  # 0.45 times the latency of a DC-Net of base width 20
SHARES = (0.0, 0.4)
MEANS = ("accuracy", "macro_accuracy", "psnr_db")


def row(data: Path, work: Path, *, size_px: int, share: float, seed: int) -> dict[str, Any]:
    """Train and score once, or return what is there."""
    recipe = Recipe.named("images").suited().adjusted(half_size=share)
    affordable = MULTIPLY_ADDS_A_PIXEL * size_px**2
    network = default_network(data.name, size_px=size_px, multiply_adds=affordable)
    stem = f"{data.name}_{size_px}_{share:g}"
    pace = work / f"{stem}_pace.json"
    steps = kept_steps(pace, MINUTES, network, data, size_px=size_px, recipe=recipe)
    result, used = trained(
        data,
        work / f"{stem}_{seed}",
        architecture=network,
        recipe=recipe,
        size_px=size_px,
        steps=steps,
        seed=seed,
    )
    if (used_share := RUNS.open(work / f"{stem}_{seed}").request.recipe.half_size) != share:
        raise SystemExit(
            f"{size_px} px: the share of half-size images is {used_share:g}, not {share:g}"
        )
    case = f"{data.name} at {size_px} px, half the size for {share:.0%}"
    known = {"case": case, "seed": seed}
    assert result.scores is not None  # noqa: S101  (a training ends with scores)
    found: dict[str, Any] = result.scores.headline.model_dump(include={*MEANS, "num_images"})
    return known | {"steps": result.steps} | found | {"processor_minutes": used}


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES_PX, help="in pixels")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of the time")
    parser.add_argument("--validation", type=int, help="images of a class to score at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    add_json_option(parser)
    asked = parser.parse_args()
    rows = Rows(asked.json, MEANS)
    counts = {"train": None, "val": asked.validation}
    folders = [
        linked(asked.data_root / name, asked.work / "images" / name, counts)
        for name in asked.datasets
    ]
    for seed, data, size_px, share in product(asked.seeds, folders, asked.sizes, asked.shares):
        rows.add(row(data, asked.work, size_px=size_px, share=share, seed=seed))


if __name__ == "__main__":
    main()
