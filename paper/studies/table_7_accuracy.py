"""Why are our classifiers of table 7 1 to 5 points more accurate than the printed ones?

This script trains a classifier for some epochs of the published recipe, each time with one change
that the paper may have made and does not mention.  An interrupted training continues, and results
in the file are kept.

Command:  python paper/studies/table_7_accuracy.py --data-root ../shared/data --json FILE
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

import kept
import reduced_rows
from drawn_once import DrawnOnce
from tapetum.data import Dataset, digits, open_dataset
from tapetum.jobs import train_network
from tapetum.training import Recipe, Result, prepare_process
from tapetum_paper import Scale
from tapetum_paper.baselines import build_any
from tapetum_paper.controlled import CLASSIFIER_RECIPES, table_7

RECIPE = CLASSIFIER_RECIPES[Scale.paper]
ARCHITECTURES = {cell.network.name: cell.network for cell in table_7(Scale.paper).cells}


def leave(network: nn.Module) -> None:
    """Change nothing."""


class Way(NamedTuple):
    """A training of a classifier.

    Attributes:
        recipe: The recipe, except for the number of epochs.
        noise_once: Whether a digit has the same noise in every epoch.
        change: A change of the fresh network.
    """

    recipe: Recipe = RECIPE
    noise_once: bool = False
    change: Callable[[nn.Module], None] = leave


def normalise_each_channel(network: nn.Module) -> None:
    """Use as many groups as channels, instead of one; the paper states no number."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups = module.num_channels


WAYS = {
    "as published": Way(),
    "noise drawn once": Way(noise_once=True),
    "batches of 512": Way(RECIPE.adjusted(batch_size=512)),
    "batches of 1024": Way(RECIPE.adjusted(batch_size=1024)),
    "as many groups as channels": Way(change=normalise_each_channel),
    "noisy digits clipped": Way(
        RECIPE.adjusted(noise=RECIPE.noise.model_copy(update={"protocol": "camera"}))
    ),
}


def learn(way: Way, name: str, dataset: Dataset, epochs: int, folder: Path) -> Result:
    """Train a classifier one way and score it on fresh noise."""
    recipe = way.recipe.adjusted(epochs=epochs)
    network = build_any(ARCHITECTURES[name], seed=recipe.seed)
    way.change(network)
    if way.noise_once:
        dataset = replace(dataset, train=DrawnOnce(dataset.train, recipe.noise))
    return train_network(
        network, recipe, dataset, folder, resume=(folder / "request.json").exists()
    )


def row_of(result: Result) -> dict[str, Any]:
    """Return what the file keeps of a training."""
    assert result.scores is not None  # noqa: S101  (fit scores)
    return {
        "accuracy": result.scores.mean.accuracy,
        "by_sigma": [row.accuracy for row in result.scores.rows],
        "minutes": round(result.training_seconds / 60, 2),
    }


def main() -> None:
    """Train what the file does not contain, and print a line for each training."""
    parser = reduced_rows.files_parser(__doc__, runs="table_7_accuracy")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--network", choices=ARCHITECTURES, default="conv-l")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    prepare_process()
    dataset = open_dataset(digits.DIGIT_CROPS, seed=0, data_root=options.data_root)
    settings = {
        "network": options.network,
        "epochs": options.epochs,
        "recipe": RECIPE.model_dump(mode="json"),
        "source": dataset.train.source,
    }
    known = {"ways": {}} | kept.read(options.json, settings)
    trainings = {
        way: partial(
            learn,
            WAYS[way],
            options.network,
            dataset,
            options.epochs,
            options.out / f"{options.network}_{options.epochs}_{way.replace(' ', '_')}",
        )
        for way in options.ways
    }
    reduced_rows.train_missing(trainings, known["ways"], known, options.json, row_of)


if __name__ == "__main__":
    main()
