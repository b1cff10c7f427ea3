"""Trains for minutes of one core, which are turned into steps first.

Processor time counts, so that a busy machine changes little, and a training of so many steps can be
repeated.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, Unpack

import tapetum
from result_file import once
from tapetum.arch import Architecture, ShapeSpace
from tapetum.data import Dataset, open_dataset
from tapetum.jobs import TrainingOptions
from tapetum.jobs.durations import training_minutes
from tapetum.nn import build
from tapetum.search import step_times
from tapetum.training import Recipe, Result

__all__ = [
    "DATASETS",
    "Options",
    "default_network",
    "kept_steps",
    "linked",
    "processor_minutes",
    "steps_within",
    "trained",
]

_Result = TypeVar("_Result")

DATASETS = {"neu_cls": (1, 6), "imagenette128": (3, 10)}  # channels and classes
FEWEST_STEPS, TRIED_STEPS, NUM_TRIES = 4, 1000, 5


class Options(TrainingOptions, total=False):
    """The options of :func:`tapetum.train` that benchmarks give."""

    architecture: Architecture
    start: str
    steps: int
    seed: int


def steps_within(minutes: float, network: Architecture, recipe: Recipe, dataset: Dataset) -> int:
    """Return the steps that take so many minutes here, validation included."""

    def takes(steps: int) -> float:
        given = recipe.adjusted(steps=steps)
        return training_minutes(
            step_times(build(network, seed=given.seed), given, dataset.train).quiet_s,
            given,
            num_batches=dataset.train.num_batches(given.batch_size),
            num_validation=len(dataset.validation),
        )

    steps = max(FEWEST_STEPS, int(TRIED_STEPS * minutes / takes(TRIED_STEPS)))
    median = statistics.median(takes(steps) for _ in range(NUM_TRIES))
    return max(FEWEST_STEPS, round(steps * minutes / median))


def processor_minutes(run: Path, work: Callable[[], _Result]) -> tuple[_Result, float | None]:
    """Return what a training returns, and its processor minutes; None if it continued a run."""
    begun_s, is_continued = time.process_time(), run.exists()
    result = work()
    used = round((time.process_time() - begun_s) / 60, 2)
    return result, None if is_continued else used


def linked(source: Path, out: Path, counts: Mapping[str, int | None]) -> Path:
    """Link the first images of each class into a folder, and return it.

    Args:
        source: The folder of a dataset.
        out: Where the links go.
        counts: The most images of a class in each part; None for all.
    """
    for part, most in counts.items():
        for kind in sorted((source / part).iterdir()):
            place = out / part / kind.name
            place.mkdir(parents=True, exist_ok=True)
            for file in sorted(kind.iterdir())[:most]:
                link = place / file.name
                if not link.is_symlink():
                    link.symlink_to(file.absolute())
    return out


def default_network(name: str, *, size_px: int, multiply_adds: float) -> Architecture:
    """Return the network of the scaling rule for one of the datasets."""
    channels, classes = DATASETS[name]
    space = ShapeSpace(width_step=16, size_px=size_px, image_channels=channels, num_classes=classes)
    return space.architecture(space.rule(multiply_adds), "rule")


def kept_steps(
    path: Path,
    minutes: float,
    network: Architecture,
    data: Path | Dataset,
    *,
    size_px: int | None = None,
    recipe: Recipe | None = None,
) -> int:
    """Return the steps of a file, where :func:`steps_within` is kept for the next start.

    Args:
        path: The file.
        minutes: Minutes of processor time.
        network: What is trained.
        data: The folder of the images, or its dataset.
        size_px: Size of the images of a folder.
        recipe: How it is trained; by default that of a folder.
    """
    given = recipe or Recipe.named("images").suited()

    def pace() -> dict[str, int]:
        dataset = data
        if isinstance(dataset, Path):
            dataset = open_dataset(str(dataset), seed=0, size_px=size_px)
        return {"steps": steps_within(minutes, network, given, dataset)}

    return int(once(path, pace)["steps"])


def trained(data: Path, run: Path, **options: Unpack[Options]) -> tuple[Result, float | None]:
    """Train, continue a training, or find it finished; return its result and minutes.

    Args:
        data: The folder of images.
        run: The folder of the run.
        options: Those of :func:`tapetum.train`.
    """
    is_begun = (run / "request.json").exists()
    return processor_minutes(run, lambda: tapetum.train(data, run, resume=is_begun, **options))
