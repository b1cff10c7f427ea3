r"""Trains a network on a folder of which one class has 70 % of the images.

Five classes of Imagenette with 70, 12, 8, 6 and 4 % of 830 images of 64 px to learn from, and of
520 others that are held out; the smallest class has 33 images to learn from. Each network learns
for equal minutes of one core, which are turned into steps first:

- ``before``: the default of November 28, 2026: a reduced DC-Net with a recipe without balance.
- ``none`` and ``auto``: a network of the scaling rule, of lower latency, with the recipe of now,
  without a balance and with the one that is chosen by itself; others can be asked for.

What counts is the macro accuracy, the mean recall of the classes over all noise levels, and the
expected calibration error. After temperature scaling each half of the held-out images is scaled by
the temperature of the other half. A run that was stopped continues.

    OMP_NUM_THREADS=1 python benchmarks/uneven_labels.py --data-root DATA --work RUNS \
        --seeds 0 1 2 --json benchmarks/results/uneven_labels.json
"""

import argparse
from pathlib import Path
from typing import Any, Literal

import numpy as np

from never_worse import NETWORKS
from paced import kept_steps, trained
from result_file import Rows, add_json_option
from tapetum.arch import Architecture, find_architecture
from tapetum.data import Augmentation
from tapetum.noise import NoisePlan
from tapetum.scores import Scores
from tapetum.training import Balance, Recipe

SHARES = (0.70, 0.12, 0.08, 0.06, 0.04)
NUM_TRAIN, NUM_VALIDATION = 830, 520  # the largest class has 950 images in all
SIZE_PX, MINUTES = 64, 3.0
BALANCES = ("before", "none", "auto")
BEFORE = Recipe.named("images").adjusted(
    learning_rate=2e-3,
    warmup=0.2,
    label_smoothing=0.05,
    noise=NoisePlan(kind="gaussian", low=0.0, high=0.5),
    augmentation=Augmentation(),
    balance="none",
)
MEANS = ("accuracy", "macro_accuracy", "psnr_db", "calibration_error")


def network(balance: str) -> Architecture:
    """Return the network of a case."""
    count = len(SHARES)
    if balance == "before":
        return find_architecture(
            "dc-net-reduced-integrated", channels=3, num_classes=count, boxes=False
        )
    shape = NETWORKS["joint"]["16-48-80"]
    return shape.architecture("16-48-80", image_channels=3, num_classes=count)


def uneven_folder(root: Path, out: Path, *, seed: int) -> Path:
    """Link images of five classes into a folder of two parts, and return it."""
    source, folder = root / "imagenette128", out / f"data_{seed}"
    generator = np.random.default_rng(seed)
    for name, share in zip(sorted(p.name for p in (source / "train").iterdir()), SHARES):  # noqa: B905
        files = sorted(
            file for part in ("train", "val") for file in (source / part / name).iterdir()
        )
        order = iter(generator.permutation(len(files)).tolist())
        for part, total in (("train", NUM_TRAIN), ("val", NUM_VALIDATION)):
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            for _ in range(round(share * total)):
                file = files[next(order)]
                link = place / f"{file.parents[1].name}-{file.name}"
                if not link.is_symlink():
                    link.symlink_to(file)
    return folder


def row(
    data: Path, work: Path, *, balance: Balance | Literal["before"], seed: int, minutes: float
) -> dict[str, Any]:
    """Train and score once, or return what is there."""
    is_before, joint = balance == "before", network(balance)
    recipe = BEFORE if is_before else Recipe.named("images").suited()
    pace = work / f"{joint.name}_{minutes:g}min.json"
    steps = kept_steps(pace, minutes, joint, data, size_px=SIZE_PX, recipe=recipe)
    result, used = trained(
        data,
        work / f"run_{balance}_{seed}",
        architecture=joint,
        recipe=BEFORE if is_before else "images",
        steps=steps,
        size_px=SIZE_PX,
        seed=seed,
        balance=None if balance == "before" else balance,
    )
    assert result.scores is not None  # noqa: S101  (a training ends with scores)
    known = {"case": balance, "seed": seed, "steps": steps, "processor_minutes": used}
    return known | columns(result.scores)


def columns(scores: Scores) -> dict[str, Any]:
    """Return what is kept of the scores on the held-out images."""
    mean, calibration = scores.mean, scores.calibration
    return {
        "accuracy": mean.accuracy,
        "macro_accuracy": mean.macro_accuracy,
        "recalls": mean.recalls,
        "psnr_db": mean.psnr_db,
        "calibration_error": None if calibration is None else calibration.error_after,
        "calibration": None if calibration is None else calibration.model_dump(),
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True, help="has imagenette128")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--balances", nargs="+", default=list(BALANCES))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    add_json_option(parser)
    asked = parser.parse_args()
    images = {"train": NUM_TRAIN, "validation": NUM_VALIDATION}
    facts = {"shares": SHARES, "images": images, "size_px": SIZE_PX, "minutes": asked.minutes}
    rows = Rows(asked.json, MEANS, facts)
    for seed in asked.seeds:
        data = uneven_folder(asked.data_root, asked.work, seed=seed)
        for balance in asked.balances:
            rows.add(row(data, asked.work, balance=balance, seed=seed, minutes=asked.minutes))


if __name__ == "__main__":
    main()
