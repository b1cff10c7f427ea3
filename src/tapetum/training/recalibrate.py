"""Batch statistics that belong to the final weights.

Batch normalisation keeps a running average of the means and variances that passed while the weights
were still moving, or, with an average of the weights, those of other weights.  They are estimated
again at the end, as the plain average over some training batches, and kept where the validation
loss is no higher.
"""

import copy
from collections.abc import Mapping
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from tapetum.data import ImageDataset
from tapetum.nn import TrainableNetwork
from tapetum.training.learner import Learner
from tapetum.training.run import Recalibration
from tapetum.training.validate import look

__all__ = ["recalibrate"]


def recalibrate(
    learner: Learner, weights: Mapping[str, Tensor], train_set: ImageDataset, val_set: ImageDataset
) -> tuple[Mapping[str, Tensor], Recalibration]:
    """Return the weights with new batch statistics where these are no worse, in one process.

    Args:
        learner: Its recipe has the number of batches.
        weights: The weights to keep.
        train_set: The batches are those of an epoch after the last one.
        val_set: Held-out images, which decide.
    """
    network, recipe = _network_of(learner, weights), learner.recipe

    judge = partial(look, network, val_set, recipe, learner.compute, count=recipe.validation_images)
    before = judge()["loss"]
    batches = learner.batches(train_set, recipe.epochs, first_step=0, alone=True)
    after = judge(statistics=islice(batches, recipe.recalibration_batches))["loss"]
    outcome = Recalibration(loss_before=before, loss_after=after)
    return (network.state_dict() if outcome.is_kept else weights), outcome


def _network_of(learner: Learner, weights: Mapping[str, Tensor]) -> TrainableNetwork:
    """Return a network whose batch normalisations do not wait for those of other processes."""
    network = copy.deepcopy(learner.unshared)
    network.load_state_dict(weights)
    if learner.recipe.channels_last:
        network.to(memory_format=torch.channels_last)
    return network.to(learner.compute.device).eval()
