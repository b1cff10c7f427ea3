"""The trainable form of a baseline: a published network behind the contract of our own.

Classifiers come from torchvision and timm, which are loaded when one is built; denoisers are
written here (:mod:`~tapetum_paper.baselines.dncnn`, :mod:`~tapetum_paper.baselines.ffdnet`, :mod:`~tapetum_paper.baselines.lpienet`).
Weights are always fresh: nothing is downloaded, and comparisons start from the same place.
"""

from typing import Any

import torch
from jaxtyping import Float
from tapetum_paper.baselines.dncnn import DnCNN
from tapetum_paper.baselines.ffdnet import FFDNet
from tapetum_paper.baselines.known import Baseline
from tapetum_paper.baselines.lpienet import LPIENet
from torch import Tensor, nn

from tapetum.errors import MissingExtraError
from tapetum.nn.network import Outputs

__all__ = ["BaselineNetwork", "baseline_multiply_adds", "baseline_parameters", "build_baseline"]

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


class BaselineNetwork(nn.Module):
    """A published network that answers as :class:`~tapetum.nn.network.Network` does.

    Made by :func:`build_baseline`.

    Args:
        baseline: Which one, kept for whoever asks what this network is.
        body: From noisy images to denoised ones, or to logits.
    """

    def __init__(self, baseline: Baseline, body: nn.Module) -> None:
        super().__init__()
        self.architecture = baseline
        self.body = body

    def forward(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Outputs:
        """Denoises or names.

        Args:
            noisy: Images of any size, range [0, 1] before the noise.
            boxes: Looked at by no baseline: whoever has boxes cannot train a classifier with them, and
                a denoiser needs none.
        """
        del boxes
        output: Tensor = self.body(noisy)
        return Outputs(output, None) if self.architecture.denoises else Outputs(None, output)

    def label(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Tensor | None:
        """The logits, (b, classes); ``None`` of a denoiser, without running it.

        Args:
            noisy: As in :meth:`forward`.
            boxes: As there.
        """
        return self.forward(noisy, boxes).logits if self.architecture.classifies else None


def build_baseline(baseline: Baseline, *, seed: int) -> BaselineNetwork:
    """Builds the network that ``baseline`` names, with fresh weights.

    Args:
        baseline: Which one.
        seed: Equal seeds give equal weights; torch's global generator is left as it was.

    Returns:
        A network in training mode, on the CPU, float32.

    Raises:
        MissingExtraError: It comes from a library that is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BaselineNetwork(baseline, _body(baseline))


def baseline_parameters(baseline: Baseline) -> int:
    """Trainable numbers of the network.

    Raises:
        MissingExtraError: As in :func:`build_baseline`.
    """
    return sum(weight.numel() for weight in build_baseline(baseline, seed=0).parameters())


def baseline_multiply_adds(baseline: Baseline, height: int, width: int) -> int:
    """Multiply-adds for one image: half of the operations that torch's own counter sees.

    Args:
        baseline: Which one.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Raises:
        MissingExtraError: As in :func:`build_baseline`.
    """
    from torch.utils.flop_counter import FlopCounterMode

    network = (
        build_baseline(baseline, seed=0).eval().to("meta")
    )  # shapes alone: nothing is computed
    image = torch.zeros(1, baseline.image_channels, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return int(counter.get_total_flops()) // 2


def _body(baseline: Baseline) -> nn.Module:
    channels = baseline.image_channels
    if baseline.name in TORCHVISION:
        return _from_torchvision(TORCHVISION[baseline.name], channels, baseline.num_classes)
    if baseline.name in TIMM:
        return _from_timm(TIMM[baseline.name], channels, baseline.num_classes)
    if baseline.name in LPIENET_WIDTHS:
        return LPIENet(channels, LPIENET_WIDTHS[baseline.name])
    return DnCNN(channels) if baseline.name == "dncnn" else FFDNet(channels)


def _from_torchvision(name: str, channels: int, num_classes: int | None) -> nn.Module:
    from torchvision import models  # slow to import, and needed by few

    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes)
    path, first = next(
        (path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d)
    )
    if first.in_channels != channels:
        network.set_submodule(path, _for_channels(first, channels))
    return network


def _for_channels(first: nn.Conv2d, channels: int) -> nn.Conv2d:
    """A first convolution for other images, initialised as torchvision does."""
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


def _timm() -> Any:  # not everybody has it, nor its types
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "this baseline comes from timm, which is not installed",
            "install it: pip install 'tapetum[baselines]'",
        ) from error
    return timm


def unfuse_norms(network: nn.Module) -> None:
    """Takes the activations out of batch normalisations, which timm makes one module of the two.

    Training on several processes exchanges batch normalisations by shared ones, and the
    activations would go with them.

    Args:
        network: Changed in place; it computes what it did.
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
