"""What would table 1 say if each image kept its noise, drawn once and not anew each epoch?

"We generate a controlled synthetic data set" can be read either way.  This trains the reduced rows
of table 1 by the published recipe on images that keep their noise, so that a network can learn
them by heart, and scores them on fresh noise.  A training that was killed goes on; what is in the
file already is kept.

Command:  python paper/studies/noise_drawn_once.py --data-root ../shared/data --json FILE
"""

from dataclasses import replace

import reduced_rows
from drawn_once import DrawnOnce
from tapetum.data import Dataset
from tapetum.training import Recipe
from tapetum_paper import Scale
from tapetum_paper.controlled import UNET_RECIPES

RECIPE = UNET_RECIPES[Scale.paper]


def recipe_of(seed: float, epochs: int) -> Recipe:
    """The published recipe."""
    return RECIPE.adjusted(name="noise-once", epochs=epochs, seed=int(seed)).suited()


def images_of(images: Dataset, recipe: Recipe) -> Dataset:
    """The same ones for training, each with its noise."""
    train = DrawnOnce(images.train, recipe.noise)
    info = images.info.model_copy(
        update={"description": f"{images.info.description}, noise drawn once"}
    )
    return replace(images, train=train, info=info)


def main() -> None:
    """Prints a line for each training."""
    epochs = RECIPE.epochs
    options = reduced_rows.parser(__doc__, flag="--seeds", numbers=(0,), epochs=epochs, kind=int)
    reduced_rows.train_each(options.parse_args(), recipe_of, images_of)


if __name__ == "__main__":
    main()
