"""Does a random brightness of training images help a network that meets another illumination?

The same network learns with equal steps from images as they are, and from images that are brighter
or darker by up to a share. Steel (neu_cls) has validation images of other coils: those of one class
are a third darker than its training images. Photographs (imagenette128) have no such shift and
should not suffer. A run that was stopped continues.

    python benchmarks/brightness.py --data-root DATA --work RUNS --seeds 0 1 2 \
        --json benchmarks/results/brightness.json
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import tapetum
from paced import processor_minutes, steps_within
from result_file import add_json_option, means_of, once, write_result
from tapetum.arch import Architecture, ShapeSpace
from tapetum.data import open_dataset
from tapetum.provenance import stamp
from tapetum.training import Recipe

DATASETS = {"neu_cls": (1, 6), "imagenette128": (3, 10)}  # channels and classes
SIZE_PX, MINUTES = 64, 3.0
MULTIPLY_ADDS = 100e6  # 0.45 times the latency of a DC-Net of base width 20
SHARES = (0.0, 0.3)
MEANS = ("accuracy", "macro_accuracy", "psnr_db")


def network(name: str) -> Architecture:
    """Return the default network of a fit."""
    channels, classes = DATASETS[name]
    form = {"size_px": SIZE_PX, "image_channels": channels, "num_classes": classes}
    space = ShapeSpace(width_step=16, **form)
    return space.architecture(space.rule(MULTIPLY_ADDS), "rule")


def trained(
    data: Path, work: Path, *, name: str, share: float, seed: int, steps: int
) -> dict[str, Any]:
    """Train and score once, or return what is there."""
    run = work / f"{name}_{share:g}_{seed}"
    options = {"size_px": SIZE_PX, "steps": steps, "seed": seed}
    train = partial(
        tapetum.train,
        *(data, run),
        architecture=network(name),
        augmentation={"brightness": share},
        resume=(run / "request.json").exists(),
        **options,
    )
    result, used = processor_minutes(run, train)
    assert result.scores is not None  # noqa: S101  (a finished run has them)
    found = result.scores.headline.model_dump(include=set(MEANS))
    known = {"case": f"{name}, brightness +-{share:.0%}", "seed": seed, "steps": result.steps}
    return known | found | {"processor_minutes": used}


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
    rows = list[dict[str, Any]]()
    for name in asked.datasets:
        data = asked.data_root / name
        recipe, opened = Recipe.named("images"), open_dataset(str(data), seed=0, size_px=SIZE_PX)
        paced = partial(steps_within, MINUTES, network(name), recipe, opened)
        pace = once(asked.work / f"{name}_pace.json", lambda: {"steps": paced()})  # noqa: B023
        for seed in asked.seeds:
            for share in asked.shares:
                what = {"name": name, "share": share, "seed": seed}
                rows.append(trained(data, asked.work, **what, steps=pace["steps"]))
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                mean = means_of(rows, "case", MEANS)
                made = stamp(seed=seed).model_dump(mode="json")
                write_result({"mean": mean, "runs": rows, "provenance": made}, asked.json)


if __name__ == "__main__":
    main()
