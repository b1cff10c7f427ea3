"""Why do our classifiers of table 7 name 1 to 5 points more digits right than the printed ones?

Trains a classifier for some epochs of the published recipe, each time with one thing done as the
paper may have done it, which does not say.  Ways that are in the file already are not trained
again.

Command:  python paper/studies/table_7_accuracy.py --data-root ../shared/data --json FILE
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

import by_hand
import kept
from drawn_once import DrawnOnce
from tapetum.arch import Architecture
from tapetum.data import Dataset, digits, open_dataset, steps_per_epoch
from tapetum.jobs import score
from tapetum.nn import AnyNetwork
from tapetum.provenance import stamp
from tapetum.training import Recipe, adjusted, network_predict, prepare_process
from tapetum.training.distributed import make_accelerator
from tapetum.training.learner import Learner
from tapetum_paper import Scale
from tapetum_paper.controlled import CLASSIFIER_RECIPES, table_7

RECIPE = CLASSIFIER_RECIPES[Scale.paper]
ARCHITECTURES = {cell.network.name: cell.network for cell in table_7(Scale.paper).cells}


def leave(network: AnyNetwork) -> None:
    """Changes nothing."""


class Way(NamedTuple):
    """A training of a classifier.

    Attributes:
        recipe: How it learns, but for the number of epochs.
        noise_once: Whether a digit shows the same noise in every epoch.
        change: Done to the fresh network.
    """

    recipe: Recipe = RECIPE
    noise_once: bool = False
    change: Callable[[AnyNetwork], None] = leave


def normalise_each_channel(network: AnyNetwork) -> None:
    """As many groups as channels, where ours is one; the paper names no number."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups = module.num_channels


WAYS = {
    "as published": Way(),
    "noise drawn once": Way(noise_once=True),
    "batches of 512": Way(adjusted(RECIPE, batch_size=512)),
    "batches of 1024": Way(adjusted(RECIPE, batch_size=1024)),
    "as many groups as channels": Way(change=normalise_each_channel),
    "noisy digits clipped": Way(
        adjusted(RECIPE, noise=RECIPE.noise.model_copy(update={"protocol": "camera"}))
    ),
}


def learn(way: Way, architecture: Architecture, images: Dataset, epochs: int) -> dict[str, Any]:
    """Trains a classifier one way and scores it on fresh noise."""
    recipe = way.recipe
    train_set = DrawnOnce(images.train, recipe.noise) if way.noise_once else images.train
    steps = epochs * steps_per_epoch(train_set, recipe.batch_size)
    learner = Learner(architecture, recipe, make_accelerator(), total_steps=steps)
    way.change(learner.network)
    start = time.monotonic()
    for epoch in range(epochs):
        by_hand.take_epoch(learner, train_set, epoch)
    minutes = (time.monotonic() - start) / 60
    predict = network_predict(learner.network.eval())
    noise = recipe.noise
    scores = score(predict, images, noise.spread(), protocol=noise.protocol)
    return {
        "accuracy": scores.mean.accuracy,
        "by_sigma": [row.accuracy for row in scores.rows],
        "minutes": round(minutes, 2),
    }


def main() -> None:
    """Trains what is not in the file yet, and prints a line for each training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="the result, and where to go on")
    parser.add_argument("--data-root", type=Path, help="folder with the MNIST idx files")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--network", choices=ARCHITECTURES, default="conv-l")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    asked = parser.parse_args()
    process = prepare_process()
    images = open_dataset(digits.DIGIT_CROPS, seed=0, data_root=asked.data_root)
    settings = {
        "network": asked.network,
        "epochs": asked.epochs,
        "recipe": RECIPE.model_dump(mode="json"),
        "source": images.train.source,
    }
    known = {"ways": {}} | kept.read(asked.json, settings)
    for name in asked.ways:
        if name not in known["ways"]:
            architecture = ARCHITECTURES[asked.network]
            known["ways"][name] = learn(WAYS[name], architecture, images, asked.epochs)
            kept.write(
                asked.json,
                known,
                process=process.model_dump(),
                provenance=stamp(seed=RECIPE.seed).model_dump(mode="json"),
            )
        print(f"{name}: {known['ways'][name]}", flush=True)


if __name__ == "__main__":
    main()
