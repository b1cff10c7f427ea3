"""Small packages with random weights, and images to predict with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tapetum.arch import find_architecture
from tapetum.graph import random_weights, write_graph
from tapetum.images import DecodedImage, write_image
from tapetum.runtime import Manifest, write_package
from tapetum.runtime.bulk import PredictionRow, read_rows
from tapetum.scores import Scores


def package_in(
    folder: Path, name: str, *, channels: int = 1, scores: Scores | None = None, **options: Any
) -> Path:
    """Write a named network with random weights, and return its file."""
    architecture = find_architecture(name, channels=channels, **options)
    classifier = architecture.classifier
    classes = [f"class {index}" for index in range(classifier.num_classes if classifier else 0)]
    manifest = Manifest.of(architecture, size_px=32, class_names=classes, scores=scores)
    path = folder / f"{name}-{channels}.tapetum"
    write_package(
        path, write_graph(architecture, random_weights(architecture, seed=0)), manifest, ""
    )
    return path


def save_image(path: Path, *, seed: int = 0, side: int = 16, **options: Any) -> Path:
    """Write a random grey image, and return its path."""
    pixels = np.random.default_rng(seed).random((1, side, side), dtype=np.float32)
    write_image(path, DecodedImage(pixels, None, options.pop("bit_depth", 8), "grey", **options))
    return path


def save_images(folder: Path, count: int) -> Path:
    """Write random grey images into three sub-folders, and return the folder."""
    for index in range(count):
        save_image(folder / f"{index % 3}" / f"{index:03}.png", seed=index)
    return folder


def rows_by_name(out: Path) -> dict[tuple[str, int], PredictionRow]:
    """The rows of a job by image and frame, without what differs from run to run."""
    found: dict[tuple[str, int], PredictionRow] = {}
    for row in read_rows(out):
        assert (row.name, row.frame) not in found
        text = row.model_copy(update={"latency_ms": None, "prepare_ms": None}).model_dump_json()
        values = json.loads(text.replace(json.dumps(str(out))[1:-1], "OUT"))
        found[row.name, row.frame] = PredictionRow.model_validate(values)
    return found
