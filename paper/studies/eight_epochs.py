"""Are fast shapes better than the networks of the paper, by its own short recipe?

Trains two shapes as the scale ``small`` trains the networks of table 3: Imagenette at 64 px, 8
epochs, sigma from 0 to 1.  Their latencies are measured beside those of the paper's networks, in
turns: ONNX Runtime, one thread, batch 1.  A training that was killed goes on, and what is in the
file already is kept.  A finished training of ``--known`` is taken where it was asked for the same,
whatever its name.

Command:  python paper/studies/eight_epochs.py --data-root ../shared/data \
              --json paper/results/eight_epochs.json
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import kept
import reduced_rows
from tapetum.arch import Architecture, ShapeSpace, families, find_architecture
from tapetum.data import Dataset, open_dataset
from tapetum.latency import Conditions, DeployedNetwork, find_runtime, time_interleaved
from tapetum.training import RUNS, Recipe, Result, prepare_process
from tapetum_paper.studies import BRIEF_TRAINING

SIZE_PX, CLASSES, SEEDS = 64, 10, (0, 1, 2)
SPACE = ShapeSpace(width_step=16, size_px=SIZE_PX, image_channels=3, num_classes=CLASSES)
SHAPES = {  # of the scaling rule
    "16-48-80": SPACE.changed(SPACE.largest(), widths=(16, 48, 80)),
    "48-112-160": SPACE.changed(SPACE.largest(), widths=(48, 112, 160)),
}
BASE = "dc-net-s-b20"  # the unit of latency
SEARCHED = Path(__file__).parents[1] / "results" / "reproduction" / "small" / "old_search"


def networks() -> dict[str, Architecture]:
    """The shapes."""
    facts = {"image_channels": 3, "num_classes": CLASSES}
    return {name: shape.architecture(name, **facts) for name, shape in SHAPES.items()}


def of_the_paper() -> dict[str, Architecture]:
    """The networks that the shapes are compared with."""
    size = {"base_width": 20, "depth": 4, "multiplier": 1.5, "convs": 2}
    denoiser = families.unet("unet", **size, channels=3)
    found = json.loads((SEARCHED / "dc-nas-s_study_seed0.json").read_text())
    reduced = "dc-net-reduced-integrated"
    return {
        BASE: families.integrated(denoiser, BASE, num_classes=CLASSES, boxes=False),
        reduced: find_architecture(reduced, channels=3, num_classes=CLASSES, boxes=False),
        "dc-nas-s": Architecture.model_validate(found["trained"]),
    }


def latencies() -> dict[str, dict[str, float]]:
    """All of them in milliseconds, and over that of the base."""
    runtime, timed = find_runtime("onnxruntime"), networks() | of_the_paper()
    conditions = Conditions.here(runtime, threads=1, batch=1, channels=3, size_px=SIZE_PX)
    prepared = [
        partial(runtime.prepare, DeployedNetwork.of(one), conditions) for one in timed.values()
    ]
    taken = dict(zip(timed, time_interleaved(prepared), strict=True))
    return {
        name: {"ms": one.median_ms, "x_of_b20": one.median_ms / taken[BASE].median_ms}
        for name, one in taken.items()
    }


def find_known(
    folder: Path | None, network: Architecture, recipe: Recipe, images: Dataset
) -> Result | None:
    """The result of a finished training that was asked for the same under any name."""
    for path in sorted(folder.glob("*/result.json")) if folder else ():
        run = RUNS.open(path.parent)
        asked, name = run.request, {"name": network.name}
        same = asked.recipe == recipe and asked.data == images.info
        if same and asked.architecture.model_copy(update=name) == network:
            return run.result()
    return None


def row_of(result: Result) -> dict[str, Any]:
    """What is kept of a training: each has a machine of its own."""
    made = result.provenance.model_dump(mode="json")
    speed = {"images_per_second": round(result.images_per_second, 1)}
    return {**reduced_rows.row_of(result), **speed, "provenance": made}


def main() -> None:
    """Prints a line for each training."""
    parser = reduced_rows.files_parser(__doc__, runs="eight_epochs")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--known", type=Path, help="folder of runs, some perhaps finished")
    asked = parser.parse_args()
    prepare_process()
    folder = str(asked.data_root / "imagenette128")
    images = open_dataset(folder, seed=0, size_px=SIZE_PX)
    recipe = BRIEF_TRAINING.adjusted(epochs=8)
    settings = {"epochs": recipe.epochs, "size_px": SIZE_PX}
    known = {"shapes": {}} | kept.read(asked.json, settings)
    known.setdefault("latencies", latencies())
    for name, network in networks().items():

        def train(seed: int, network: Architecture = network) -> Result:
            chosen = recipe.adjusted(seed=seed)
            path = asked.out / f"{network.name}_seed{seed}"
            found = find_known(asked.known, network, chosen, images)
            return found or reduced_rows.trained(network, chosen, images, path)

        print(name)
        trainings = {str(seed): partial(train, seed) for seed in asked.seeds}
        found = known["shapes"].setdefault(name, {})
        reduced_rows.train_missing(trainings, found, known, asked.json, row_of)


if __name__ == "__main__":
    main()
