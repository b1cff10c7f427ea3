"""What every block owes: shape, gradients, save and load, both strides, odd sizes."""

import pytest
import safetensors.torch
import torch

from tapetum.arch.spec import (
    Block,
    Conv,
    Downsample,
    FusedInvertedResidual,
    InvertedResidual,
    MaxPool,
    ResidualConv,
    size_after,
)
from tapetum.nn.blocks import ConvNorm, SqueezeExcite
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
        FusedInvertedResidual(
            in_channels=4, hidden_channels=10, out_channels=4, stride_px=stride_px, norm=norm
        ),
        FusedInvertedResidual(
            in_channels=4,
            hidden_channels=10,
            out_channels=5,
            squeeze_channels=3,
            kernel_px=5,
            stride_px=stride_px,
            norm=norm,
            activation="hard_swish",
        ),
    )
]
BLOCKS += [
    Downsample(in_channels=4, out_channels=6, kernel_px=kernel_px, norm=norm)
    for kernel_px in (2, 4)
    for norm in ("batch", "group", "none")
]
BLOCKS += [
    ResidualConv(channels=4, kernel_px=kernel_px, norm=norm, activation=activation)
    for kernel_px, activation in ((1, "relu"), (3, "hard_swish"), (5, "silu"))
    for norm in ("batch", "none")
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
    """State that is saved to a file and loaded elsewhere changes nothing."""
    one, two = build_block(block).eval(), build_block(block).eval()
    two.load_state_dict(safetensors.torch.load(safetensors.torch.save(one.state_dict())))
    image = torch.rand(1, 4, 9, 9)
    assert torch.equal(one(image), two(image))


@pytest.mark.parametrize("kind", [InvertedResidual, FusedInvertedResidual])
def test_a_silent_inverted_residual_is_the_identity(kind: type[InvertedResidual]) -> None:
    """With a projection of nothing, the input comes through unchanged."""
    block = kind(in_channels=4, hidden_channels=8, out_channels=4, norm="none")
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


@pytest.mark.parametrize("channels", [4, 16])
def test_a_residual_convolution_adds_its_input_before_the_activation(channels: int) -> None:
    """In training too, with either kernel of the batch norm, and leaves its input as it was."""
    module = build_block(ResidualConv(channels=channels))
    x = torch.randn(2, channels, 6, 5).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    filtered = torch.nn.functional.batch_norm(
        module.filter.conv(x), None, None, module.filter.norm.weight, training=True
    )
    torch.testing.assert_close(module(x), (x + filtered).relu())
    assert torch.equal(x, before)


def test_a_kernel_of_2_px_reads_each_place_once() -> None:
    """Every place of the input changes one place of the output, that of its own cell."""
    module = build_block(Downsample(in_channels=1, out_channels=1, norm="none", activation="none"))
    influence = torch.autograd.functional.jacobian(module, torch.rand(1, 1, 4, 6))[0, 0, :, :, 0, 0]
    for row, column in torch.cartesian_prod(torch.arange(4), torch.arange(6)).tolist():
        changed = influence[:, :, row, column].nonzero().tolist()
        assert changed == [[row // 2, column // 2]]


def test_a_kernel_of_4_px_reads_one_place_around_its_cell() -> None:
    """Its margin of 1 px lies on both sides."""
    block = Downsample(in_channels=1, out_channels=1, kernel_px=4, norm="none", activation="none")
    influence = torch.autograd.functional.jacobian(build_block(block), torch.rand(1, 1, 8, 8))
    read = influence[0, 0, 1, 2, 0, 0].nonzero()
    assert (read.amin(0).tolist(), read.amax(0).tolist()) == ([1, 3], [4, 6])


@pytest.mark.parametrize("kernel_px", [3, 5])
@pytest.mark.parametrize("groups", [1, 32])
def test_weights_beside_a_map_of_one_pixel_have_no_gradient(kernel_px: int, groups: int) -> None:
    """Whatever the memory held before: torch leaves it as it is in bf16, at stride 2."""
    middle = kernel_px // 2
    for _ in range(5):
        filter_ = ConvNorm(32, 32, kernel_px=kernel_px, stride_px=2, groups=groups, norm="none")
        x = torch.randn(32, 32, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            y = filter_(x)
        used = [torch.full((32 * 1_024 * k,), torch.nan) for k in range(1, 12)]
        del used  # its memory is given to the gradient
        y.float().square().sum().backward()
        gradient = filter_.conv.weight.grad
        assert gradient is not None
        assert gradient[..., middle, middle].abs().sum() > 0
        gradient[..., middle, middle] = 0.0
        assert not gradient.any()
