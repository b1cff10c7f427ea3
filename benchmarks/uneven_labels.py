"""Trains a network on a folder of which one class has 70 % of the images.

Five classes of Imagenette with 70, 12, 8, 6 and 4 % of about 1,000 images of 64 px, a third of
which is held out; the smallest class has 33 images to learn from. The same network learns with
equal steps by the default recipe of November 28, 2026, which had no balance (``before``), by that
of now without a balance (``none``), and with the one that is chosen by itself (``auto``), or with
others that are asked for.

What counts is the macro accuracy, the mean recall of the classes over all noise levels, and the
expected calibration error. After temperature scaling each half of the held-out images is scaled by
the temperature of the other half. A run that was stopped continues.

    python benchmarks/uneven_labels.py --data-root DATA --work RUNS \
        --json benchmarks/results/uneven_labels.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from paced import trained
from result_file import Rows, add_json_option
from tapetum.arch import Architecture, Branch, Shape
from tapetum.data import Augmentation
from tapetum.noise import NoisePlan
from tapetum.training import Recipe

SHARES = (0.70, 0.12, 0.08, 0.06, 0.04)
NUM_TRAIN, NUM_VALIDATION = 830, 520
SIZE_PX = 64
EPOCHS = 40
BALANCES = ("before", "none", "auto")
BEFORE = Recipe.named("images").adjusted(
    learning_rate=2e-3,
    warmup=0.2,
    label_smoothing=0.05,
    noise=NoisePlan(kind="gaussian", low=0.0, high=0.5),
    augmentation=Augmentation(),
    balance="none",
)
MEANS = ("accuracy", "macro_accuracy", "psnr_db", "training_seconds")


def network() -> Architecture:
    """A half-size UNet of about 3 minutes of training on one core."""
    widths, depths = (16, 48, 96), (1, 1, 1)
    shape = Shape(
        widths=widths,
        encoder_depths=depths,
        decoder_depths=depths[1:],
        branch=Branch(widths=(widths[-1],)),
    )
    return shape.architecture("half-16-48-96", image_channels=3, num_classes=len(SHARES))


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


def row(data: Path, run: Path, *, balance: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train and score once, or return what is there."""
    result, _ = trained(
        data,
        run,
        architecture=network(),
        recipe=BEFORE if balance == "before" else "images",
        epochs=epochs,
        size_px=SIZE_PX,
        seed=seed,
        balance=None if balance == "before" else balance,
    )
    scores, recipe = result.scores, json.loads((run / "request.json").read_text())["recipe"]
    mean = scores.mean
    return {
        "case": balance,
        "seed": seed,
        "balance": recipe["balance"],
        "class_weights": [round(weight, 3) for weight in recipe["class_weights"]],
        "accuracy": mean.accuracy,
        "macro_accuracy": mean.macro_accuracy,
        "recalls": mean.recalls,
        "psnr_db": mean.psnr_db,
        "calibration": None if scores.calibration is None else scores.calibration.model_dump(),
        "training_seconds": round(result.training_seconds, 1),
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True, help="has imagenette128")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--balances", nargs="+", default=list(BALANCES))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    add_json_option(parser)
    asked = parser.parse_args()
    images = {"train": NUM_TRAIN, "validation": NUM_VALIDATION}
    facts = {"shares": SHARES, "images": images, "size_px": SIZE_PX, "epochs": asked.epochs}
    rows = Rows(asked.json, MEANS, facts)
    for seed in asked.seeds:
        data = uneven_folder(asked.data_root, asked.work, seed=seed)
        for balance in asked.balances:
            run, what = asked.work / f"run_{balance}_{seed}", {"balance": balance, "seed": seed}
            rows.add(row(data, run, **what, epochs=asked.epochs))


if __name__ == "__main__":
    main()
