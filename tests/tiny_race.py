"""A race small enough for a test: labels that some candidates cannot see.

``python tests/tiny_race.py RACE [--die-after N]`` races as a process of its own, which a real
SIGKILL ends after N pieces.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapetum.arch import Architecture, Shape
from tapetum.data import ImageDataset, Samples
from tapetum.noise import NoisePlan, generator_for
from tapetum.progress import ProgressCallback, silent
from tapetum.search import RaceResult, race
from tapetum.search.pace import Pace, Paces, Pacing
from tapetum.search.starting import Starter
from tapetum.search.work import Work, perform
from tapetum.training import Recipe

SIZE_PX, DOT_PX, MARGIN_PX = 32, 2, 4
NEAR_PX, FAR_PX = 4, 12


class Dots(ImageDataset):
    """Two equal dots in each image; the label is whether they are near each other or far apart.

    Both classes have the same patches of 3 x 3 pixels, as many of each: the dots and the border are
    further from each other than that. So a network that sees no more than 3 x 3 pixels and pools
    over the whole image gives the same answer to both.
    """

    channels = 1
    class_names = ("far", "near")
    source = "drawn dots"

    def __init__(self, count: int, *, seed: int = 0) -> None:
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Draws the images; nothing is random."""
        del epoch, seed, train
        images = np.full((len(indices), 1, SIZE_PX, SIZE_PX), 0.2, np.float32)
        for image, index in zip(images, indices, strict=True):
            distance = NEAR_PX if index % 2 else FAR_PX
            generator = generator_for(self.seed, index)
            room = SIZE_PX - 2 * MARGIN_PX - DOT_PX - distance
            left = MARGIN_PX + int(generator.integers(room + 1))
            top = MARGIN_PX + int(generator.integers(SIZE_PX - 2 * MARGIN_PX - DOT_PX + 1))
            plane = image[0] if generator.integers(2) else image[0].T
            for start in (left, left + distance):
                plane[top : top + DOT_PX, start : start + DOT_PX] = 1.0
        labels = np.array([index % 2 for index in indices], np.int64)
        return Samples(images, None, labels, None)


def blind(name: str = "blind") -> Architecture:
    """Sees 3 x 3 pixels, of which it takes the mean over the image."""
    return _network(name, Shape(**_PLAIN, widths=(16,), encoder_depths=(0,), decoder_depths=()))


def seeing(name: str = "seeing", *, width: int = 8) -> Architecture:
    """Sees far more than the distance of the dots."""
    widths = (width, 2 * width, 2 * width)
    shape = Shape(**_PLAIN, widths=widths, encoder_depths=(1, 1, 1), decoder_depths=(1, 1))
    return _network(name, shape)


_PLAIN: dict[str, Any] = {
    "operator": "conv",
    "stem": "full",
    "down": "max_pool",
    "up": "transposed_conv",
    "join": "concatenate",
    "gated": False,
}


def field() -> tuple[Architecture, ...]:
    """Six candidates, so that a race has two rungs."""
    names = ("blind-1", "blind-2", "blind-3")
    return (*map(blind, names), seeing(width=2), seeing("wider", width=4), blind("blind-4"))


def _network(name: str, shape: Shape) -> Architecture:
    return shape.architecture(name, image_channels=1, num_classes=2)


def tiny_recipe(**changes: Any) -> Recipe:
    """Batches of sixteen with little noise."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "batch_size": 16,
        "learning_rate": 1e-2,
        "schedule": "one-cycle",
        "warmup": 0.3,
        "ema_decay": 0.9,
        "noise": NoisePlan(kind="gaussian", low=0.0, high=0.05),
    }
    return Recipe(**{**fields, **changes})


class Here:
    """Performs work in this process; the pace is given, so that no clock decides."""

    size = 1

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s

    def perform(self, work: Work) -> None:
        """Performs a piece, or writes the pace."""
        if isinstance(work, Pacing):
            Paces(paces=tuple(map(self._pace, work.architectures)), waiting=1.0).write(work.out)
        else:
            perform(work)

    def _pace(self, network: Architecture) -> Pace:
        return Pace(fault="odd") if network.name == "odd" else Pace(step_s=self.step_s)

    def stop(self) -> None:
        """Has nothing to end."""


def race_here(
    path: Path,
    candidates: Sequence[Architecture],
    *,
    step_s: float = 0.25,
    recipe: Recipe | None = None,
    minutes: float = 1.0,
    resume: bool = False,
    progress: ProgressCallback = silent,
) -> RaceResult:
    """Races in this process; a minute is shared out by the given pace, whatever it takes."""
    module = sys.modules["tapetum.search.race"]

    @contextmanager
    def open_workers(*_: object) -> Iterator[Here]:
        yield Here(step_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_workers", open_workers)
        patch.setattr("tapetum.search.plan.fewest_steps", lambda _: 10)
        patch.setattr(module, "Starter", _Timeless)
        recipe = recipe or tiny_recipe()
        sets = (Dots(64), Dots(32, seed=1))
        options: dict[str, Any] = {"minutes": minutes, "resume": resume, "progress": progress}
        return race(path, candidates, recipe, *sets, **options)


class _Timeless(Starter):
    """A preparation that takes no time."""

    def _seconds_left(self) -> float:
        return 60 * self.request.minutes


def die_after(pieces: int) -> ProgressCallback:
    """Kills the process after so many pieces of the race."""
    left = [pieces]

    def progress(done: int, total: int, message: str) -> None:
        del done, total, message
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress


def main() -> None:
    """Races as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("race", type=Path)
    parser.add_argument("--die-after", type=int, default=-1)
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args()
    progress = die_after(asked.die_after)
    race_here(asked.race, field(), resume=asked.resume, progress=progress)


if __name__ == "__main__":
    main()
