"""The optimizer, the learning-rate schedule, and the average of the weights.

References:
    | Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates
    | (Smith & Topin, 2018), https://arxiv.org/abs/1708.07120

    | Decoupled Weight Decay Regularization (Loshchilov & Hutter, 2019)
    | https://arxiv.org/abs/1711.05101
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tapetum.nn import TrainableNetwork
from tapetum.training.recipe import Recipe

__all__ = [
    "Average",
    "Schedule",
    "learning_rate_factor",
    "make_optimizer",
    "moments",
    "restore_optimizer",
]

_START_OF_CYCLE = 1 / 25  # of the peak rate (Smith & Topin, 2018)
_END_OF_CYCLE = 1e-4 / 25


class Schedule:
    """Sets the learning rate of an optimizer by a recipe."""

    def __init__(self, recipe: Recipe, optimizer: torch.optim.Optimizer) -> None:
        self.recipe, self.optimizer = recipe, optimizer
        self.plateau: ReduceLROnPlateau | None = None
        if recipe.schedule == "plateau":
            self.plateau = ReduceLROnPlateau(
                optimizer, factor=recipe.plateau_factor, patience=recipe.plateau_patience
            )

    @property
    def rate(self) -> float:
        """The current learning rate."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def set_rate(self, step: int, *, total_steps: int | float) -> None:
        """Set the rate of a step; a plateau changes it between epochs only.

        Args:
            step: Number of the step, from 0.
            total_steps: Number of all steps; in a training that is counted in minutes, what is
                expected at this step.
        """
        if self.plateau is not None:
            return
        factor = learning_rate_factor(self.recipe, step, total_steps=total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * factor

    def after_epoch(self, validation_loss: float) -> None:
        """Lower the rate of a plateau schedule when the loss has not fallen for long enough."""
        if self.plateau is not None:
            self.plateau.step(validation_loss)

    def state(self) -> dict[str, Any]:
        """Return the state as plain data; empty where the rate depends on the step alone."""
        return {} if self.plateau is None else self.plateau.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state` returned."""
        if self.plateau is not None:
            if state.keys() != self.plateau.state_dict().keys():
                raise ValueError("the state of the schedule has other fields")
            self.plateau.load_state_dict(dict(state))


def learning_rate_factor(recipe: Recipe, step: int, *, total_steps: int | float) -> float:
    r"""Return the learning rate of a step, relative to the recipe's.

    With :math:`t` the share of steps done and :math:`w` the warm-up, the rate rises while
    :math:`t < w` and then falls along half a cosine:

    .. math:: \tfrac12 \left(1 + \cos \pi \tfrac{t - w}{1 - w}\right)

    It depends on the step alone, counted from 0, so that there is no state to save.
    """
    behind = step / max(total_steps, 1)
    if behind < recipe.warmup:
        climbed = (step + 1) / (recipe.warmup * total_steps + 1)  # never 0, which would waste it
        is_cycle = recipe.schedule == "one-cycle"
        return _along_cosine(_START_OF_CYCLE, 1.0, climbed) if is_cycle else climbed
    if recipe.schedule in ("constant", "plateau"):
        return 1.0
    end = _END_OF_CYCLE if recipe.schedule == "one-cycle" else 0.0
    return _along_cosine(1.0, end, (behind - recipe.warmup) / (1 - recipe.warmup))


def _along_cosine(start: float, end: float, share: float) -> float:
    """Return a value between ``start`` (share 0) and ``end`` (share 1), along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer; norms and biases do not decay.

    It is fused: one kernel updates all weights, also on a CPU.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        rate, momentum = recipe.learning_rate, recipe.momentum
        return torch.optim.SGD(groups, lr=rate, momentum=momentum, fused=True)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.learning_rate, fused=True)


def moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the tensors of an optimizer by ``<number of the parameter>.<name>``."""
    return {
        f"{index}.{name}": value
        for index, known in optimizer.state_dict()["state"].items()
        for name, value in known.items()
        if value is not None  # plain SGD keeps no momentum
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    parameter_groups: list[dict[str, Any]],
) -> None:
    """Restore what :func:`moments` returned, and the parameter groups of the ``state_dict``."""
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, moment = name.split(".")
        like = parameters[int(index)]
        if tensor.shape == like.shape:
            # Fused kernels walk weights and moments side by side: their order must agree.
            tensor = torch.empty_like(like).copy_(tensor)
        state.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": parameter_groups})


class Average:
    r"""The exponential moving average of a network's weights.

    .. math:: \bar w \leftarrow d \bar w + (1 - d) w, \quad d = \min(\text{decay}, (1+t) / (10+t))

    The decay starts low, so that a short training does not keep its initial weights.  Statistics of
    batch norms are copied: they are averages already.
    """

    def __init__(self, network: TrainableNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    def follow(self, network: nn.Module, *, step: int) -> None:
        """Include the weights after ``step``, from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, weights = list(self.network.parameters()), list(network.parameters())
        get_ema_multi_avg_fn(decay)(averages, weights, 0)  # type: ignore[no-untyped-call]
        for mine, current in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(current)
