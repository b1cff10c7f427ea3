"""What would table 1 say if each noise level had a network of its own?

"Every model is trained and tested on eleven sigma values" can be read as one network for all of
them, which is how ``tapetum reproduce`` reads it, or as eleven networks.  This trains the reduced
rows of table 1 the other way, by the recipe of the scale ``small``, each on a single sigma, and
scores each on its own.  A training that was killed goes on; what is in the file already is kept.

Command:  python benchmarks/one_sigma.py --data-root ../shared/data --json FILE
"""

import argparse
import statistics
import sys
from pathlib import Path

import kept
from tapetum.arch import find
from tapetum.experiments.controlled import BRIEF
from tapetum.fit import Pictures, fit, open_pictures
from tapetum.noise import PAPER_SIGMAS, NoisePlan
from tapetum.training import Recipe, Result, adjusted, prepare_process, suited

NETWORKS = ("dc-net-reduced-integrated", "dc-net-reduced-sequential")
SCORES = ("psnr_db", "ssim", "accuracy")


def recipe_of(sigma: float, epochs: int) -> Recipe:
    """The recipe of the scale ``small``, for one noise level."""
    noise = NoisePlan(kind="gaussian", levels=(sigma,))
    return suited(adjusted(BRIEF, name=f"one-sigma-{sigma}", epochs=epochs, noise=noise))


def trained(name: str, recipe: Recipe, pictures: Pictures, folder: Path) -> Result:
    """Trains a network and scores it on its noise level."""
    resume = (folder / "request.json").exists()
    return fit(find(name), recipe, pictures, folder, resume=resume)


def row_of(result: Result) -> dict[str, float]:
    """What is kept of a training."""
    assert result.scores is not None  # noqa: S101  (fit scores)
    mean = result.scores.mean.model_dump()
    return {
        **{score: mean[score] for score in SCORES},
        "minutes": round(result.training_seconds / 60, 2),
    }


def main() -> None:
    """Prints a line for each training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="the result, and where to go on")
    parser.add_argument("--data-root", type=Path, help="folder with the MNIST idx files")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--sigmas", nargs="+", type=float, default=PAPER_SIGMAS)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/one_sigma"))
    asked = parser.parse_args()
    prepare_process()
    pictures = open_pictures("digits", seed=0, data_root=asked.data_root)
    settings = {"epochs": asked.epochs, "source": pictures.train.source}
    known = {"networks": {}} | kept.read(asked.json, settings)
    for name in asked.networks:
        found = known["networks"].setdefault(name, {})
        for sigma in asked.sigmas:
            if str(sigma) not in found:
                folder = asked.out / f"{name}_{sigma}"
                result = trained(name, recipe_of(sigma, asked.epochs), pictures, folder)
                found[str(sigma)] = row_of(result)
                kept.write(
                    asked.json,
                    known,
                    process=result.process and result.process.model_dump(),
                    provenance=result.provenance.model_dump(mode="json"),
                )
            sys.stdout.write(f"{name} at {sigma}: {found[str(sigma)]}\n")
        for score in SCORES:
            mean = statistics.fmean(row[score] for row in found.values())
            sys.stdout.write(f"{name}, {score} over {len(found)} noise levels: {mean:.3f}\n")


if __name__ == "__main__":
    main()
