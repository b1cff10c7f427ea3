"""The two reduced rows of table 1, trained by recipes that differ in one number.

For ``one_sigma.py``, ``share_of_cross_entropy.py`` and ``noise_drawn_once.py``; parts of it, for
other heads or images, ``integrated_head.py`` and ``digit_composition.py``.  A training that was
killed goes on; what is in the file already is kept.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import kept
from tapetum.arch import Architecture, find_architecture
from tapetum.data import Dataset, open_dataset
from tapetum.jobs import train_network
from tapetum.nn import build
from tapetum.training import Recipe, Result, prepare_process

NETWORKS = ("dc-net-reduced-integrated", "dc-net-reduced-sequential")
SCORES = ("psnr_db", "ssim", "accuracy")

Found = dict[str, dict[str, float]]  # scores, by the number


def files_parser(description: str | None, *, runs: str) -> argparse.ArgumentParser:
    """The options of every script that trains on digits: where it reads and writes.

    Args:
        description: What it is for.
        runs: Names the folder of its runs.
    """
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", type=Path, required=True, help="the result, and where to go on")
    options.add_argument("--data-root", type=Path, help="folder with the MNIST idx files")
    options.add_argument("--out", type=Path, default=Path("runs") / runs, help="folder of the runs")
    return options


def parser(
    description: str | None,
    *,
    flag: str,
    numbers: Sequence[float],
    epochs: int,
    kind: type[float] = float,
) -> argparse.ArgumentParser:
    """The options of a script that trains the reduced rows.

    Args:
        description: What it is for.
        flag: Names the numbers.
        numbers: All of them.
        epochs: Unless others are asked for.
        kind: Of the numbers: ``int`` or ``float``.
    """
    options = files_parser(description, runs=flag.strip("-"))
    options.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    options.add_argument(flag, nargs="+", type=kind, default=numbers, dest="numbers")
    options.add_argument("--epochs", type=int, default=epochs)
    return options


def train_each(
    asked: argparse.Namespace,
    recipe_of: Callable[[float, int], Recipe],
    images_of: Callable[[Dataset, Recipe], Dataset] = lambda images, _: images,
) -> dict[str, Found]:
    """Trains what is not in the file yet, and prints a line for each training.

    Args:
        asked: The options, the number of epochs among them.
        recipe_of: The recipe for a number and so many epochs.
        images_of: What is trained on, where it is not the digits as they are.

    Returns:
        For each network what was found.
    """
    prepare_process()
    images = open_dataset("digits", seed=0, data_root=asked.data_root)
    settings = {"epochs": asked.epochs, "source": images.train.source}
    known = {"networks": {}} | kept.read(asked.json, settings)
    for name in asked.networks:
        recipes = {str(number): recipe_of(number, asked.epochs) for number in asked.numbers}
        trainings = {
            number: partial(
                trained,
                find_architecture(name),
                recipe,
                images_of(images, recipe),
                asked.out / f"{name}_{number}_{asked.epochs}_epochs",
            )
            for number, recipe in recipes.items()
        }
        print(name)
        train_missing(trainings, known["networks"].setdefault(name, {}), known, asked.json)
    return {name: known["networks"][name] for name in asked.networks}


def train_missing(
    trainings: Mapping[str, Callable[[], Result]],
    found: Found,
    known: dict[str, Any],
    path: Path,
    row: Callable[[Result], dict[str, Any]] | None = None,
) -> None:
    """Trains what has not been found yet, and keeps each at once.

    Args:
        trainings: By the name of what each finds.
        found: A part of what is known, to which it is added.
        known: All of it.
        path: Of the file.
        row: What is kept of a training; :func:`row_of` where null.
    """
    for name, training in trainings.items():
        if name not in found:
            result = training()
            found[name] = (row or row_of)(result)
            kept.write(
                path,
                known,
                process=result.process and result.process.model_dump(),
                provenance=result.provenance.model_dump(mode="json"),
            )
        print(f"{name}: {found[name]}", flush=True)


def trained(architecture: Architecture, recipe: Recipe, images: Dataset, folder: Path) -> Result:
    """Trains a network and scores it on the noise levels of its recipe."""
    resume = (folder / "request.json").exists()
    network = build(architecture, seed=recipe.seed)
    return train_network(network, recipe, images, folder, resume=resume)


def row_of(result: Result) -> dict[str, float]:
    """What is kept of a training."""
    assert result.scores is not None  # noqa: S101  (fit scores)
    mean = result.scores.mean.model_dump()
    return {
        **{score: mean[score] for score in SCORES},
        "minutes": round(result.training_seconds / 60, 2),
    }
