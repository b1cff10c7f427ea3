"""What moves in a training: the network, its optimizer, the learning rate, the average.

A :class:`Learner` takes steps and hands its whole state out as tensors and plain data, so that a
training that goes on from that state is, bit by bit, the one that never stopped.  (On CUDA some
kernels add in no fixed order; there it holds up to rounding.)
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from tapetum.data import Batch, ImageDataset, training_batches
from tapetum.losses import joint_loss
from tapetum.nn import TrainableNetwork
from tapetum.training.checkpoint import Position, with_prefix
from tapetum.training.distributed import share_batch_norms
from tapetum.training.optimize import (
    Average,
    Schedule,
    make_optimizer,
    moments,
    restore_optimizer,
)
from tapetum.training.recipe import Recipe

__all__ = [
    "Learner",
    "at_least_float32",
    "mean_over_processes",
    "move_batch",
]


class Learner:
    """A network that learns by a recipe.

    Args:
        network: The network, with fresh weights; trained in place.
        recipe: How it learns.
        accelerator: Where it is trained and with how many processes.
        total_steps: Of the whole training, for the schedule.
        has_labels: Whether the images have names to learn.
    """

    def __init__(
        self,
        network: TrainableNetwork,
        recipe: Recipe,
        accelerator: Accelerator,
        *,
        total_steps: int,
        has_labels: bool = True,
    ) -> None:
        self.recipe = recipe
        self.accelerator = accelerator
        self.total_steps = total_steps
        self.network = network
        # Batch normalisations of this one are never shared between processes.
        self.unshared = copy.deepcopy(network)
        network.freeze_unused(
            uses_image=recipe.loss.uses_image, uses_labels=recipe.loss.uses_labels and has_labels
        )
        if recipe.channels_last:
            self.network.to(memory_format=torch.channels_last)
        share_batch_norms(
            self.network, device=accelerator.device, num_processes=accelerator.num_processes
        )
        self.network.to(accelerator.device)
        self.average = None if recipe.ema_decay is None else Average(self.network, recipe.ema_decay)
        self._bare_optimizer = make_optimizer(self.network, recipe)
        self.schedule = Schedule(recipe, self._bare_optimizer, total_steps=total_steps)
        self.model, self.optimizer = accelerator.prepare(self.network, self._bare_optimizer)

    @property
    def kept_network(self) -> TrainableNetwork:
        """What is validated and kept: the average where there is one."""
        return self.network if self.average is None else self.average.network

    def batches(self, images: ImageDataset, epoch: int, *, first_step: int) -> Iterator[Batch]:
        """This process's share of an epoch's batches, from a step on, where the network is."""
        shares = training_batches(
            images,
            self.recipe.noise,
            batch_size=self.recipe.batch_size,
            seed=self.recipe.seed,
            epoch=epoch,
            first_step=first_step,
            rank=self.accelerator.process_index,
            world_size=self.accelerator.num_processes,
        )
        return map(self.to_device, shares)

    def losses(self, batch: Batch, *, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, with gradients, and its terms.

        Args:
            batch: This process's share.
            step: Since the beginning; seeds whatever a network draws at random.
        """
        torch.manual_seed(self._seed_of(step))
        self.model.train()
        with torch.autocast(
            self.accelerator.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"
        ):
            outputs = self.model(batch.noisy, batch.boxes)
        return joint_loss(
            at_least_float32(outputs.image),
            at_least_float32(outputs.logits),
            batch.clean,
            batch.labels,
            weights=self.recipe.loss,
            label_smoothing=self.recipe.label_smoothing,
        )

    def descend(self, loss: Tensor, *, step: int) -> None:
        """Moves the weights one step down the gradient of ``loss``."""
        self.schedule.set_rate(step)
        self.accelerator.backward(loss)
        if self.recipe.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.follow(self.network, step=step)

    def to_device(self, batch: Batch) -> Batch:
        """The batch where the network is, in the order of values the recipe asks for."""
        return move_batch(batch, self.accelerator.device, channels_last=self.recipe.channels_last)

    def _seed_of(self, step: int) -> int:
        processes = self.accelerator
        draw = step * processes.num_processes + processes.process_index
        return (self.recipe.seed << 32) + int(draw)

    def mean_over_processes(self, values: Mapping[str, Tensor | float]) -> dict[str, float]:
        """The mean of each value over the processes; every process gets the same."""
        return mean_over_processes(self.accelerator, values)

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(weight.isfinite().all()) for weight in self.network.parameters())

    def tensors(self) -> dict[str, Tensor]:
        """The state's tensors by name; :meth:`settings` is the rest of it."""
        state = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        if self.average is not None:
            weights = self.average.network.state_dict()
            state |= {f"average.{name}": value for name, value in weights.items()}
        known = moments(self._bare_optimizer)
        return state | {f"optimizer.{name}": value for name, value in known.items()}

    def settings(self) -> dict[str, Any]:
        """The state's plain data: fields of a :class:`~tapetum.training.checkpoint.Position`."""
        groups = self._bare_optimizer.state_dict()["param_groups"]
        return {"schedule": self.schedule.state(), "parameter_groups": groups}

    def restore(self, tensors: Mapping[str, Tensor], position: Position) -> None:
        """Goes back to the state that :meth:`tensors` and :meth:`settings` told."""
        self.network.load_state_dict(with_prefix(tensors, "network."))
        if self.average is not None:
            self.average.network.load_state_dict(with_prefix(tensors, "average."))
        restore_optimizer(
            self._bare_optimizer, with_prefix(tensors, "optimizer."), position.parameter_groups
        )
        self.schedule.restore(position.schedule)


def move_batch(batch: Batch, device: torch.device, *, channels_last: bool) -> Batch:
    """The batch on a device, its images in one of two orders of values."""

    def move(tensor: Tensor) -> Tensor:
        if device.type == "cuda":
            tensor = tensor.pin_memory()  # without it a copy cannot overlap with the computation
        return tensor.to(device, non_blocking=True)

    def move_image(images: Tensor) -> Tensor:
        moved = move(images)
        return moved.contiguous(memory_format=torch.channels_last) if channels_last else moved

    return Batch(
        move_image(batch.noisy),
        move_image(batch.clean),
        None if batch.labels is None else move(batch.labels),
        None if batch.boxes is None else move(batch.boxes),
    )


def mean_over_processes(
    accelerator: Accelerator, values: Mapping[str, Tensor | float]
) -> dict[str, float]:
    """The mean of each value over the processes; every process gets the same."""
    row = torch.stack(
        [
            torch.as_tensor(value, device=accelerator.device).float().detach()
            for value in values.values()
        ]
    )
    means: Tensor = accelerator.reduce(row, "mean")
    return dict(zip(values, means.tolist(), strict=True))


def at_least_float32(output: Tensor | None) -> Tensor | None:
    """What autocast has shortened, long again; a loss needs it."""
    if output is None:
        return None
    return output.to(torch.promote_types(output.dtype, torch.float32))
