"""Batch statistics that are a network's own: estimated anew for its last weights.

Batch normalisation remembers a running average of the means and variances that passed while the
weights were still moving (or, with an average of the weights, those of other weights).  So they are
estimated once more at the end, as the plain average over some training batches, and kept where the
held-out images say that this is no worse.
"""

import copy
from collections.abc import Iterable, Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from tapetum.data import Batch, ImageDataset, training_batches
from tapetum.nn import TrainableNetwork
from tapetum.training.learner import Learner
from tapetum.training.run import Recalibration
from tapetum.training.validate import look_once

__all__ = ["recalibrate", "reestimate_statistics"]


@torch.no_grad()
def reestimate_statistics(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Replaces the statistics of every batch normalisation by those of some batches.

    Args:
        network: Changed in place; left in evaluation mode.
        batches: Where the network is; each counts alike.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average of all batches
    network.train()
    for batch in batches:
        network(batch.noisy, batch.boxes)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    network.eval()


def recalibrate(
    learner: Learner, weights: Mapping[str, Tensor], train_set: ImageDataset, val_set: ImageDataset
) -> tuple[Mapping[str, Tensor], Recalibration]:
    """The weights that are kept, with new batch statistics where these are no worse.

    One process does it alone.

    Args:
        learner: Whose recipe says how many batches are looked at.
        weights: That would be kept.
        train_set: The batches are those of an epoch after the last.
        val_set: Held out; judges.
    """
    network = _network_of(learner, weights)
    before = look_once(learner, network, val_set)["loss"]
    batches = training_batches(
        train_set,
        learner.recipe.noise,
        batch_size=learner.recipe.batch_size,
        seed=learner.recipe.seed,
        epoch=learner.recipe.epochs,
    )
    some = islice(batches, learner.recipe.recalibration_batches)
    reestimate_statistics(network, map(learner.to_device, some))
    after = look_once(learner, network, val_set)["loss"]
    found = Recalibration(loss_before=before, loss_after=after)
    return (network.state_dict() if found.is_kept else weights), found


def _network_of(learner: Learner, weights: Mapping[str, Tensor]) -> TrainableNetwork:
    """One whose batch normalisations do not wait for those of other processes."""
    network = copy.deepcopy(learner.unshared)
    network.load_state_dict(weights)
    if learner.recipe.channels_last:
        network.to(memory_format=torch.channels_last)
    return network.to(learner.accelerator.device).eval()
