r"""Does a denoiser of the default training ever make an image worse?

Trains networks on one thread by the recipe of a folder, for minutes of processor time that are
turned into steps first. Scores them at eleven levels from sigma 0 to 1 and at 0.02 and 0.05, beside
the noisy image, wavelet and non-local means.

- ``joint``: labels and images of Imagenette at 64 px, sigma from 0 to 1, two shapes of the scaling
  rule.
- ``pairs``: 125 pairs of 256 px for training and 35 of other scenes, with the noise of a camera
  (Poisson-Gaussian, 8 bits, 29.8 dB) on crops of CBSD68, and a shape with a map of details.

With ``--bm3d`` BM3D runs on the pairs that are held out, and is told the strength of the noise of
each image. A run that was stopped continues.

    OMP_NUM_THREADS=1 python benchmarks/never_worse.py --data-root DATA --work RUNS \
        --json benchmarks/results/never_worse.json
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import tapetum
from paced import kept_steps, trained
from result_file import Rows, add_json_option
from tapetum.arch import Shape, ShapeSpace
from tapetum.noise import PoissonGaussian, add_noise, generator_for

SIZE_PX, PAIR_PX = 64, 256
LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
MEAN_LEVELS = tuple(level for level in LEVELS if level not in (0.02, 0.05))
CAMERA = PoissonGaussian(gain=0.0018, sigma=0.018)
BM3D_STRENGTH = 1.25  # times that of the noise, which depends on the signal: the best of three
HELD_OUT_SCENES, NUM_TRAIN, NUM_HELD_OUT = 14, 125, 35
SPACE = ShapeSpace(width_step=16, size_px=SIZE_PX, image_channels=3, num_classes=10)
WITH_DETAILS = Shape(
    widths=(32, 64, 96), encoder_depths=(1, 1, 1), decoder_depths=(1, 1), detail_channels=12
)
NETWORKS = {
    "joint": {
        "16-48-80": SPACE.changed(SPACE.largest(), widths=(16, 48, 80)),
        "32-80-112": SPACE.changed(SPACE.largest(), widths=(32, 80, 112)),
    },
    "pairs": {"32-64-96": WITH_DETAILS},
}
MINUTES = {"joint": 15.0, "pairs": 5.0}  # of one core


def pairs_of(root: Path, out: Path) -> Path:
    """Write crops of CBSD68 with their noisy twins, scene by scene, and return the folder."""
    files = sorted((root / "denoise" / "cbsd68").iterdir())
    order = np.random.default_rng(0).permutation(len(files)).tolist()
    counts = {"train": 0, "val": 0}
    limits = {"train": NUM_TRAIN, "val": NUM_HELD_OUT}
    for place, index in enumerate(order):
        part = "val" if place < HELD_OUT_SCENES else "train"
        image = np.asarray(Image.open(files[index]).convert("RGB"))
        room = image.shape[0] - PAIR_PX, image.shape[1] - PAIR_PX
        for third in range(3):
            number = counts[part]
            if number == limits[part]:
                break
            counts[part] += 1
            top, left = (round(side * third / 2) for side in room)
            clean = image[top : top + PAIR_PX, left : left + PAIR_PX]
            values = clean.astype(np.float32) / 255
            noisy = add_noise(values, CAMERA, generator_for(index, third), protocol="camera")
            for name, pixels in (("clean", clean), ("noisy", np.rint(noisy * 255))):
                path = out / part / name / f"{number:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return out


def row(
    task: str, name: str, data: Path, work: Path, *, seed: int, minutes: float
) -> dict[str, Any]:
    """Train and score once, or return what is there."""
    is_joint = task == "joint"
    network = NETWORKS[task][name].architecture(
        name, image_channels=3, num_classes=10 if is_joint else None
    )
    size_px, stem = SIZE_PX if is_joint else PAIR_PX, f"{task}_{name}_{minutes:g}min"
    steps = kept_steps(work / f"{stem}.json", minutes, network, data, size_px=size_px)
    run, noise = work / f"{stem}_seed{seed}", "gaussian:0-1" if is_joint else None
    result, used = trained(
        data, run, architecture=network, steps=steps, size_px=size_px, noise=noise, seed=seed
    )
    levels = LEVELS if is_joint else None
    scores = tapetum.evaluate(run, data=data, noise=levels)
    known = {"case": f"{task}, {name}, {minutes:g} min", "seed": seed, "steps": steps}
    return known | {"processor_minutes": used} | columns(result, scores)


def columns(result: Any, scores: Any) -> dict[str, Any]:
    """Return what is kept of a training and its scores."""
    counted = [row for row in scores.rows if row.noise is None or row.noise.sigma in MEAN_LEVELS]
    accuracies = [row.accuracy for row in counted if row.accuracy is not None]
    return {
        "minutes": round(result.training_seconds / 60, 2),
        "psnr_db": float(np.mean([row.psnr_db for row in counted])),
        "accuracy": float(np.mean(accuracies)) if accuracies else None,
        "levels": {
            row.title: {
                "noisy_db": row.noisy_psnr_db,
                **{f"{name}_db": value for name, value in row.filters_db.items()},
                "network_db": row.psnr_db,
            }
            for row in scores.rows
        },
        "remarks": scores.remarks,
    }


def bm3d_row(pairs: Path) -> dict[str, Any]:
    """Return the score of BM3D, which is told how strong the noise of each image is."""
    import bm3d  # not a dependency: its licence forbids commercial use

    scores = []
    for path in sorted((pairs / "val" / "clean").iterdir()):
        clean, noisy = (
            np.asarray(Image.open(pairs / "val" / part / path.name), np.float32) / 255
            for part in ("clean", "noisy")
        )
        strength = float(np.sqrt(np.mean((noisy - clean) ** 2)))
        denoised = np.clip(bm3d.bm3d_rgb(noisy, BM3D_STRENGTH * strength), 0, 1)
        scores.append(-10 * np.log10(np.mean((denoised - clean) ** 2)))
    return {"case": "pairs, BM3D", "seed": 0, "psnr_db": float(np.mean(scores))}


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True, help="has imagenette128, denoise")
    parser.add_argument("--work", type=Path, required=True, help="folder for pairs and runs")
    parser.add_argument("--tasks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--minutes", type=float, help="instead of those of each task")
    parser.add_argument("--bm3d", action="store_true", help="run BM3D, too: the package bm3d")
    add_json_option(parser)
    asked = parser.parse_args()
    folders = {
        "joint": asked.data_root / "imagenette128",
        "pairs": pairs_of(asked.data_root, asked.work / "pairs"),
    }
    rows = Rows(asked.json, ("psnr_db",))
    if asked.bm3d:
        rows.add(bm3d_row(folders["pairs"]))
    for task in asked.tasks:
        for name in NETWORKS[task]:
            for seed in asked.seeds:
                minutes = asked.minutes or MINUTES[task]
                data = folders[task]
                rows.add(row(task, name, data, asked.work, seed=seed, minutes=minutes))


if __name__ == "__main__":
    main()
