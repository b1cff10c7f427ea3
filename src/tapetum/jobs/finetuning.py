r"""Train a network in int8 further, so that it learns to make up for what rounding loses.

Batch normalisations and identities are folded into their convolutions, and the weights begin as
those of the graph in int8. In every step each weight :math:`w`, and each number :math:`x` that a
layer reads, is rounded,

.. math::
    \hat w = s \, \mathrm{clip}(\mathrm{round}(w / s)), \qquad
    \hat x = s_x \, (\mathrm{clip}(\mathrm{round}(x / s_x) + z) - z)

with the steps :math:`s` and zero points :math:`z` of that graph, while the gradient passes as if
nothing had been rounded (straight through). So the network that learns is the one that ships, but
for what additions and gates read, which the graph also rounds.

References:
    | Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
    | (Jacob et al., 2018), https://arxiv.org/abs/1712.05877

    | Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation
    | (Bengio, Léonard, Courville, 2013), https://arxiv.org/abs/1308.3432
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

import onnx
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval, parametrize

from tapetum.data import ImageDataset
from tapetum.graph import Int8Layer, int8_layers, with_weights
from tapetum.nn import Network, blocks
from tapetum.progress import ProgressCallback, silent
from tapetum.training import Recipe, ShortTraining

__all__ = ["finetune"]

RATE_SHARE = 1 / 30  # of the learning rate of the training


def finetune(
    network: Network,
    recipe: Recipe,
    images: ImageDataset,
    int8_graph: bytes,
    *,
    epochs: int,
    progress: ProgressCallback = silent,
) -> bytes:
    """Return the graph in int8 of a network after a training in which it is rounded.

    Args:
        network: The trained network, in evaluation mode, on the CPU; it is not changed.
        recipe: How it was trained; its rate is lowered, and falls to zero.
        images: Images to learn from.
        int8_graph: The graph of the network in int8.
        epochs: Passes over the images.
        progress: Called after each step.

    Raises:
        DataError: The images do not fill a batch.
        TrainingError: The loss is not finite.
    """
    model = onnx.load_model_from_string(int8_graph)
    rounded = _rounded(_folded(network), int8_layers(model))
    with torch.random.fork_rng(devices=[]):  # learning seeds torch's generator; give it back
        training = ShortTraining(rounded, _gentle(recipe, epochs), images)
        total = training.length.total_steps
        for step in range(total):
            training.step()
            progress(step + 1, total, "fine-tuning int8, in steps")
    trained = training.finish().cpu()
    for module in trained.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    constants = {name: value.numpy() for name, value in trained.state_dict().items()}
    return bytes(with_weights(model, constants).SerializeToString(deterministic=True))


def _gentle(recipe: Recipe, epochs: int) -> Recipe:
    """Return a recipe with a small rate that falls; bf16 would hide how int8 rounds."""
    kept = {"ema_decay": None, "keep": "last", "recalibration_batches": 0, "precision": "fp32"}
    rate = {"learning_rate": recipe.learning_rate * RATE_SHARE, "schedule": "cosine", "warmup": 0}
    return recipe.adjusted(epochs=epochs, half_size=0, patience_minutes=None, **rate, **kept)


def _folded(network: Network) -> Network:
    """Return a copy whose convolutions are those of the graph."""
    folded = copy.deepcopy(network)
    for module in folded.modules():
        if isinstance(module, blocks.ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    for name, module in list(folded.named_modules()):
        if isinstance(module, blocks.ResidualConv):
            weight = module.filter.conv.weight
            weight.data += nn.init.dirac_(torch.empty_like(weight))
            # A chain without the addition, in which the weights keep their names.
            parts = OrderedDict(filter=module.filter, activation=module.activation)
            folded.set_submodule(name, nn.Sequential(parts))
    return folded


def _rounded(network: Network, layers: Mapping[str, Int8Layer]) -> Network:
    """Let the layers of a folded network read and use rounded numbers, and return it."""
    for name, layer in layers.items():
        module = network.get_submodule(name)
        if layer.constants:
            if isinstance(module, nn.ConvTranspose2d):
                module = _ShuffledConv(module.in_channels, 4 * module.out_channels, 1)
                network.set_submodule(name, module)
            values = map(torch.tensor, layer.constants)
            module.load_state_dict(dict(zip(("weight", "bias"), values, strict=False)))
            parametrize.register_parametrization(module, "weight", _WholeSteps(layer))
        module.register_forward_pre_hook(partial(_round_input, layer))
    return network


def _round_input(layer: Int8Layer, _: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    return torch.fake_quantize_per_tensor_affine(inputs[0], layer.scale, layer.zero, 0, 255)


class _WholeSteps(nn.Module):
    """Rounds a weight to the steps of its output channels; the gradient passes."""

    steps: Tensor
    zeros: Tensor

    def __init__(self, layer: Int8Layer) -> None:
        super().__init__()
        self.most = layer.most
        self.register_buffer("steps", torch.tensor(layer.steps))
        self.register_buffer("zeros", torch.zeros(len(layer.steps), dtype=torch.int32))

    def forward(self, weight: Float[Tensor, "o i h w"]) -> Float[Tensor, "o i h w"]:
        """Return the rounded weight."""
        return torch.fake_quantize_per_channel_affine(
            weight, self.steps, self.zeros, 0, -self.most, self.most
        )


class _ShuffledConv(nn.Conv2d):
    """A transposed convolution in the form that it has in int8: 1x1, then a pixel shuffle."""

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h_up w_up"]:
        """Double height and width."""
        return nn.functional.pixel_shuffle(super().forward(x), 2)
