"""Does a network learn more where a training begins on images of half the size?

The same network is trained for as many minutes of one core, on images of full size alone or on
images of half the size for the first 40 % of the time. A step on these takes about a quarter of the
time, so that there are twice as many steps in all. A run that was stopped continues.

    python benchmarks/half_size.py --data-root DATA --work RUNS --seeds 0 1 2 \
        --json benchmarks/results/half_size.json
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import tapetum
from brightness import DATASETS, MEANS
from paced import processor_minutes, steps_within
from result_file import add_json_option, means_of, once, write_result
from tapetum.arch import Architecture, ShapeSpace
from tapetum.data import open_dataset
from tapetum.provenance import stamp
from tapetum.training import Recipe

SIZE_PX, MINUTES = 128, 3.0
MULTIPLY_ADDS = 400e6  # 0.45 times the latency of a DC-Net of base width 20
SHARES = (0.0, 0.4)


def network(name: str) -> Architecture:
    """Return the default network of a fit."""
    channels, classes = DATASETS[name]
    form = {"size_px": SIZE_PX, "image_channels": channels, "num_classes": classes}
    space = ShapeSpace(width_step=16, **form)
    return space.architecture(space.rule(MULTIPLY_ADDS), "rule")


def trained(data: Path, work: Path, *, name: str, share: float, seed: int) -> dict[str, Any]:
    """Train and score once, or return what is there."""
    run = work / f"{name}_{share:g}_{seed}"
    recipe = Recipe.named("images").adjusted(half_size=share)

    def pace() -> dict[str, Any]:
        opened = open_dataset(str(data), seed=0, size_px=SIZE_PX)
        return {"steps": steps_within(MINUTES, network(name), recipe, opened)}

    steps = once(work / f"{name}_{share:g}_pace.json", pace)["steps"]
    train = partial(
        tapetum.train,
        *(data, run),
        architecture=network(name),
        recipe=recipe,
        size_px=SIZE_PX,
        steps=steps,
        seed=seed,
        resume=(run / "request.json").exists(),
    )
    result, used = processor_minutes(run, train)
    assert result.scores is not None  # noqa: S101  (a finished run has them)
    found = result.scores.headline.model_dump(include=set(MEANS))
    known = {"case": f"{name}, half the size for {share:.0%}", "seed": seed, "steps": result.steps}
    return known | found | {"processor_minutes": used}


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    add_json_option(parser)
    asked = parser.parse_args()
    rows = list[dict[str, Any]]()
    for seed in asked.seeds:
        for name in asked.datasets:
            for share in SHARES:
                what = {"name": name, "share": share, "seed": seed}
                rows.append(trained(asked.data_root / name, asked.work, **what))
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                mean = means_of(rows, "case", MEANS)
                made = stamp(seed=seed).model_dump(mode="json")
                write_result({"mean": mean, "runs": rows, "provenance": made}, asked.json)


if __name__ == "__main__":
    main()
