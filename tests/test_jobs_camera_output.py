"""The output of a denoiser, fitted again: exact where only its scale and offset are wrong."""

import copy

import pytest
import torch

from tapetum.arch import Architecture, Shape, find_architecture
from tapetum.jobs.camera import View
from tapetum.jobs.camera_output import _scale, fit_output
from tapetum.nn import Network, build
from tapetum.noise import Gaussian

SHAPE = Shape(widths=(8, 16), encoder_depths=(1, 1), decoder_depths=(1,))


def ended(**changes: object) -> Architecture:
    """A network whose decoder ends in some way."""
    shape = SHAPE.model_copy(update=changes)
    return shape.architecture("tiny", image_channels=3, num_classes=None)


ENDS = {
    "projection": find_architecture("unet-s", channels=3, num_classes=2, boxes=False),
    "gated": ended(),
    "transposed": ended(up="transposed_conv", gated=False),
    "nearest": ended(up="nearest_conv"),
    "full": ended(stem="full"),
}


@pytest.fixture(params=ENDS)
def network(request: pytest.FixtureRequest) -> Network:
    """A network whose decoder ends with random weights, in evaluation mode."""
    built = build(ENDS[request.param], seed=0).eval()
    assert isinstance(built, Network)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values in built.decoder.parameters():
            values.add_(0.1 * torch.randn(values.shape, generator=generator))
    return built


def view(noisy: torch.Tensor, clean: torch.Tensor | None) -> View:
    """An image of which windows alone are given."""
    return View(noisy[0], noisy, clean, "")


@torch.no_grad()
def test_the_last_convolution_scales_the_output(network: Network) -> None:
    """Each channel by its own scale and offset, and not what a gate adds."""
    noisy, shared = torch.rand(1, 3, 16, 16), copy.deepcopy(network)
    scale, offset = torch.tensor([0.5, 2.0, 3.0]), torch.tensor([0.1, 0.2, -0.3])
    _scale(shared, torch.zeros(3), torch.zeros(3))
    rest, added = network(noisy).image - shared(noisy).image, shared(noisy).image
    _scale(network, scale, offset)
    wanted = scale.view(-1, 1, 1) * rest + offset.view(-1, 1, 1) + added
    torch.testing.assert_close(network(noisy).image, wanted, rtol=1e-4, atol=1e-5)
    assert bool(added.abs().max() > 0) == network.is_gated


@torch.no_grad()
def test_a_wrong_scale_is_repaired(network: Network) -> None:
    """With the clean images, which are the outputs of the sound network, to the last digit."""
    noisy = torch.rand(4, 3, 16, 16)
    clean = network(noisy).image
    _scale(network, torch.tensor([0.5, 2.0, 3.0]), torch.tensor([0.1, 0.2, -0.3]))
    fit_output(network, [view(noisy, clean)], None, seed=0)
    torch.testing.assert_close(network(noisy).image, clean, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_noisy_images_alone_give_nearly_the_same_output() -> None:
    """The clean ones are only needed on average."""
    network = build(ENDS["projection"], seed=0).eval()
    assert isinstance(network, Network)
    generator, other = torch.Generator().manual_seed(0), copy.deepcopy(network)
    clean = 0.5 + 0.2 * torch.rand((8, 3, 16, 16), generator=generator)
    clean = torch.nn.functional.interpolate(clean, scale_factor=4)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    fit_output(network, [view(noisy, clean)], None, seed=0)
    fit_output(other, [view(noisy, None)], Gaussian(sigma=0.1), seed=0)
    gap = (network(noisy).image - other(noisy).image).square().mean()
    error = (network(noisy).image - clean).square().mean()
    assert gap.item() < 0.02 * error.item()
