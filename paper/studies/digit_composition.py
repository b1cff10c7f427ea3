"""What would tables 1, 7 and 8 say if digits lay on their background in another way?

The paper puts MNIST digits on a constant grey and does not say how the two meet, nor whether noisy
images are clipped.  This trains a network on each composition: a classifier of table 7 by some
epochs of the published recipe, a network with a decoder by the recipe of the scale ``small``.  A
training that was killed goes on; what is in the file already is kept.

Command:  python paper/studies/digit_composition.py --data-root ../shared/data --json FILE
"""

import argparse
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import integrated_head
import kept
import reduced_rows
from tapetum.arch import Architecture
from tapetum.data import Dataset, DatasetInfo, digits
from tapetum.runtime import Preparation
from tapetum.training import Recipe, Result, prepare_process
from tapetum_paper import Scale
from tapetum_paper.controlled import BRIEF, CLASSIFIER_RECIPES, table_1, table_7, table_8

Values = NDArray[np.float32]

TEST_COUNTS = {True: 2_000, False: 5_000}  # as the tables have it, by whether there is a decoder
EPOCHS = {True: BRIEF.epochs, False: 20}
LIGHTS = (0.95, 0.94, 0.93, 0.9, 0.8)  # of a dimmed digit, as a part of its own
PRINTED_SIGMAS = (0.2, 0.4, 0.8, 1.0)  # of table 8
ARCHITECTURES = {
    cell.network.name: cell.network
    for table in (table_1, table_7, table_8)
    for cell in table(Scale.paper).cells
    if isinstance(cell.network, Architecture)
} | {
    network.name: network
    for network in map(integrated_head.architecture_of, integrated_head.POOLINGS)
}


def added(digit: Values, grey: Values) -> Values:
    """Light upon light, up to 1.3."""
    return digit + grey


def saturated(digit: Values, grey: Values) -> Values:
    """Light upon light, but never above 1."""
    return np.minimum(digit + grey, 1)


def scaled(digit: Values, grey: Values) -> Values:
    """Light upon light, divided by the most that they can come to."""
    return (digit + grey) / np.float32(1.3)


def laid_over(digit: Values, grey: Values) -> Values:
    """The digit is its own opacity, so that ink ends at 1 on every background."""
    return grey + (1 - grey) * digit


def pasted(digit: Values, grey: Values) -> Values:
    """The digit's square, its black border too."""
    del grey
    return digit


def stencilled(digit: Values, grey: Values) -> Values:
    """The digit wherever it is not black, so that its dim rim is darker than its background."""
    return np.where(digit > 0, digit, grey)


def dimmed(digit: Values, grey: Values, *, light: float) -> Values:
    """The brighter counts, of a digit of a part of its light."""
    return np.maximum(np.float32(light) * digit, grey)


BLENDS: dict[str, digits.Blend] = {
    "the brighter counts": np.maximum,
    "added": added,
    "added up to 1": saturated,
    "added and scaled": scaled,
    "laid over": laid_over,
    "pasted": pasted,
    "stencilled": stencilled,
    **{f"dimmed to {light}": partial(dimmed, light=light) for light in LIGHTS},
}
CLIPPED = ", clipped"
WAYS = (*BLENDS, *(name + CLIPPED for name in BLENDS))


def images_of(way: str, data_root: Path | None, *, denoises: bool) -> Dataset:
    """The images of the study, composed one way; for a classifier the digits cut out."""
    blend = BLENDS[way.removesuffix(CLIPPED)]
    whole = digits.open_digits(data_root, test_count=TEST_COUNTS[denoises], seed=0, blend=blend)
    train, test = whole if denoises else map(digits.DigitCrops, whole)
    info = DatasetInfo(
        source=digits.DIGITS if denoises else digits.DIGIT_CROPS,
        description=f"{train.source}, composed so: {way}",
        size_px=train.size_px,
        channels=train.channels,
        preparation=Preparation(
            size_px=None if denoises else train.size_px, channels=train.channels, resize="crop"
        ),
        class_names=train.class_names,
        num_train=len(train),
        num_validation=len(test),
        seed=0,
        has_boxes=denoises,
    )
    return Dataset(train, test, info)


def recipe_of(way: str, epochs: int, seed: int, *, denoises: bool) -> Recipe:
    """How a network learns from such images."""
    recipe = BRIEF if denoises else CLASSIFIER_RECIPES[Scale.paper]
    protocol = "camera" if way.endswith(CLIPPED) else "benchmark"
    noise = recipe.noise.model_copy(update={"protocol": protocol})
    recipe = recipe.adjusted(name="composition", epochs=epochs, noise=noise, seed=seed)
    return recipe.suited() if denoises else recipe


def row_of(result: Result) -> dict[str, float]:
    """The means, and the decibels that table 8 prints; what a classifier has not is left out."""
    assert result.scores is not None  # noqa: S101  (fit scores)
    found: dict[str, Any] = reduced_rows.row_of(result)
    for sigma in PRINTED_SIGMAS:
        row = result.scores.at_sigma(sigma)
        found[f"psnr_db_at_{sigma:g}"] = row and row.psnr_db
    return {name: value for name, value in found.items() if value is not None}


def options() -> argparse.Namespace:
    """What was asked."""
    parser = reduced_rows.files_parser(__doc__, runs="composition")
    parser.add_argument(
        "--network",
        choices=ARCHITECTURES,
        default="conv-l",
        metavar="NAME",
        help=f"one of: {', '.join(ARCHITECTURES)}",
    )
    epochs_help = f"unless given {EPOCHS[True]} with a decoder, {EPOCHS[False]} without"
    parser.add_argument("--epochs", type=int, help=epochs_help)
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise")
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=WAYS,
        metavar="WAY",
        help=f"some of: {', '.join(BLENDS)}; and each with '{CLIPPED}' behind it",
    )
    return parser.parse_args()


def main() -> None:
    """Prints a line for each training."""
    asked = options()
    prepare_process()
    architecture = ARCHITECTURES[asked.network]
    denoises = bool(architecture.denoises)
    epochs = asked.epochs or EPOCHS[denoises]
    known = {"ways": {}} | kept.read(asked.json, {"network": asked.network, "epochs": epochs})
    names = {way: way if asked.seed == 0 else f"{way}, seed {asked.seed}" for way in asked.ways}
    trainings = {
        name: partial(
            reduced_rows.trained,
            architecture,
            recipe_of(way, epochs, asked.seed, denoises=denoises),
            images_of(way, asked.data_root, denoises=denoises),
            asked.out / f"{asked.network}_{epochs}_epochs" / re.sub("[, ]+", "_", name),
        )
        for way, name in names.items()
    }
    reduced_rows.train_missing(trainings, known["ways"], known, asked.json, row_of)


if __name__ == "__main__":
    main()
