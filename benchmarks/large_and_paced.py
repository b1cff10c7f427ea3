"""Predicts an image of 246 megapixels with its peak memory, and times a package at a steady pace.

The panorama is drawn here and predicted by one ``tapetum predict`` with the default memory limit;
the kernel reports the most memory that this process had. Then a package is timed back to back and
with one image each 100 ms, as of a camera, by the same code as ``tapetum benchmark``.

    python benchmarks/large_and_paced.py --json benchmarks/results/large_and_paced.json
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import tapetum
from result_file import add_json_option, as_text, write_result
from tapetum.arch import find_architecture
from tapetum.graph import random_weights, write_graph
from tapetum.images import inspect_image
from tapetum.provenance import stamp
from tapetum.runtime import Manifest, write_package

NETWORK, SIZE_PX = "dc-net-reduced-integrated", 64
WIDTH_PX, HEIGHT_PX = 19_200, 12_800
PACE_MS = 100.0


def draw_panorama(path: Path, width_px: int, height_px: int) -> None:
    """Write a large colour image of waves, with a little noise that repeats."""
    generator = np.random.default_rng(0)
    across = np.sin(np.arange(width_px) / 97)
    noise = generator.integers(-4, 5, width_px)
    pixels = np.empty((height_px, width_px, 3), np.uint8)
    for y in range(height_px):
        values = 128 + 80 * across * np.sin(y / 61) + np.roll(noise, 7 * y)
        pixels[y] = values[:, None] + (0, 20, 40)
    Image.fromarray(pixels).save(path, compress_level=1)


def write_network(path: Path) -> None:
    """Write a package with random weights that denoises and classifies colour images."""
    architecture = find_architecture(NETWORK, channels=3, num_classes=3, boxes=False)
    manifest = Manifest.of(architecture, size_px=SIZE_PX, class_names=["a", "b", "c"])
    write_package(
        path, write_graph(architecture, random_weights(architecture, seed=0)), manifest, ""
    )


def predict_large(package: Path, place: Path, width_px: int, height_px: int) -> dict[str, Any]:
    """Draw and predict the panorama, each in a process of its own.

    The memory of the parent counts as that of a child that it starts, so it stays small.
    """
    image, out = place / "panorama.png", place / "out"
    drawing = multiprocessing.get_context("spawn").Process(
        target=draw_panorama, args=(image, width_px, height_px)
    )
    drawing.start()
    drawing.join()
    start = time.monotonic()
    command = subprocess.Popen(  # noqa: S603 - the arguments are ours
        [sys.executable, "-m", "tapetum", "predict", package, image, "--out", out],
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(command.pid, 0)
    seconds = time.monotonic() - start
    if status:
        raise SystemExit(f"the command ended with code {os.waitstatus_to_exitcode(status)}")
    (row,) = map(json.loads, (out / "predictions.jsonl").read_text().splitlines())
    facts = inspect_image(Path(row["denoised"]))  # Pillow alone refuses so many pixels
    return {
        "width_px": width_px,
        "height_px": height_px,
        "megapixels": round(width_px * height_px / 1e6, 1),
        "input_mib": round(image.stat().st_size / 2**20, 1),
        "denoised_has_the_size": (facts.width_px, facts.height_px) == (width_px, height_px),
        "seconds": round(seconds, 1),
        "peak_mib": round(usage.ru_maxrss / 1024, 1),  # which Linux counts in KiB
    }


def time_at_pace(package: Path, seconds: float) -> dict[str, Any]:
    """Time one pass and the whole call, back to back and at the pace of a camera."""
    found = tapetum.measure_latency(package, seconds=seconds, pace_ms=PACE_MS)
    return {"ratio": _ratios(found), **found.model_dump(mode="json")}


def _ratios(found: Any) -> dict[str, float]:
    """Return how much longer the median is at the pace than back to back."""
    both = {
        "network": (found.paced.network, found.timing),
        "whole": (found.paced.whole, found.calls.whole),
    }
    return {
        name: round(paced.median_ms / steady.median_ms, 2)
        for name, (paced, steady) in both.items()
        if paced is not None and steady is not None
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--width", type=int, default=WIDTH_PX)
    parser.add_argument("--height", type=int, default=HEIGHT_PX)
    parser.add_argument("--seconds", type=float, default=6.0, help="of the timings back to back")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        package = place / "network.tapetum"
        write_network(package)
        result = {
            "network": NETWORK,
            "size_px": SIZE_PX,
            "large": predict_large(package, place, asked.width, asked.height),
            "paced": time_at_pace(package, asked.seconds),
            "provenance": stamp().model_dump(mode="json"),
        }
    print(as_text(result))
    write_result(result, asked.json)


if __name__ == "__main__":
    main()
