"""Trains on 15 images a class of steel, with and without the extra ``pretrained``.

Six classes of surface defects at 64 px, 90 images to learn from and 360 held out; the score is the
mean over noise of sigma 0, 0.2 and 0.5. A half-size network starts from random weights, and a
network of MBConv blocks (``ShapeSpace.mobile``) from random weights and from EfficientNet-Lite0.
All train for equal minutes of one core: on a shared machine its processor time counts, which is
turned into steps by the pace of some steps. A run that was stopped continues.

    python benchmarks/small_folder.py --data-root DATA --work RUNS --seeds 0 1 2 \
        --json benchmarks/results/small_folder.json
"""

import argparse
from pathlib import Path
from typing import Any

import tapetum
from paced import kept_steps, linked, trained
from result_file import Rows, add_json_option
from tapetum.arch import Branch, Shape, ShapeSpace

NUM_TRAIN, NUM_CLASSES, SIZE_PX, MINUTES = 15, 6, 64, 3.0
COUNTS = {"train": NUM_TRAIN, "val": None}  # of each class
LEVELS = ("0", "0.2", "0.5")
SPACE = ShapeSpace(width_step=16, size_px=SIZE_PX, image_channels=1, num_classes=NUM_CLASSES)
HALF = Shape(
    widths=(16, 48, 96),
    encoder_depths=(1, 1, 1),
    decoder_depths=(1, 1),
    branch=Branch(widths=(96,)),
)
CASES = {
    "half": (HALF, "fresh"),
    "mobile": (SPACE.mobile(), "fresh"),
    "mobile-pretrained": (SPACE.mobile(), "efficientnet-lite0"),
}


def row(data: Path, work: Path, case: str, *, minutes: float, seed: int) -> dict[str, Any]:
    """Train and score once, or return what is there."""
    shape, start = CASES[case]
    network, run = SPACE.architecture(shape, case), work / f"{case}_{seed}"
    pace = work / f"{case}_{minutes:g}min.json"
    steps = kept_steps(pace, minutes, network, data, size_px=SIZE_PX)
    result, used = trained(
        data, run, architecture=network, start=start, steps=steps, size_px=SIZE_PX, seed=seed
    )
    scores = tapetum.evaluate(run, data, noise=LEVELS)
    return {
        "case": case,
        "seed": seed,
        "steps": result.steps,
        "accuracy": scores.mean.accuracy,
        "psnr_db": scores.mean.psnr_db,
        "processor_minutes": used,
        "start": None if result.start is None else result.start.origin,
        "hint": None if result.start is None else result.start.hint,
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True, help="has neu_cls")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--cases", nargs="+", default=["half", "mobile-pretrained"], choices=CASES)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    add_json_option(parser)
    asked = parser.parse_args()
    data = linked(asked.data_root / "neu_cls", asked.work / "images", COUNTS)
    images = {"train": NUM_TRAIN * NUM_CLASSES, "size_px": SIZE_PX}
    facts = {"images": images, "minutes": asked.minutes, "sigmas": LEVELS}
    rows = Rows(asked.json, ("accuracy", "psnr_db"), facts)
    for seed in asked.seeds:
        for case in asked.cases:
            rows.add(row(data, asked.work, case, minutes=asked.minutes, seed=seed))


if __name__ == "__main__":
    main()
