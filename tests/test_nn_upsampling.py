"""Laws of the ways to double a map, and of the transposed convolution, which equals torch's."""

import pytest
import torch
from torch import nn

from tapetum.arch.spec import NearestConv, PixelShuffle, TransposedConv, Up
from tapetum.nn.build import build_up
from tapetum.nn.upsampling import TransposedConvUp

UPS = [kind(in_channels=3, out_channels=2) for kind in (TransposedConv, NearestConv, PixelShuffle)]


@pytest.mark.parametrize("up", UPS, ids=lambda up: up.kind)
def test_every_way_to_double_learns_and_is_kept(up: Up) -> None:
    """Odd sizes double, each parameter gets a finite gradient, and loaded weights give the same."""
    one, two = build_up(up), build_up(up)
    x = torch.rand(2, 3, 5, 7)
    y = one(x)
    assert y.shape == (2, 2, 10, 14)
    y.square().sum().backward()
    gradients = [parameter.grad for parameter in one.parameters()]
    assert len(gradients) == 2
    assert all(bool(g.isfinite().all() and g.abs().sum() > 0) for g in gradients)
    two.load_state_dict(one.state_dict())
    assert torch.equal(two(x), y)


@pytest.mark.parametrize("up", UPS, ids=lambda up: up.kind)
def test_a_place_reaches_no_farther_than_its_kernel(up: Up) -> None:
    """Its own 2 x 2 places, and one more around them where a filter follows."""
    module, x = build_up(up), torch.zeros(1, 3, 5, 5)
    before = module(x)
    x[..., 2, 2] = 1
    rows = (module(x) != before).nonzero()[:, 2:]
    margin = 1 if isinstance(up, NearestConv) else 0
    assert int(rows.min()) == 4 - margin
    assert int(rows.max()) == 5 + margin


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("before", "after", "side"), [(12, 8, 6), (3, 5, 7), (1, 1, 1)])
def test_it_is_torchs_transposed_convolution(
    before: int, after: int, side: int, layout: torch.memory_format
) -> None:
    """Output and all three gradients are equal up to rounding."""
    torch.manual_seed(0)
    ours, torchs = TransposedConvUp(before, after), nn.ConvTranspose2d(before, after, 2, stride=2)
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(4, before, side, side).contiguous(memory_format=layout)
    gradient = torch.randn(4, after, 2 * side, 2 * side).contiguous(memory_format=layout)
    found = []
    for layer in (ours, torchs):
        given = x.clone(memory_format=torch.preserve_format).requires_grad_()
        result = layer(given)
        result.backward(gradient)
        found.append((result, given.grad, layer.weight.grad, layer.bias.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_gradients_keep_the_type_of_what_they_belong_to() -> None:
    """Under autocast the layer computes in bf16, and its weights still get gradients in fp32."""
    layer = TransposedConvUp(3, 2)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    y.float().sum().backward()
    assert y.dtype is torch.bfloat16
    assert {x.grad.dtype, layer.weight.grad.dtype, layer.bias.grad.dtype} == {torch.float32}
