"""What does a race cost: does it keep its minutes, and how are they spent?

Races some networks on a folder of images, with a time limit, and compares the wall clock with it.
The networks are shapes of one latency's size, the same on every machine; which one wins says
nothing here.  For each rung the planned seconds of a candidate stand beside those that it took.

Command:  python benchmarks/race_cost.py DATA [--minutes 10] [--candidates 24] [--json FILE]
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Required, TypedDict

from result_file import add_json_option, write_result
from tapetum.arch import Architecture, Shape
from tapetum.arch.shape import Down, Join, Operator, Stem, Upsampling


class Way(TypedDict, total=False):
    """The kinds of layers of a shape."""

    operator: Required[Operator]
    stem: Stem
    down: Down
    up: Upsampling
    join: Join


SEED = 0
WIDTHS = ((16, 32, 64, 128), (16, 48, 96), (16, 48, 96, 160), (32, 48, 96), (32, 64, 96))
WAYS: tuple[Way, ...] = (
    {"stem": "half", "operator": "residual_conv"},
    {"stem": "half", "operator": "conv", "up": "transposed_conv"},
    {"stem": "half", "operator": "fused"},
    {"stem": "full", "operator": "conv", "down": "max_pool", "join": "concatenate"},
    {"stem": "half", "operator": "mbconv"},
)


def networks(count: int, *, image_channels: int, num_classes: int | None) -> list[Architecture]:
    """Return as many different networks."""

    def all_of_them() -> Iterator[Architecture]:
        for number, (widths, way) in enumerate(itertools.product(WIDTHS, WAYS)):
            depths = (1,) * len(widths)
            shape = Shape(widths=widths, encoder_depths=depths, decoder_depths=depths[1:], **way)
            name = f"{number:02}-{way['operator']}"
            yield shape.architecture(name, image_channels=image_channels, num_classes=num_classes)

    return list(itertools.islice(all_of_them(), count))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Race, and return what it cost."""
    from tapetum.data import open_dataset
    from tapetum.search import race
    from tapetum.training import Recipe

    dataset = open_dataset(str(options.data), seed=SEED, size_px=options.size)
    candidates = networks(
        options.candidates,
        image_channels=dataset.info.channels,
        num_classes=len(dataset.info.class_names) or None,
    )
    recipe = Recipe.named("images").adjusted(seed=SEED, ema_decay=0.99).suited()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "race"
        result = race(
            path,
            candidates,
            recipe,
            dataset.train,
            dataset.validation,
            minutes=options.minutes,
            workers=options.workers,
        )
        pieces = [
            [json.loads(file.read_text())["seconds"] for file in sorted(rung.glob("*.json"))]
            for rung in sorted(path.glob("rung-*"))
        ]
    return {
        "minutes": options.minutes,
        "minutes_taken": result.seconds / 60,
        "taken_over_requested": result.seconds / 60 / options.minutes,
        "workers": result.workers,
        "images": dataset.info.description,
        "recipe": recipe.name,
        "waiting": result.waiting,
        "notes": result.notes,
        "rungs": [
            {
                "candidates": len(rung.entries),
                "planned_seconds": rung.seconds,
                "median_seconds": median(seconds),
                "longest_seconds": max(seconds),
                "steps": [entry.steps for entry in rung.entries],
                "views": rung.num_views,
            }
            for rung, seconds in zip(result.rungs, pieces, strict=True)
        ],
        "provenance": result.provenance.model_dump(mode="json"),
    }


def main() -> None:
    """Measure, print the cost, and write it where that is requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of images")
    add_json_option(parser)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--workers", type=int, help="default: one a core")
    options = parser.parse_args()
    cost = measure(options)
    print(f"{cost['minutes_taken']:.2f} minutes were taken, {cost['minutes']:g} requested")
    for rung in cost["rungs"]:
        print(
            f"{rung['candidates']:3} candidates: planned {rung['planned_seconds']:.1f} s, took "
            f"{rung['median_seconds']:.1f} s in the median and {rung['longest_seconds']:.1f} s at "
            f"most, {min(rung['steps'])} to {max(rung['steps'])} steps"
        )
    if options.json:
        result = {"command": " ".join(["python", *sys.argv]), "seed": SEED, **cost}
        write_result(result, options.json)


if __name__ == "__main__":
    main()
