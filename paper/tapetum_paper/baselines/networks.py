"""The trainable form of a baseline: a published network as a ``TrainableNetwork``.

Classifiers come from torchvision and timm; the modules beside this one implement the denoisers.
Weights are always fresh and nothing is downloaded, so that comparisons start equal.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tapetum.arch import Architecture, NetworkFacts
from tapetum.errors import MissingExtraError
from tapetum.nn import Outputs, TrainableNetwork, build
from tapetum_paper.baselines.dncnn import DnCNN
from tapetum_paper.baselines.ffdnet import FFDNet
from tapetum_paper.baselines.known import require_baseline
from tapetum_paper.baselines.lpienet import LPIENet

__all__ = [
    "BaselineNetwork",
    "baseline_multiply_adds",
    "baseline_parameters",
    "build_any",
    "build_baseline",
]

# What the libraries call them.
TORCHVISION = {
    "mobilenet-v2": "mobilenet_v2",
    "mobilenet-v3-small": "mobilenet_v3_small",
    "mobilenet-v3-large": "mobilenet_v3_large",
    "resnet-18": "resnet18",
}
TIMM = {
    "efficientnet-v2-b0": "tf_efficientnetv2_b0",
    "efficientnet-v2-b1": "tf_efficientnetv2_b1",
}

# 1x is what its authors published; Markhorst et al. timed it at half and at a quarter of that.
LPIENET_WIDTHS = {
    "lpienet-0.25x": (4, 8, 16),
    "lpienet-0.5x": (8, 16, 32),
    "lpienet-1x": (16, 32, 64),
}


class BaselineNetwork(TrainableNetwork):
    """A published network that training, evaluation and export accept.

    :func:`build_baseline` makes one.

    Args:
        facts: Name, kind, channels and classes.
        body: A module from noisy images to denoised images, or to logits.
    """

    def __init__(self, facts: NetworkFacts, body: nn.Module) -> None:
        super().__init__()
        self.architecture = facts
        self.body = body

    def forward(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Outputs:
        """Denoise or classify.

        Args:
            noisy: Images of any size, in the range [0, 1] before noise was added.
            boxes: Ignored; no baseline classifies boxes.
        """
        del boxes
        output: Tensor = self.body(noisy)
        return Outputs(output, None) if self.architecture.denoises else Outputs(None, output)

    def freeze_unused(self, *, uses_image: bool, uses_labels: bool) -> None:
        """Do nothing: every parameter contributes to the only output."""


def build_any(network: Architecture | NetworkFacts, *, seed: int) -> TrainableNetwork:
    """Build the module of an architecture or of a baseline, with fresh weights.

    Args:
        network: An architecture of Tapetum, or the facts about a baseline.
        seed: Random seed for the weights.
    """
    if isinstance(network, Architecture):
        return build(network, seed=seed)
    return build_baseline(network, seed=seed)


def build_baseline(facts: NetworkFacts, *, seed: int) -> BaselineNetwork:
    """Build a baseline with fresh weights.

    Args:
        facts: A result of :func:`~tapetum_paper.baselines.find_baseline`.
        seed: Random seed for the weights; torch's global generator keeps its state.

    Returns:
        A network in training mode, on the CPU, float32.

    Raises:
        ArchitectureError: The facts describe no baseline.
        MissingExtraError: The baseline comes from a library that is not installed.
    """
    require_baseline(facts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BaselineNetwork(facts, _body(facts))


def baseline_parameters(facts: NetworkFacts) -> int:
    """Return the number of trainable parameters.

    Raises:
        MissingExtraError: See :func:`build_baseline`.
    """
    return sum(weight.numel() for weight in build_baseline(facts, seed=0).parameters())


def baseline_multiply_adds(facts: NetworkFacts, height: int, width: int) -> int:
    """Return the multiply-adds for one image: half of the operations that torch counts.

    Args:
        facts: A result of :func:`~tapetum_paper.baselines.find_baseline`.
        height: Image height in pixels.
        width: Image width in pixels.

    Raises:
        MissingExtraError: See :func:`build_baseline`.
    """
    from torch.utils.flop_counter import FlopCounterMode

    network = build_baseline(facts, seed=0).eval().to("meta")  # shapes only: nothing is computed
    image = torch.zeros(1, facts.image_channels, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return int(counter.get_total_flops()) // 2


def _body(facts: NetworkFacts) -> nn.Module:
    name, channels = facts.name, facts.image_channels
    if name in TORCHVISION:
        return _from_torchvision(TORCHVISION[name], channels, facts.num_classes)
    if name in TIMM:
        return _from_timm(TIMM[name], channels, facts.num_classes)
    if name in LPIENET_WIDTHS:
        return LPIENet(channels, LPIENET_WIDTHS[name])
    return DnCNN(channels) if name == "dncnn" else FFDNet(channels)


def _from_torchvision(name: str, channels: int, num_classes: int | None) -> nn.Module:
    from torchvision import models  # slow to import

    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes)
    path, first = next(
        (path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d)
    )
    if first.in_channels != channels:
        network.set_submodule(path, _for_channels(first, channels))
    return network


def _for_channels(first: nn.Conv2d, channels: int) -> nn.Conv2d:
    """Return a first convolution for other images, initialised as torchvision does."""
    kernel_px = first.kernel_size[0]
    conv = nn.Conv2d(
        channels,
        first.out_channels,
        kernel_px,
        stride=first.stride[0],
        padding=kernel_px // 2,
        bias=first.bias is not None,
    )
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _from_timm(name: str, channels: int, num_classes: int | None) -> nn.Module:
    network: nn.Module = _timm().create_model(
        name, pretrained=False, in_chans=channels, num_classes=num_classes
    )
    unfuse_norms(network)
    return network


def _timm() -> Any:  # timm ships no types
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "this baseline comes from timm, which is not installed", "install it: pip install timm"
        ) from error
    return timm


def unfuse_norms(network: nn.Module) -> None:
    """Split timm's modules of a batch normalisation and an activation into two modules.

    Training on several processes replaces batch normalisations by synchronised ones, and would
    drop the activations with them.

    Args:
        network: The network; it is changed in place and computes the same.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d) and hasattr(child, "act"):
                module.register_module(name, _unfused(child))


def _unfused(norm: nn.BatchNorm2d) -> nn.Sequential:
    plain = nn.BatchNorm2d(
        norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=norm.affine
    )
    plain.load_state_dict(norm.state_dict())
    parts = [plain, getattr(norm, "drop", nn.Identity()), getattr(norm, "act", nn.Identity())]
    return nn.Sequential(*(part for part in parts if not isinstance(part, nn.Identity)))
