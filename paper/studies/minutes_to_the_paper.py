"""How many minutes from nothing until the paper's reduced Integrated row is reached?

Types ``tapetum train`` with the recipe ``swift``, and sets the checkpoint of every
epoch aside.  The clock starts with the command (an interpreter, torch, 30,000 images to compose)
and is read where a checkpoint appears; scoring what was set aside comes afterwards and costs no
minute.  Every epoch is scored on few images, and once more on all where these say that the row is
reached, as long as it is not; so is the last one.

Command:  python paper/studies/minutes_to_the_paper.py --data-root ../shared/data [--json FILE]
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tapetum.data import Dataset, open_dataset
from tapetum.evaluation import score
from tapetum.jobs.training import choose_recipe
from tapetum.nn import build
from tapetum.noise import PAPER_SIGMAS
from tapetum.progress import silent
from tapetum.provenance import stamp
from tapetum.training import RUNS, NetworkSubject, Run, network_predict, prepare_process
from tapetum.training.checkpoint import EpochRow, Position, read_checkpoint, read_weights
from tapetum_paper.climb import GOAL, Climb, ClimbPoint
from tapetum_paper.printed_ssim import ssim_as_printed

POLL_SECONDS = 1.0
NEVER = 1_000_000  # steps
FEW, ALL = 300, 2_000  # test images a noise level: to look, and to believe


def climb(asked: argparse.Namespace) -> Iterator[tuple[int, float, Path]]:
    """Trains; yields each epoch, the minutes since the start, and its checkpoint set aside."""
    # No checkpoint but those of whole epochs, so that none is overwritten before it is set aside.
    recipe = choose_recipe(asked.recipe, "digits").adjusted(checkpoint_every_steps=NEVER)
    recipe.write(asked.out.with_suffix(".json"))
    command = [sys.executable, "-m", "tapetum", "train", GOAL, "--data", "digits"]
    command += ["--recipe", f"{asked.out.with_suffix('.json')}", "--out", str(asked.out)]
    command += ["--overwrite"] if asked.out.exists() else []
    if asked.data_root is not None:
        command += ["--data-root", str(asked.data_root)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads)}
    last = asked.out / "checkpoints" / "last.safetensors"
    start = time.time()
    training = subprocess.Popen(command, env=environment)  # noqa: S603  (ourselves)
    for epoch in range(1, recipe.epochs + 1):
        aside = asked.out.with_name(f"{asked.out.name}-epoch{epoch}.safetensors")
        while not keep(last, aside, epoch=epoch, since=start):
            if training.poll():
                raise SystemExit(f"the training ended with code {training.returncode}")
            time.sleep(POLL_SECONDS)
        yield epoch, (aside.stat().st_mtime - start) / 60, aside
    training.wait()


def keep(last: Path, aside: Path, *, epoch: int, since: float) -> bool:
    """Sets a checkpoint aside if it is of the end of this epoch."""
    if not last.exists() or last.stat().st_mtime < since:
        return False
    shutil.copy2(last, aside)
    _, position = read_checkpoint(aside, Position[EpochRow])
    return position.epoch == epoch


def point_of(
    run: Run, checkpoint: Path, images: Dataset, *, epoch: int, minutes: float
) -> ClimbPoint:
    """The scores of a checkpoint, means over the eleven sigmas."""
    network = build(run.request.architecture, seed=0)
    network.load_state_dict(read_weights(checkpoint))
    predict = network_predict(network)
    levels = run.request.recipe.noise.spread()
    subject = NetworkSubject(network, images.info.preparation)
    mean = score(subject, images, levels, protocol="benchmark").mean.model_dump()
    printed = ssim_as_printed(predict, images.validation, PAPER_SIGMAS, progress=silent)
    return ClimbPoint(
        **{name: mean[name] for name in ("psnr_db", "ssim", "accuracy")},
        epoch=epoch,
        minutes=minutes,
        num_images=len(images.validation),
        ssim_as_printed=sum(printed.values()) / len(printed),
    )


def main() -> None:
    """Prints a line for each epoch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--data-root", type=Path, help="folder with the MNIST idx files")
    parser.add_argument("--recipe", default="swift", help="a name, or FILE.json")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("runs/minutes"))
    asked = parser.parse_args()
    provenance = stamp(seed=0)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    reached = list(climb(asked))
    prepare_process(threads=asked.threads)
    run = RUNS.open(asked.out)
    few, every = (
        open_dataset("digits", seed=0, data_root=asked.data_root, test_count=count)
        for count in (FEW, ALL)
    )
    points: list[ClimbPoint] = []
    for epoch, minutes, checkpoint in reached:
        look = partial(point_of, run, checkpoint, epoch=epoch, minutes=minutes)
        is_last = epoch == len(reached)
        point = look(every if is_last else few)
        is_new = point.is_at_the_paper and not any(known.is_at_the_paper for known in points)
        if is_new and not is_last:
            point = look(every)
        points.append(point)
        print(point, flush=True)
        checkpoint.unlink()
    result = Climb(
        recipe=run.request.recipe,
        source=every.train.source,
        threads=asked.threads,
        points=tuple(points),
        provenance=provenance,
    )
    goal = result.reached
    sys.stdout.write("not reached\n" if goal is None else f"reached in {goal.minutes:.1f} min\n")
    if asked.json:
        result.write(asked.json)


if __name__ == "__main__":
    main()
