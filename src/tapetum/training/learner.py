"""What moves in a training: the network, its optimizer, the learning rate, the average.

A training that continues from the whole state of a :class:`Learner` ends with the same bits as one
that never stopped.  (On CUDA some kernels add in no fixed order; there it holds up to rounding.)
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tapetum.nn import TrainableNetwork
from tapetum.training.batches import Batch
from tapetum.training.checkpoint import Part
from tapetum.training.compute import Compute
from tapetum.training.optimize import Average, Schedule, make_optimizer
from tapetum.training.recipe import Recipe

__all__ = ["Learner"]


class Learner:
    """A network that learns by a recipe, in place.

    ``has_labels`` says whether the images have labels to learn from.
    """

    def __init__(
        self,
        network: TrainableNetwork,
        recipe: Recipe,
        compute: Compute,
        *,
        has_labels: bool = True,
    ) -> None:
        self.recipe, self.compute, self.network = recipe, compute, network
        # Batch normalisations of this one are never shared between processes.
        self.unshared = copy.deepcopy(network)
        network.freeze_unused(
            uses_image=recipe.loss.uses_image, uses_labels=recipe.loss.uses_labels and has_labels
        )
        if recipe.channels_last:
            self.network.to(memory_format=torch.channels_last)
        compute.share_batch_norms(self.network)
        self.network.to(compute.device)
        self.average = None if recipe.ema_decay is None else Average(self.network, recipe.ema_decay)
        self._bare_optimizer = make_optimizer(self.network, recipe)
        self.schedule = Schedule(recipe, self._bare_optimizer)
        self.model, self.optimizer = compute.accelerator.prepare(self.network, self._bare_optimizer)

    @property
    def kept_network(self) -> TrainableNetwork:
        """What is validated and kept: the average where there is one."""
        return self.network if self.average is None else self.average.network

    def losses(self, batch: Batch, *, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of this process's share of a batch, with gradients, and its terms.

        The step, counted from the beginning, seeds whatever a network draws at random.
        """
        draw = step * self.compute.num_processes + self.compute.rank
        torch.manual_seed((self.recipe.seed << 32) + draw)
        self.model.train()
        with torch.autocast(
            self.compute.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"
        ):
            outputs = self.model(batch.noisy, batch.boxes)
        return self.recipe.loss_of(outputs, batch)

    def descend(self, loss: Tensor, *, step: int, total_steps: int | float) -> None:
        """Move the weights one step down the gradient of ``loss``; see :class:`Schedule`."""
        self.schedule.set_rate(step, total_steps=total_steps)
        self.compute.accelerator.backward(loss)
        if self.recipe.clip_norm is not None:
            parameters = self.network.parameters()
            self.compute.accelerator.clip_grad_norm_(parameters, self.recipe.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.follow(self.network, step=step)

    def parts(self) -> dict[str, Part]:
        """Return the modules and optimizers of the state by name."""
        average: dict[str, Part] = {} if self.average is None else {"average": self.average.network}
        return {"network": self.network, **average, "optimizer": self._bare_optimizer}

    def settings(self) -> dict[str, Any]:
        """Return the plain data of the state."""
        return {"schedule": self.schedule.state()}

    def restore(self, settings: Mapping[str, Any]) -> None:
        """Restore what :meth:`settings` returned."""
        self.schedule.restore(settings["schedule"])
