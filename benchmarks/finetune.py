"""How much of what int8 loses does fine-tuning recover?

The default network of a fit is trained, put into int8 and fine-tuned, in the 8 bits that ship and
in 6 and 5 bits, which lose more. Losses are against the same network in fp32 on validation images;
a gain is negative. ``is_kept`` says whether the fine-tuned weights would ship. A run that was
stopped continues.

    python benchmarks/finetune.py --data-root DATA --work RUNS --seeds 0 1 2 \
        --json benchmarks/results/finetune.json
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import tapetum
from brightness import MULTIPLY_ADDS, SIZE_PX
from paced import DATASETS, default_network, kept_steps, trained
from result_file import Rows, add_json_option, once
from tapetum.graph import quantise

MINUTES, EPOCHS = 3.0, 3
BITS = (8, 6, 5)
MEANS = ("lost_db", "lost_db_finetuned", "lost_points", "lost_points_finetuned")


def trained_run(data: Path, work: Path, *, minutes: float, seed: int) -> Path:
    """Train a network, continue, or find it trained, and return its run."""
    run, pace = work / f"{data.name}_{seed}", work / f"{data.name}_pace.json"
    network = default_network(data.name, size_px=SIZE_PX, multiply_adds=MULTIPLY_ADDS)
    steps = kept_steps(pace, minutes, network, data, size_px=SIZE_PX)
    trained(data, run, architecture=network, size_px=SIZE_PX, steps=steps, seed=seed)
    return run


def finetuned(run: Path, *, bits: int, epochs: int) -> dict[str, Any]:
    """Put a run into int8 of fewer bits, fine-tune it, and return what it loses."""
    weight, value = 2 ** (bits - 1) - 1, 2**bits - 1
    fewer = {"MOST_WEIGHT": weight, "MOST_REDUCED": weight, "MOST_VALUE": value}
    out = run / f"{bits}.tapetum"
    with patch.multiple(quantise, **fewer):
        choice = tapetum.export(
            run, out, precision="int8", finetune=epochs, overwrite=True
        ).precision
    assert choice is not None  # noqa: S101  (int8 was asked for)
    tuning = choice.finetuning
    assert tuning is not None  # noqa: S101  (as above)
    before, after = (
        choice.model_copy(update={"int8": one}) for one in (tuning.before, tuning.after)
    )
    lost = (before.lost_db, after.lost_db, before.lost_points, after.lost_points)
    return dict(zip(MEANS, lost, strict=True)) | {"is_kept": tuning.is_kept}


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the training")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the fine-tuning")
    add_json_option(parser)
    asked = parser.parse_args()
    rows = Rows(asked.json, MEANS)
    for name in asked.datasets:
        for seed in asked.seeds:
            data = asked.data_root / name
            run = trained_run(data, asked.work, minutes=asked.minutes, seed=seed)
            for bits in asked.bits:
                make = partial(finetuned, run, bits=bits, epochs=asked.epochs)
                found = once(asked.work / f"{name}_{seed}_{bits}_{asked.epochs}.json", make)
                known = {"case": f"{name}, {bits} bits", "seed": seed, "epochs": asked.epochs}
                rows.add(known | found)


if __name__ == "__main__":
    main()
