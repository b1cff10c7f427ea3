"""How weights move: the optimizer, its learning rate over the steps, the average that is kept.

References:
    | Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates
    | (Smith & Topin, 2018), https://arxiv.org/abs/1708.07120

    | Decoupled Weight Decay Regularization (Loshchilov & Hutter, 2019)
    | https://arxiv.org/abs/1711.05101
"""

import copy
import math
from collections.abc import Iterable, Mapping
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
    "along_cosine",
    "learning_rate_factor",
    "make_optimizer",
    "moments",
    "restore_optimizer",
]

_START_OF_CYCLE = 1 / 25  # of the highest rate (Smith & Topin, 2018)
_END_OF_CYCLE = 1e-4 / 25


class Schedule:
    """Sets the learning rate of an optimizer.

    Args:
        recipe: Has the schedule.
        optimizer: Whose rate is set.
        total_steps: Of the whole training.
    """

    def __init__(
        self, recipe: Recipe, optimizer: torch.optim.Optimizer, *, total_steps: int
    ) -> None:
        self.recipe = recipe
        self.optimizer = optimizer
        self.total_steps = total_steps
        self.plateau: ReduceLROnPlateau | None = None
        if recipe.schedule == "plateau":
            self.plateau = ReduceLROnPlateau(
                optimizer, factor=recipe.plateau_factor, patience=recipe.plateau_patience
            )

    @property
    def rate(self) -> float:
        """The learning rate now."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def set_rate(self, step: int) -> None:
        """Sets the rate for a step, counted from 0; a plateau changes it between epochs only."""
        if self.plateau is not None:
            return
        factor = learning_rate_factor(self.recipe, step, total_steps=self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * factor

    def after_epoch(self, validation_loss: float) -> None:
        """Lowers the rate of a plateau when the loss has not fallen for long enough."""
        if self.plateau is not None:
            self.plateau.step(validation_loss)

    def state(self) -> dict[str, Any]:
        """Plain data; empty where the rate depends on the step alone."""
        return {} if self.plateau is None else self.plateau.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to the state that :meth:`state` told."""
        if self.plateau is not None:
            self.plateau.load_state_dict(dict(state))


def learning_rate_factor(recipe: Recipe, step: int, *, total_steps: int) -> float:
    r"""The learning rate of a step, over the recipe's.

    With :math:`t` the share of the steps that is behind and :math:`w` the warm-up, a rate climbs
    while :math:`t < w` and falls along half a cosine after:

    .. math:: \tfrac12 \left(1 + \cos \pi \tfrac{t - w}{1 - w}\right)

    It depends on nothing else, so that nothing of it needs to be saved.

    Args:
        recipe: Has the schedule and the warm-up.
        step: From 0.
        total_steps: Of the whole training.

    Returns:
        In (0, 1] for every step but the last of a cosine, where it is nearly 0.
    """
    behind = step / max(total_steps, 1)
    if behind < recipe.warmup:
        climbed = (step + 1) / (recipe.warmup * total_steps + 1)  # never 0, which would waste it
        if recipe.schedule == "one-cycle":
            return along_cosine(_START_OF_CYCLE, 1.0, climbed)
        return climbed
    if recipe.schedule in ("constant", "plateau"):
        return 1.0
    end = _END_OF_CYCLE if recipe.schedule == "one-cycle" else 0.0
    return along_cosine(1.0, end, (behind - recipe.warmup) / (1 - recipe.warmup))


def along_cosine(start: float, end: float, share: float) -> float:
    """From ``start`` (at share 0) to ``end`` (at share 1), along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer of the network's weights; norms and biases do not decay.

    It is fused: one kernel walks all weights, on a CPU too, instead of several per weight.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    match recipe.optimizer:
        case "adam":
            return torch.optim.Adam(groups, lr=recipe.learning_rate, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        case "sgd":
            return torch.optim.SGD(
                groups, lr=recipe.learning_rate, momentum=recipe.momentum, fused=True
            )


def moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimizer remembers of each parameter, by ``<parameter's number>.<name>``."""
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
    """Goes back to what an optimizer remembered.

    Args:
        optimizer: Of the same parameters as then.
        tensors: What :func:`moments` told.
        parameter_groups: Those of its ``state_dict``.
    """
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
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

    The decay starts low, so that a short training does not end with an average of its beginning.
    Statistics of batch norms are copied: they are averages already.

    Args:
        network: Whose weights are averaged; it is copied.
        decay: Per step, in the long run.
    """

    def __init__(self, network: TrainableNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    def follow(self, network: nn.Module, *, step: int) -> None:
        """Takes the weights of after ``step`` (from 0) in."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, weights = list(self.network.parameters()), list(network.parameters())
        get_ema_multi_avg_fn(decay)(averages, weights, 0)  # type: ignore[no-untyped-call]
        _copy_into(self.network.buffers(), network.buffers())


@torch.no_grad()
def _copy_into(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
