"""The state of a training in one safetensors file: weights, moments, and where it stands.

Tensors are named ``network.*``, ``average.*`` (the average of the weights, where there is one) and
``optimizer.<parameter>.<moment>``; everything else is a :class:`Position`, as JSON in the file's
header.  One file, written in one step, cannot contradict itself; there is no pickle in it.

No state of a random generator is kept: the noise, the order of images and torch's generator are
all made from (seed, epoch, index) or (seed, step).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
from pydantic import ConfigDict, Field
from torch import Tensor

from tapetum.errors import RunError
from tapetum.records import FiniteOrNone, Record, write_atomically

__all__ = [
    "EpochRow",
    "Position",
    "read_checkpoint",
    "read_checkpoint_of",
    "read_weights",
    "with_prefix",
    "write_checkpoint",
]

_HEADER_KEY = "tapetum"
_P = TypeVar("_P", bound=Record)


class EpochRow(Record):
    """How one epoch went.

    Attributes:
        epoch: From 1.
        step: Steps since the beginning of the run.
        learning_rate: At the epoch's last step.
        train: Means over the epoch's steps: ``loss`` and its terms.
        validation: ``loss``, and ``psnr_db`` and ``accuracy`` where the network has such an output;
            ``None`` for a PSNR that is infinite because an image was restored exactly.
        seconds: Training and validation, without the time between a kill and a resume.
    """

    epoch: int
    step: int
    learning_rate: float
    train: dict[str, float]
    validation: dict[str, FiniteOrNone]
    seconds: float

    def flat(self) -> dict[str, int | float | None]:
        """One level of columns: ``train_loss``, ``validation_psnr_db`` and the like."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "learning_rate": self.learning_rate,
            **{f"train_{name}": value for name, value in self.train.items()},
            **{f"validation_{name}": value for name, value in self.validation.items()},
            "seconds": self.seconds,
        }


class Position(Record):
    """Where a training stands.

    Attributes:
        epoch: Whole epochs behind it, validation included.
        step_in_epoch: Steps of the next epoch behind it.
        step: Steps since the beginning.
        sums: Of the losses over the steps of the unfinished epoch.
        seconds: Spent on the unfinished epoch.
        rows: One for each whole epoch.
        best_loss: The lowest validation loss so far.
        best_epoch: Where that was, from 1.
        num_train_images: A set that has grown or shrunk since is noticed.
        schedule: State of the learning rate's schedule.
        parameter_groups: The optimizer's settings, its learning rate among them.
    """

    # JSON has no infinity, but Python's reader takes it, and a fresh plateau's best loss is one.
    model_config = ConfigDict(ser_json_inf_nan="constants")

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    sums: dict[str, float] = Field(default_factory=dict)
    seconds: float = 0.0
    rows: tuple[EpochRow, ...] = ()
    best_loss: float | None = None
    best_epoch: int = 0
    num_train_images: int = 0
    schedule: dict[str, Any] = Field(default_factory=dict)
    parameter_groups: list[dict[str, Any]] = Field(default_factory=list)

    def after_step(self, losses: Mapping[str, float], *, seconds: float) -> "Position":
        """One step further."""
        return self.model_copy(
            update={
                "step": self.step + 1,
                "step_in_epoch": self.step_in_epoch + 1,
                "sums": {name: self.sums.get(name, 0.0) + loss for name, loss in losses.items()},
                "seconds": self.seconds + seconds,
            }
        )

    def after_epoch(
        self, validation: Mapping[str, float], *, learning_rate: float, seconds: float
    ) -> "Position":
        """One epoch further, validated."""
        row = EpochRow(
            epoch=self.epoch + 1,
            step=self.step,
            learning_rate=learning_rate,
            train={name: total / self.step_in_epoch for name, total in self.sums.items()},
            validation=dict(validation),
            seconds=self.seconds + seconds,
        )
        is_best = self.best_loss is None or validation["loss"] < self.best_loss
        return self.model_copy(
            update={
                "epoch": self.epoch + 1,
                "step_in_epoch": 0,
                "sums": {},
                "seconds": 0.0,
                "rows": (*self.rows, row),
                "best_loss": validation["loss"] if is_best else self.best_loss,
                "best_epoch": self.epoch + 1 if is_best else self.best_epoch,
            }
        )


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], position: Record) -> None:
    """Writes the state to ``path`` in one step; a kill leaves the file of before.

    Args:
        path: Of the file.
        tensors: By name.
        position: Everything else: a :class:`Position`, or a record of another kind.
    """
    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {_HEADER_KEY: position.model_dump_json()}
    write_atomically(path, safetensors.torch.save(dense, metadata=header))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], Position]:
    """The tensors of a training, dense and on the CPU, and where it stood.

    Raises:
        RunError: The file is missing, damaged, or no checkpoint.
    """
    return read_checkpoint_of(path, Position)


def read_checkpoint_of(path: Path, kind: type[_P]) -> tuple[dict[str, Tensor], _P]:
    """Reads what :func:`write_checkpoint` wrote with a position of some kind; see above."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"cannot read the checkpoint {path}: {error}", "start the run again") from (
            error
        )
    if _HEADER_KEY not in header:
        raise RunError(f"{path} is not a checkpoint of Tapetum", "start the run again")
    return tensors, kind.from_json(header[_HEADER_KEY], source=str(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, by the names of a network; their average where there is one."""
    tensors, _ = read_checkpoint(path)
    return with_prefix(tensors, "average.") or with_prefix(tensors, "network.")


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name begins with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
