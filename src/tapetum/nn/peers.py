"""The trainable form of a peer: a published network behind the contract of our own.

Classifiers come from torchvision and timm, which are loaded when one is built; denoisers are
written here (:mod:`~tapetum.nn.dncnn`, :mod:`~tapetum.nn.ffdnet`, :mod:`~tapetum.nn.lpienet`).
Weights are always fresh: nothing is downloaded, and comparisons start from the same place.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tapetum.arch.peers import Peer
from tapetum.errors import MissingExtraError
from tapetum.nn.dncnn import DnCNN
from tapetum.nn.ffdnet import FFDNet
from tapetum.nn.lpienet import LPIENet
from tapetum.nn.network import Outputs

__all__ = ["PeerNetwork", "build_peer", "peer_multiply_adds", "peer_parameters"]

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


class PeerNetwork(nn.Module):
    """A published network that answers as :class:`~tapetum.nn.network.Network` does.

    Made by :func:`build_peer`.

    Args:
        peer: Which one, kept for whoever asks what this network is.
        body: From noisy pictures to cleaned ones, or to logits.
    """

    def __init__(self, peer: Peer, body: nn.Module) -> None:
        super().__init__()
        self.architecture = peer
        self.body = body

    def forward(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Outputs:
        """Cleans or names.

        Args:
            noisy: Pictures of any size, range [0, 1] before the noise.
            boxes: Looked at by no peer: whoever has boxes cannot train a classifier with them, and
                a denoiser needs none.
        """
        del boxes
        output: Tensor = self.body(noisy)
        return Outputs(output, None) if self.architecture.cleans else Outputs(None, output)

    def label(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Tensor | None:
        """The logits, (b, classes); ``None`` of a denoiser, without running it.

        Args:
            noisy: As in :meth:`forward`.
            boxes: As there.
        """
        return self.forward(noisy, boxes).logits if self.architecture.names else None


def build_peer(peer: Peer, *, seed: int) -> PeerNetwork:
    """Builds the network that ``peer`` names, with fresh weights.

    Args:
        peer: Which one.
        seed: Equal seeds give equal weights; torch's global generator is left as it was.

    Returns:
        A network in training mode, on the CPU, float32.

    Raises:
        MissingExtraError: It comes from a library that is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PeerNetwork(peer, _body(peer))


def peer_parameters(peer: Peer) -> int:
    """Trainable numbers of the network.

    Raises:
        MissingExtraError: As in :func:`build_peer`.
    """
    return sum(weight.numel() for weight in build_peer(peer, seed=0).parameters())


def peer_multiply_adds(peer: Peer, height: int, width: int) -> int:
    """Multiply-adds for one picture: half of the operations that torch's own counter sees.

    Args:
        peer: Which one.
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.

    Raises:
        MissingExtraError: As in :func:`build_peer`.
    """
    from torch.utils.flop_counter import FlopCounterMode

    network = build_peer(peer, seed=0).eval().to("meta")  # shapes alone: nothing is computed
    picture = torch.zeros(1, peer.picture_channels, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(picture)
    return int(counter.get_total_flops()) // 2


def _body(peer: Peer) -> nn.Module:
    channels = peer.picture_channels
    if peer.name in TORCHVISION:
        return _from_torchvision(TORCHVISION[peer.name], channels, peer.num_classes)
    if peer.name in TIMM:
        return _from_timm(TIMM[peer.name], channels, peer.num_classes)
    if peer.name in LPIENET_WIDTHS:
        return LPIENet(channels, LPIENET_WIDTHS[peer.name])
    return DnCNN(channels) if peer.name == "dncnn" else FFDNet(channels)


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
    """A first convolution for other pictures, initialised as torchvision does."""
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
            "this peer comes from timm, which is not installed",
            "install it: pip install 'tapetum[peers]'",
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
