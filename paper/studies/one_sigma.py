"""What would table 1 say if each noise level had a network of its own?

"Every model is trained and tested on eleven sigma values" can mean one network for all of them, as
in ``table_1``, or eleven networks.  This script trains the reduced rows of table 1 the other way:
by the recipe of the scale ``small``, each network on a single sigma, and scored on that sigma.
An interrupted training continues, and results in the file are kept.

Command:  python paper/studies/one_sigma.py --data-root ../shared/data --json FILE
"""

import statistics
import sys

import reduced_rows
from tapetum.noise import PAPER_SIGMAS, NoisePlan
from tapetum.training import Recipe
from tapetum_paper.controlled import BRIEF


def recipe_of(sigma: float, epochs: int) -> Recipe:
    """The recipe of the scale ``small``, for one noise level."""
    noise = NoisePlan(kind="gaussian", levels=(sigma,))
    return BRIEF.adjusted(name=f"one-sigma-{sigma}", epochs=epochs, noise=noise).suited()


def main() -> None:
    """Prints a line for each training, and what they come to."""
    options = reduced_rows.parser(__doc__, flag="--sigmas", numbers=PAPER_SIGMAS, epochs=3)
    for name, found in reduced_rows.train_each(options.parse_args(), recipe_of).items():
        for score in reduced_rows.SCORES:
            mean = statistics.fmean(row[score] for row in found.values())
            sys.stdout.write(f"{name}, {score} over {len(found)} noise levels: {mean:.3f}\n")


if __name__ == "__main__":
    main()
