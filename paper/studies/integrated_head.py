"""What would table 1 say if the Integrated network read digits in another way?

The paper draws the head of its Integrated network without its numbers.  Ours keeps sixteen places
of a digit in the deepest maps and reads all of them; the paper's classifiers alone end in a global
pooling, which keeps one number a map.  This trains the reduced row with such heads, by the recipe
of the scale ``small``.  A training that was killed goes on; what is in the file already is kept.

Command:  python paper/studies/integrated_head.py --data-root ../shared/data --json FILE
"""

from functools import partial

import kept
import reduced_rows
from tapetum.arch import Architecture, find_architecture
from tapetum.data import open_dataset
from tapetum.training import prepare_process
from tapetum_paper.controlled import BRIEF

NETWORK = "dc-net-reduced-integrated"
POOLINGS = ("flatten", "max", "mean")


def architecture_of(pooling: str) -> Architecture:
    """The network with a head that pools so."""
    network = find_architecture(NETWORK).model_dump(mode="json")
    deepest = network["encoder"][-1]["blocks"][-1]["out_channels"]
    places = network["classifier"]["region"]["size_px"] ** 2
    features = deepest * places if pooling == "flatten" else deepest
    network["classifier"] |= {"pooling": pooling, "features": features}
    return Architecture.model_validate(network | {"name": f"{NETWORK}-{pooling}"})


def main() -> None:
    """Prints a line for each training."""
    parser = reduced_rows.files_parser(__doc__, runs="heads")
    parser.add_argument("--poolings", nargs="+", choices=POOLINGS, default=POOLINGS)
    parser.add_argument("--epochs", type=int, default=BRIEF.epochs)
    asked = parser.parse_args()
    prepare_process()
    images = open_dataset("digits", seed=0, data_root=asked.data_root)
    recipe = BRIEF.adjusted(epochs=asked.epochs).suited()
    settings = {"epochs": asked.epochs, "source": images.train.source}
    known = {"poolings": {}} | kept.read(asked.json, settings)
    trainings = {
        pooling: partial(
            reduced_rows.trained,
            architecture_of(pooling),
            recipe,
            images,
            asked.out / f"{pooling}_{asked.epochs}_epochs",
        )
        for pooling in asked.poolings
    }
    reduced_rows.train_missing(trainings, known["poolings"], known, asked.json)


if __name__ == "__main__":
    main()
