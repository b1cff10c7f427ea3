"""What every block owes: shape, gradients, save and load, both strides, odd sizes."""

import pytest
import torch

from tapetum.arch.spec import Block, Conv, InvertedResidual, MaxPool, size_after
from tapetum.nn.blocks import SqueezeExcite
from tapetum.nn.build import build_block

BLOCKS: list[Block] = [
    block
    for stride_px in (1, 2)
    for norm in ("batch", "group", "none")
    for block in (
        Conv(in_channels=4, out_channels=6, stride_px=stride_px, norm=norm, activation="silu"),
        InvertedResidual(
            in_channels=4, hidden_channels=10, out_channels=4, stride_px=stride_px, norm=norm
        ),
        InvertedResidual(
            in_channels=4,
            hidden_channels=10,
            out_channels=4,
            squeeze_channels=3,
            stride_px=stride_px,
            norm=norm,
            activation="silu",
        ),
    )
]


@pytest.mark.parametrize("block", [*BLOCKS, MaxPool()], ids=str)
@pytest.mark.parametrize("size_px", [8, 13])
def test_a_block_returns_the_size_that_its_description_says(block: Block, size_px: int) -> None:
    """Strides and odd sizes are as the description computes them."""
    expected = size_after([block], size_px)
    result = build_block(block)(torch.rand(2, 4, size_px, size_px))
    assert result.shape[2:] == (expected, expected)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_parameter_gets_a_finite_gradient(block: Block) -> None:
    """No weight is cut off from the loss."""
    module = build_block(block)
    module(torch.rand(2, 4, 9, 9)).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or name.endswith("conv.bias"), name


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_loaded_weights_give_the_same_output(block: Block) -> None:
    """State that is saved and loaded elsewhere changes nothing."""
    one, two = build_block(block).eval(), build_block(block).eval()
    two.load_state_dict(one.state_dict())
    image = torch.rand(1, 4, 9, 9)
    assert torch.equal(one(image), two(image))


def test_a_silent_inverted_residual_is_the_identity() -> None:
    """With a projection of nothing, the input comes through unchanged."""
    block = InvertedResidual(in_channels=4, hidden_channels=8, out_channels=4, norm="none")
    module = build_block(block)
    with torch.no_grad():
        for parameter in module.project.parameters():
            parameter.zero_()
    image = torch.rand(1, 4, 9, 9)
    assert torch.equal(module(image), image)


def test_a_depthwise_filter_keeps_channels_apart() -> None:
    """Each hidden channel of the filter depends on its own input channel alone."""
    block = InvertedResidual(in_channels=3, hidden_channels=3, out_channels=5, norm="none")
    depthwise = build_block(block).depthwise
    jacobian = torch.autograd.functional.jacobian(
        lambda x: depthwise.conv(x).sum(dim=(0, 2, 3)), torch.rand(1, 3, 5, 5)
    )
    influence = jacobian.abs().sum(dim=(1, 3, 4))
    assert torch.equal(influence > 0, torch.eye(3, dtype=torch.bool))


def test_a_squeeze_and_excitation_multiplies_whole_channels() -> None:
    """Each channel is multiplied by one number from 0 to 1, the same at every place."""
    x = torch.rand(2, 5, 7, 6) + 0.1
    ratio = SqueezeExcite(5, 2, activation="relu")(x) / x
    assert torch.allclose(ratio, ratio[..., :1, :1].expand_as(ratio))
    assert ((ratio > 0) & (ratio < 1)).all()
