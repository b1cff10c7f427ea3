"""Small folders of images that tests draw."""

import os
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image

SIDE_PX = 32


def draw(
    path: Path, *, seed: int | None = None, noise: float = 0.0, side_px: int = SIDE_PX
) -> Path:
    """Writes a smooth grey image that depends on the seed, by default on the path, with noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = crc32(os.fsencode(path)) if seed is None else seed
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4), np.uint8)
    smooth = Image.fromarray(coarse).resize((side_px, side_px), Image.Resampling.BILINEAR)
    noisy = np.asarray(smooth) + np.random.default_rng(seed + 1).normal(0, noise, (side_px,) * 2)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return path


def draw_tree(root: Path, counts: Mapping[str, int]) -> Path:
    """Writes some images, 00.png and on, into each folder; none makes an empty folder."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            draw(root / name / f"{index:02}.png")
    return root


def draw_pairs(root: Path, noisy: str, clean: str, *, count: int = 4, alike: bool = True) -> Path:
    """Writes noisy and clean images under names with a number, of one scene or of two."""
    for index in range(count):
        draw(root / noisy.format(index), seed=index, noise=20)
        draw(root / clean.format(index), seed=index if alike else 100 + index)
    return root
