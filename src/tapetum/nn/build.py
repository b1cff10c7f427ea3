"""Build torch modules from architectures."""

import math

import torch
from torch import nn

from tapetum.arch import spec
from tapetum.nn.blocks import ConvNorm, InvertedResidual, ResidualConv
from tapetum.nn.heads import Classifier
from tapetum.nn.network import Network
from tapetum.nn.unet import Decoder, DecoderLevel, Encoder
from tapetum.nn.upsampling import NearestConv, PixelShuffle, TransposedConvUp

__all__ = ["build", "build_block", "build_up"]

FIRST_IMAGE_SCALE = 0.1
FIRST_REST_SCALE = 0.01  # beside the noisy image that a gate lets through
FIRST_GATE = 4.0  # its sigmoid is 0.98


def build(architecture: spec.Architecture, *, seed: int) -> Network:
    """Build the network of an architecture, with fresh weights.

    Args:
        architecture: The architecture.
        seed: Equal seeds give equal weights; torch's global generator is not changed.

    Returns:
        A network in training mode, on the CPU, in float32.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(
            architecture,
            encoder=_build_encoder(architecture),
            decoder=_build_decoder(architecture.decoder),
            classifier=_build_classifier(architecture),
        )
        _initialise(network)
    return network


def build_block(block: spec.Block) -> nn.Module:
    """Build the module of a block, with torch's default weights."""
    arguments = block.model_dump(exclude={"kind"})
    match block:
        case spec.Conv():
            return ConvNorm(**arguments)
        case spec.ResidualConv():
            return ResidualConv(**arguments)
        case spec.InvertedResidual():
            return InvertedResidual(**arguments)
        case spec.FusedInvertedResidual():
            return InvertedResidual(**arguments, is_fused=True)
        case spec.Downsample():
            return ConvNorm(**arguments, stride_px=block.stride_px)
        case spec.MaxPool():
            return nn.MaxPool2d(block.size_px)


def build_up(up: spec.Up) -> nn.Module:
    """Build the module of an upsampling layer, with torch's default weights."""
    channels = (up.in_channels, up.out_channels)
    match up:
        case spec.TransposedConv():
            return TransposedConvUp(*channels)
        case spec.NearestConv():
            return NearestConv(*channels)
        case spec.PixelShuffle():
            return PixelShuffle(*channels)


def _build_blocks(blocks: tuple[spec.Block, ...]) -> nn.Sequential:
    return nn.Sequential(*map(build_block, blocks))


def _build_encoder(architecture: spec.Architecture) -> Encoder | None:
    if not architecture.encoder:
        return None
    return Encoder([_build_blocks(level.blocks) for level in architecture.encoder])


def _build_decoder(decoder: spec.Decoder | None) -> Decoder | None:
    if decoder is None:
        return None
    levels = [
        DecoderLevel(
            build_up(level.up),
            _build_blocks(level.blocks),
            skip_level=level.skip_level,
            join=level.join,
        )
        for level in decoder.levels
    ]
    output = nn.Identity() if decoder.output is None else build_block(decoder.output)
    return Decoder(_build_blocks(decoder.blocks), levels, output)


def _build_classifier(architecture: spec.Architecture) -> Classifier | None:
    classifier = architecture.classifier
    if classifier is None:
        return None
    region = classifier.region
    return Classifier(
        _build_blocks(classifier.blocks),
        pooling=classifier.pooling,
        features=classifier.features,
        hidden_features=classifier.hidden_features,
        num_classes=classifier.num_classes,
        box_px=region.size_px if isinstance(region, spec.Boxes) else None,
        stride_px=architecture.stride_px if classifier.source == "encoder" else 1,
    )


def _initialise(network: Network) -> None:
    """Initialise every convolution as proposed by He et al., and the projection small.

    If the first images are far beyond [0, 1], the last activations of the decoder die and never
    recover. The projection to an image therefore begins small. Where a decoder has no output layer,
    its last upsampling is this projection. A gate, which is one of its channels, begins open and
    the rest even smaller, so that the first images are nearly the noisy ones.

    References:
        Delving Deep into Rectifiers (He et al., 2015), https://arxiv.org/abs/1502.01852
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(module, nn.ConvTranspose2d):
            # Kernel 2 at stride 2: each output place sees one weight of every input channel.
            nn.init.normal_(module.weight, std=math.sqrt(1 / module.in_channels))
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    if network.decoder is not None:
        projection = _projection(network.decoder)
        with torch.no_grad():
            for parameter in projection.parameters():
                parameter.mul_(FIRST_REST_SCALE if network.is_gated else FIRST_IMAGE_SCALE)
            if network.is_gated:
                # One bias for each channel, or four in a row that a pixel shuffle arranges.
                bias = projection.get_parameter("bias")
                bias.view(network.architecture.image_channels + 1, -1)[-1] = FIRST_GATE


def _projection(decoder: Decoder) -> nn.Module:
    """Return the last layer with weights: without an output layer it makes the image."""
    return [layer for layer in decoder.modules() if any(True for _ in layer.parameters(False))][-1]
