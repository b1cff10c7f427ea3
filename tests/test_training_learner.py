"""Laws of the steps of a learner."""

import math

import pytest

from tapetum.arch import Shape
from tapetum.losses import LossWeights
from tapetum.nn import build
from tapetum.noise import NoisePlan
from tapetum.training import training_batches
from tapetum.training.compute import Compute
from tapetum.training.learner import Learner
from tiny_training import Squares, tiny_recipe


@pytest.mark.parametrize("gated", [True, False])
def test_a_training_without_a_noisy_pixel_stays_finite(gated: bool) -> None:
    """Also where a perfect image is within reach, and the logarithm of its error in the loss."""
    recipe = tiny_recipe(
        noise=NoisePlan(levels=(0.0,)),
        loss=LossWeights(cross_entropy=0.1, charbonnier=0.9, log_mse=0.1),
        learning_rate=1e-2,
    )
    shape = Shape(widths=(8, 8), encoder_depths=(1, 1), decoder_depths=(1,), gated=gated)
    network = build(shape.architecture("tiny", image_channels=1, num_classes=4), seed=0)
    learner = Learner(network, recipe, Compute())
    for step in range(40):
        batches = training_batches(Squares(4), recipe.noise, batch_size=4, seed=0, epoch=step)
        loss, terms = learner.losses(next(batches), step=step)
        assert terms["log_mse"] >= math.log(1e-6)
        assert loss.isfinite()
        learner.descend(loss, step=step, total_steps=40)
    assert all(weight.isfinite().all() for weight in network.parameters())
