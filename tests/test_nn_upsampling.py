"""The law of the transposed convolution: the numbers and the state of torch's own."""

import pytest
import torch
from torch import nn

from tapetum.nn.upsampling import TransposedConvUp


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
