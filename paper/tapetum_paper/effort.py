"""What an experiment will cost: hours and disk space, told before it starts.

Each network of the unfinished cells takes a few training steps on the device of the training.  The
images per second of these steps, times the images of the recipe, give the hours.  Reading images,
validation and latency measurements are not counted.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from tapetum.arch import Architecture, NetworkFacts
from tapetum.data import digits
from tapetum.nn import TrainableNetwork
from tapetum.search import SearchRecipe
from tapetum_paper.baselines import build_any
from tapetum_paper.plan import Cell, Experiment
from tapetum_paper.results import result_path
from tapetum_paper.searched import Searched

__all__ = ["Effort", "expected_effort"]

STATES = 3  # weights, and two moments of the optimizer, at most
FILES = 2  # the last checkpoint and the best one
CPU_BATCH = 8  # more images at once are no faster there
BOX_PX = 28


class Effort(NamedTuple):
    """The expected cost of the unfinished cells of an experiment.

    Attributes:
        num_trainings: Number of trainings.
        num_searches: Number of searches.
        hours: Hours of computing on this machine.
        gigabytes: Disk space of the run folders.
    """

    num_trainings: int
    num_searches: int
    hours: float
    gigabytes: float

    def __str__(self) -> str:
        took = f"{self.hours:.1f} h" if self.hours >= 1 else f"{60 * self.hours:.0f} min"
        return (
            f"{self.num_trainings} trainings and {self.num_searches} searches: about {took} on "
            f"this machine, without reading images and validation, and {self.gigabytes:.2f} GB"
        )


def expected_effort(
    experiment: Experiment, cells: Iterable[Cell], *, results: Path, data_root: Path | None
) -> Effort:
    """Return the expected cost of the cells that have no result.

    Args:
        experiment: The experiment of the cells.
        cells: The requested cells.
        results: Folder of the result files.
        data_root: Folder with the folders of images, whose images are counted.
    """
    todo = [cell for cell in cells if not result_path(results, experiment.scale, cell).exists()]
    costs: dict[str, tuple[float, int]] = {}  # networks of several seeds cost the same
    searches: dict[str, float] = {}
    seconds, state_bytes = 0.0, 0
    for cell in todo:
        network = _example_of(cell)
        if network.name not in costs:
            costs[network.name] = _cost(network, cell)
        per_image, weight_bytes = costs[network.name]
        count = _count_images(cell, data_root)
        assert cell.recipe.epochs is not None  # noqa: S101  (the paper counts in epochs)
        seconds += per_image * count * cell.recipe.epochs
        state_bytes += FILES * STATES * weight_bytes
        if isinstance(cell.network, Searched):
            passes = _passes(cell.network, count)
            searches[cell.network.slug] = per_image * passes
    seconds += sum(searches.values())
    return Effort(len(todo), len(searches), seconds / 3600, state_bytes / 1e9)


def _example_of(cell: Cell) -> Architecture | NetworkFacts:
    """Return the network of a cell, or one of medium size of the space that is searched."""
    network = cell.network
    if not isinstance(network, Searched):
        return network
    space = network.built_in or network.space
    choices = space.random(np.random.default_rng(0))
    return space.architecture(choices, name=network.name)


def _passes(searched: Searched, count: int) -> float:
    """Return the number of images that the networks of a search train on."""
    recipe: SearchRecipe = searched.recipe
    most = max(len(slot.candidates) for slot in searched.space.slots.values())
    candidates = most if recipe.alpha_update == "full" else 2
    paths = 1 if recipe.splits_batches else 2
    for_weights = (1 - recipe.held_out) * count
    alpha_epochs = recipe.epochs - recipe.warmup_epochs
    return for_weights * (
        paths * recipe.epochs + candidates * alpha_epochs / recipe.alphas_every_steps
    )


def _count_images(cell: Cell, data_root: Path | None) -> int:
    """Return the number of training images; those of a folder are counted."""
    if cell.size_px is None:
        return cell.train_count
    folder = (data_root or Path()) / cell.data / "train"
    return sum(1 for _ in folder.glob("*/*"))


def _cost(described: Architecture | NetworkFacts, cell: Cell) -> tuple[float, int]:
    """Return the seconds of training on one image, and the bytes of the weights."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build_any(described, seed=0).to(device).train()
    batch = cell.recipe.batch_size
    batch = batch if device.type == "cuda" else min(batch, CPU_BATCH)
    _step(network, cell, batch, device)
    begun = time.perf_counter()
    _step(network, cell, batch, device)
    seconds = (time.perf_counter() - begun) / batch
    return seconds, sum(value.nbytes for value in network.state_dict().values())


def _step(network: TrainableNetwork, cell: Cell, batch: int, device: torch.device) -> None:
    """Pass random images forwards and backwards."""
    facts = network.architecture
    size_px = cell.size_px or (
        digits.IMAGE_PX if cell.data == digits.DIGITS else digits.DigitCrops.size_px
    )
    noisy = torch.rand(batch, facts.image_channels, size_px, size_px, device=device)
    box = torch.tensor([0.0, 0.0, BOX_PX, BOX_PX], device=device)
    boxes = box.expand(batch, 2, 4) if facts.classifies_boxes else None
    outputs = network(noisy, boxes)
    loss = torch.stack([output.mean() for output in outputs if output is not None]).sum()
    torch.autograd.backward(loss)
    if device.type == "cuda":
        torch.cuda.synchronize()
