"""A training small enough for a test, in this process or as a process of its own.

``python tests/tiny_training.py RUN [--die-at STEP] [--die-while-writing N] [--resume]`` trains on
a few drawn images; the two options end the process by a real SIGKILL.
"""

import argparse
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum.arch import Architecture, find_architecture
from tapetum.data import DatasetInfo, ImageDataset, Samples
from tapetum.nn import build
from tapetum.noise import NoisePlan
from tapetum.progress import ProgressCallback
from tapetum.runtime import Preparation
from tapetum.search import step_times
from tapetum.training import RUNS, Recipe, Request, Result, is_main_process, train, training_batches
from tapetum.training.checkpoint import EpochRow, Position
from tapetum.training.compute import Compute
from tapetum.training.learner import Learner
from tapetum.training.trainer import _Training

SIZE_PX = 32


class StoppedError(Exception):
    """A training was stopped by :func:`stop_at`."""


def stop_at(step: int) -> ProgressCallback:
    """Return a callback that ends a training after a step, from 1."""

    def progress(done: int, total: int, message: str) -> None:
        del total, message
        if done == step:
            raise StoppedError

    return progress


class Squares(ImageDataset):
    """Images with one bright square; in which quarter it lies is the label."""

    channels = 1
    class_names = ("north-west", "north-east", "south-west", "south-east")
    source = "drawn squares"

    def __init__(self, count: int, *, with_boxes: bool = False) -> None:
        self.count = count
        self.with_boxes = with_boxes

    def __len__(self) -> int:
        return self.count

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The quarter of each square."""
        return None if self.with_boxes else np.arange(self.count) % 4

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Draws the images; nothing is random."""
        del epoch, seed, train
        half_px = SIZE_PX // 2
        labels = np.array([index % 4 for index in indices], dtype=np.int64)
        images = np.full((len(indices), 1, SIZE_PX, SIZE_PX), 0.2, dtype=np.float32)
        boxes = np.zeros((len(indices), 1, 4), dtype=np.float32)
        for place, index in enumerate(indices):
            top, left = half_px * (index % 4 // 2) + index % 3, half_px * (index % 2) + index % 5
            images[place, 0, top : top + 10, left : left + 10] = 0.5 + (index % 7) / 14
            boxes[place, 0] = left, top, left + 10, top + 10
        if not self.with_boxes:
            return Samples(images, None, labels, None)
        return Samples(images, None, labels[:, None], boxes)


TINY_DATA = DatasetInfo(
    source="squares",
    description=Squares.source,
    size_px=SIZE_PX,
    channels=1,
    preparation=Preparation(size_px=SIZE_PX, channels=1, resize="crop"),
    class_names=Squares.class_names,
    num_train=16,
    num_validation=8,
    seed=0,
)


def tiny_architecture(
    name: str = "dc-net-reduced-integrated", *, boxes: bool = False
) -> Architecture:
    """A small network of the zoo, for the four quarters."""
    return find_architecture(name, channels=1, num_classes=4, boxes=boxes)


def tiny_recipe(**changes: Any) -> Recipe:
    """Two epochs of four steps, if no length is given."""
    length = {} if {"minutes", "steps", "epochs"} & changes.keys() else {"epochs": 2}
    fields: dict[str, Any] = {
        "name": "tiny",
        **length,
        "batch_size": 4,
        "learning_rate": 3e-3,
        "noise": NoisePlan(kind="gaussian", levels=(0.1, 0.3)),
        "checkpoint_every_steps": 3,
        "validation_images": 6,
    }
    return Recipe(**{**fields, **changes})


def resumable_recipe() -> Recipe:
    """Has every kind of state: moments, an average, a schedule, layouts of memory, a sampler."""
    return tiny_recipe(
        epochs=3,
        optimizer="adamw",
        weight_decay=1e-2,
        schedule="one-cycle",
        warmup=0.3,
        ema_decay=0.9,
        clip_norm=1.0,
        channels_last=True,
        balance="sampling",
        class_weights=(3.0, 1.0, 1.0, 0.5),
        keep="best",
    )


def double_recipe() -> Recipe:
    """Adam would show any difference at once: it divides by the gradient's size."""
    weights = (3.0, 1.0, 1.0, 0.5)
    return tiny_recipe(
        optimizer="adamw", batch_size=8, clip_norm=1.0, balance="loss", class_weights=weights
    )


def tiny_train(
    path: Path,
    recipe: Recipe | None = None,
    architecture: Architecture | None = None,
    *,
    with_boxes: bool = False,
    resume: bool = False,
    **options: Any,
) -> Result:
    """Trains on sixteen images."""
    recipe = recipe or tiny_recipe()
    architecture = architecture or tiny_architecture(boxes=with_boxes)
    request = Request(architecture=architecture, recipe=recipe, data=TINY_DATA)
    sets = (Squares(16, with_boxes=with_boxes), Squares(8, with_boxes=with_boxes))
    with Compute().work(RUNS, path, request, resume=resume) as run:
        return train(build(architecture, seed=recipe.seed), recipe, *sets, run, **options)


def learn_in_double(recipe: Recipe) -> dict[str, Tensor]:
    """The weights after eight steps in double precision, in which rounding does not pile up."""
    compute = Compute()
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    learner = Learner(build(tiny_architecture(), seed=recipe.seed), recipe, compute)
    torch.set_default_dtype(usual)
    for step in range(8):
        batch = next(
            training_batches(
                Squares(8),
                recipe.noise,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
                epoch=step,
                rank=compute.rank,
                world_size=compute.num_processes,
            )
        )
        exact = batch._replace(noisy=batch.noisy.double(), clean=batch.clean.double())
        loss, _ = learner.losses(exact, step=step)
        learner.descend(loss, step=step, total_steps=8)
    return learner.network.state_dict()


def script_time(
    set_attribute: Callable[[Any, str, Any], None],
    pace_s: Callable[[int], float],
    *,
    validation_s: float,
) -> None:
    """Lets trainings read a clock on which each step and each validation takes what is given.

    Args:
        set_attribute: Such as ``monkeypatch.setattr``.
        pace_s: Gives the seconds of a step, which is counted from 0.
        validation_s: Seconds of a validation.
    """
    now, step, end_epoch = [0.0], _Training.step, _Training.end_epoch

    def timed_step(training: _Training, position: Position[EpochRow]) -> dict[str, float]:
        now[0] += pace_s(position.step)
        return step(training, position)

    def timed_end(training: _Training, position: Position[EpochRow]) -> EpochRow:
        now[0] += validation_s
        return end_epoch(training, position)

    set_attribute(_Training, "clock", staticmethod(lambda: now[0]))
    set_attribute(_Training, "step", timed_step)
    set_attribute(_Training, "end_epoch", timed_end)


def die_at(step: int) -> Any:
    """A progress callback that kills the process after ``step`` steps."""

    def progress(done: int, total: int, message: str) -> None:
        del total, message
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress


def die_while_writing(count: int) -> None:
    """Kills the process just before the ``count``-th file of this process gets its name."""
    replace, left = os.replace, [count]

    def replace_or_die(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = replace_or_die  # type: ignore[assignment]


def main() -> None:
    """Trains as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--die-at", type=int, default=-1)
    parser.add_argument("--die-while-writing", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--architecture", default="dc-net-reduced-integrated")
    parser.add_argument("--double", type=Path, help="also learn in double, and write the weights")
    parser.add_argument("--pace", type=Path, help="also time a step, and write it by process")
    parser.add_argument("--search", type=Path, help="also search")
    parser.add_argument("--timed", type=Path, help="also train 8 s, on a clock of each process")
    asked = parser.parse_args()
    if asked.die_while_writing:
        die_while_writing(asked.die_while_writing)
    recipe = Recipe.read(asked.recipe) if asked.recipe else resumable_recipe()
    tiny_train(
        asked.run,
        recipe,
        tiny_architecture(asked.architecture),
        resume=asked.resume,
        progress=die_at(asked.die_at),
    )
    if asked.double:
        weights = learn_in_double(double_recipe())
        if is_main_process():
            safetensors.torch.save_file(weights, asked.double)
    if asked.pace:
        network = build(tiny_architecture(asked.architecture), seed=recipe.seed)
        step_s, rank = step_times(network, recipe, Squares(16)).now_s, Compute().rank
        asked.pace.with_suffix(f".{rank}").write_text(repr(step_s))
    if asked.search:
        from tiny_search import short_search  # which imports this module

        short_search(asked.search)
    if asked.timed:
        a_step_s = 0.5 if is_main_process() else 0.125
        script_time(setattr, lambda _: a_step_s, validation_s=a_step_s)
        tiny_train(asked.timed, tiny_recipe(minutes=8 / 60, schedule="cosine"))


if __name__ == "__main__":
    main()
