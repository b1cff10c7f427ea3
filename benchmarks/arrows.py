"""Trains arrows that point left or right, a task that a mirror makes impossible.

The classes are named once so that their names tell of the mirror, and once so that they do not. The
defaults decide about the mirror; the accuracy on clean images is kept for both pairs of names.

    python benchmarks/arrows.py --json benchmarks/results/arrows.json
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import tapetum
from result_file import add_json_option, as_text, write_result
from tapetum.provenance import stamp

NAMES = (("left", "right"), ("forward", "back"))
NETWORK, EPOCHS = "dc-net-reduced-integrated", 20
NUM_TRAIN, NUM_VALIDATION = 80, 20  # of each class
SIZE_PX = 48


def draw_arrow(points_left: bool, generator: np.random.Generator) -> Image.Image:
    """A bright arrow at a random place on a dark, noisy ground."""
    canvas = Image.new("L", (SIZE_PX, SIZE_PX), 40)
    x, y = int(generator.integers(4, 16)), int(generator.integers(12, 28))
    outline = [(0, 0), (16, 0), (16, -8), (28, 4), (16, 16), (16, 8), (0, 8)]
    shown = [(x + (28 - a if points_left else a), y + b) for a, b in outline]
    ImageDraw.Draw(canvas).polygon(shown, fill=230)
    values = np.asarray(canvas, float) + generator.normal(0, 6, (SIZE_PX, SIZE_PX))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def draw_arrows(folder: Path, names: tuple[str, str]) -> Path:
    """Write a folder of both classes in two parts; the first class points left."""
    generator = np.random.default_rng(0)
    for part, count in (("train", NUM_TRAIN), ("val", NUM_VALIDATION)):
        for name in names:
            place = folder / part / name
            place.mkdir(parents=True)
            for index in range(count):
                draw_arrow(name == names[0], generator).save(place / f"{index}.png")
    return folder


def accuracy_of(place: Path, names: tuple[str, str], epochs: int) -> float | None:
    """Return the accuracy on clean validation images after a training with the defaults."""
    data = draw_arrows(place / "data", names)
    result = tapetum.train(data, place / "run", architecture=NETWORK, epochs=epochs)
    return None if result.scores is None else result.scores.rows[0].accuracy


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    asked = parser.parse_args()
    result: dict[str, Any] = {
        "network": NETWORK,
        "epochs": asked.epochs,
        "images_of_a_class": {"train": NUM_TRAIN, "validation": NUM_VALIDATION},
        "size_px": SIZE_PX,
        "accuracy": {},
    }
    for names in NAMES:
        with tempfile.TemporaryDirectory() as place:
            accuracy = accuracy_of(Path(place), names, asked.epochs)
        result["accuracy"]["-".join(names)] = accuracy
    result["provenance"] = stamp(seed=0).model_dump(mode="json")
    print(as_text(result))
    write_result(result, asked.json)


if __name__ == "__main__":
    main()
