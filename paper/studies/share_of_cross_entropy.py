"""What would table 1 say if the cross-entropy had less than a tenth of the loss?

Equation 1 weighs the cross-entropy with 0.1 and the Charbonnier loss with 0.9.  What that means
depends on what each is a mean of, which the paper does not say: images on a scale twice as wide
double the second.  This trains the reduced rows of table 1 by the recipe of the scale ``small``
with other shares.  A training that was killed goes on; what is in the file already is kept.

Command:  python paper/studies/share_of_cross_entropy.py --data-root ../shared/data --json FILE
"""

import reduced_rows
from tapetum.losses import LossWeights
from tapetum.training import Recipe
from tapetum_paper.controlled import BRIEF

SHARES = (0.1, 0.03, 0.01)


def recipe_of(share: float, epochs: int) -> Recipe:
    """The recipe of the scale ``small``, with another share for the cross-entropy."""
    loss = LossWeights(cross_entropy=share, charbonnier=1 - share)
    return BRIEF.adjusted(name=f"share-{share}", epochs=epochs, loss=loss).suited()


def main() -> None:
    """Prints a line for each training."""
    options = reduced_rows.parser(__doc__, flag="--shares", numbers=SHARES, epochs=BRIEF.epochs)
    reduced_rows.train_each(options.parse_args(), recipe_of)


if __name__ == "__main__":
    main()
