"""The state of a training or a search in one safetensors file.

Tensors are named ``<part>.<name>``, such as ``network.*``, ``average.*`` and
``optimizer.<parameter>.<moment>``.  Everything else is a :class:`Position`, as JSON in the header
of the file, beside a digest of all values: a damaged file is refused.  The file is written in one
step, so that it cannot contradict itself, and contains no pickle.

No state of a random generator is kept.  Noise, the order of images and torch's generator are made
from (seed, epoch, index) or (seed, step).
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import safetensors
import safetensors.torch
import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer

from tapetum.errors import InputError, RunError
from tapetum.records import FiniteOrNone, Record, write_atomically
from tapetum.training.optimize import moments, restore_optimizer

__all__ = [
    "EpochRecord",
    "EpochRow",
    "Part",
    "Position",
    "R",
    "fits_or_refused",
    "part_settings",
    "part_tensors",
    "read_checkpoint",
    "read_tensors",
    "read_weights",
    "restore_parts",
    "with_prefix",
    "write_checkpoint",
    "write_tensors",
]

_HEADER_KEY = "tapetum"
_FAULTS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class _Header(Record):
    """What stands beside the tensors: a digest of them and of the position, and the position."""

    sha256: str
    position: str = ""  # JSON; empty in files of weights alone


Part = nn.Module | Optimizer


class EpochRecord(Record):
    """How one epoch of a training or a search went."""

    def flat(self) -> dict[str, Any]:
        """Return one level of columns, such as ``train_loss``, for tables and plots."""
        row: dict[str, Any] = {}
        for name, value in self:
            nested = isinstance(value, dict)
            row |= {f"{name}_{k}": v for k, v in value.items()} if nested else {name: value}
        return row

    @property
    def held_out_loss(self) -> float | None:
        """The loss by which the best epoch is chosen; ``None`` where it is not finite."""
        return None


class EpochRow(EpochRecord):
    """How a training went from one validation to the next.

    Attributes:
        epoch: Number of the validation, from 1.
        step: Steps since the beginning of the run.
        learning_rate: Learning rate of the epoch's last step.
        train: Means over the epoch's steps: ``loss`` and its terms.
        validation: ``loss``; ``psnr_db``, ``gain_db`` and ``accuracy`` where the network has such
            an output, as :func:`~tapetum.training.validate.validate` returns them.  The PSNR is
            ``None`` if it is infinite because an image was restored exactly.
        validation_images: Number of images of the validation.
        seconds: Time of training and validation, without pauses between a kill and a resume.
    """

    epoch: int
    step: int
    learning_rate: float
    train: dict[str, float]
    validation: dict[str, FiniteOrNone]
    validation_images: int = 0
    seconds: float

    @property
    def held_out_loss(self) -> float | None:
        """The validation loss."""
        return self.validation["loss"]


R = TypeVar("R", bound=EpochRecord)


class Position(Record, Generic[R]):
    """How far a training or a search has come.

    Attributes:
        epoch: Number of whole epochs done, validation included.
        step: Steps since the beginning.
        step_in_epoch: Steps done of the next epoch.
        sums: Sums of the losses over the steps of the unfinished epoch.
        counts: Number of values in each sum.
        seconds: Time spent on the unfinished epoch.
        total_seconds: Time since the beginning, without pauses between a kill and a resume.
        validation_seconds: Time of the last validation.
        rows: One row for each whole epoch.
        num_images: Number of training images, to notice when the dataset has changed.
        settings: Plain data of the learner, such as the optimizer's parameter groups.
    """

    # JSON has no infinity, but Python's reader takes it, and a fresh plateau's best loss is one.
    model_config = ConfigDict(ser_json_inf_nan="constants")

    epoch: int = 0
    step: int = 0
    step_in_epoch: int = 0
    sums: dict[str, float] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0
    total_seconds: float = 0.0
    validation_seconds: float = 0.0
    rows: tuple[R, ...] = ()
    num_images: int = 0
    settings: dict[str, Any] = Field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the lowest held-out loss, from 1; 0 before the first epoch."""
        losses = [row.held_out_loss for row in self.rows]
        known = [loss for loss in losses if loss is not None]
        return losses.index(min(known)) + 1 if known else 0

    def means(self) -> dict[str, float]:
        """Return the means of the losses over the unfinished epoch."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def after_step(self, losses: Mapping[str, float], *, seconds: float) -> "Position[R]":
        """Return the position one step later."""
        changes = {
            "step": self.step + 1,
            "step_in_epoch": self.step_in_epoch + 1,
            "sums": self.sums | {k: self.sums.get(k, 0.0) + v for k, v in losses.items()},
            "counts": self.counts | {name: self.counts.get(name, 0) + 1 for name in losses},
            "seconds": self.seconds + seconds,
            "total_seconds": self.total_seconds + seconds,
        }
        return self.model_copy(update=changes)

    def after_epoch(self, row: R, *, seconds: float) -> "Position[R]":
        """Return the position at the start of the next epoch; the row gets the whole time."""
        row = row.model_copy(update={"seconds": self.seconds + seconds})
        changes = {
            "epoch": self.epoch + 1,
            "rows": (*self.rows, row),
            "total_seconds": self.total_seconds + seconds,
            "validation_seconds": seconds,
        }
        fresh = {"step_in_epoch": 0, "sums": {}, "counts": {}, "seconds": 0.0}
        return self.model_copy(update={**changes, **fresh})


P = TypeVar("P", bound=Record)


def part_tensors(parts: Mapping[str, Part]) -> dict[str, Tensor]:
    """Return the tensors of modules and optimizers, by ``<part>.<name>``."""
    tensors: dict[str, Tensor] = {}
    for part, thing in parts.items():
        state = moments(thing) if isinstance(thing, Optimizer) else thing.state_dict()
        tensors |= {f"{part}.{name}": value for name, value in state.items()}
    return tensors


def part_settings(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Return the parameter groups of the optimizers, by the name of the part."""
    return {
        part: thing.state_dict()["param_groups"]
        for part, thing in parts.items()
        if isinstance(thing, Optimizer)
    }


def restore_parts(
    parts: Mapping[str, Part], tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> None:
    """Restore what :func:`part_tensors` and :func:`part_settings` returned."""
    for part, thing in parts.items():
        state = with_prefix(tensors, f"{part}.")
        if isinstance(thing, Optimizer):
            restore_optimizer(thing, state, settings[part])
        else:
            thing.load_state_dict(state)


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], position: Record) -> None:
    """Write the state to ``path`` in one step; a kill leaves the previous file."""
    write_tensors(path, tensors, position=position.model_dump_json())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, position: str = "") -> None:
    """Write tensors to a safetensors file in one step, with their digest."""
    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = _Header(sha256=_digest(dense, position), position=position)
    metadata = {_HEADER_KEY: header.model_dump_json()}
    write_atomically(path, safetensors.torch.save(dense, metadata=metadata))


def read_checkpoint(path: Path, kind: type[P]) -> tuple[dict[str, Tensor], P]:
    """Return the tensors of a checkpoint, dense and on the CPU, and its position."""
    tensors, position = read_tensors(path)
    if not position:
        raise RunError(f"{path} is not a checkpoint of Tapetum", "start the work again")
    try:
        return tensors, kind.from_json(position, source=str(path))
    except InputError as error:
        raise RunError(error.problem, "start the work again") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of a training's checkpoint, averaged where the recipe averages them."""
    tensors, _ = read_tensors(path)
    return with_prefix(tensors, "average.") or with_prefix(tensors, "network.")


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a file, and the position as JSON; it is empty for weights alone."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError, *_FAULTS) as error:
        raise RunError(f"{path} cannot be read: {error}", "start the work again") from error
    if _HEADER_KEY not in metadata:
        raise RunError(f"{path} is not a checkpoint of Tapetum", "start the work again")
    try:
        header = _Header.from_json(metadata[_HEADER_KEY], source=str(path))
    except InputError as error:
        raise RunError(error.problem, "start the work again") from error
    if header.sha256 != _digest(tensors, header.position):
        problem = f"{path} is damaged: its values are not those that were written"
        raise RunError(problem, "copy it again, or start the work again")
    return tensors, header.position


@contextmanager
def fits_or_refused(path: Path) -> Iterator[None]:
    """Turn what happens where the values of a file fit no network of this kind into one error."""
    try:
        yield
    except _FAULTS as error:
        lines = str(error).split("\n")
        reason = lines[1].strip() if len(lines) > 1 else lines[0]  # torch's first one is general
        problem = f"the values in {path} do not fit this network: {reason or type(error).__name__}"
        raise RunError(problem, "start the work again, or restore the file") from error


def _digest(tensors: Mapping[str, Tensor], position: str) -> str:
    """Return the digest of every name, type, shape and value, and of the position."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    digest.update(position.encode())
    return digest.hexdigest()


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix``, without the prefix."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
