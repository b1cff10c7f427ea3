"""The law of folding: one convolution does what two layers did."""

import numpy as np
import pytest
import torch
from torch import nn

from tapetum.graph.fold import fold_batch_norm, fold_identity


def test_the_folded_convolution_equals_both_layers() -> None:
    """Convolution and normalisation in a row equal the one that they are folded into."""
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8).eval()
    with torch.no_grad():
        for value in (norm.weight, norm.bias, norm.running_mean):
            value.normal_()
        norm.running_var.uniform_(0.1, 2)
    state = {key: value.numpy() for key, value in norm.state_dict().items()}
    weight, bias = fold_batch_norm(conv.weight.detach().numpy(), state)
    folded = nn.Conv2d(3, 8, 3)
    with torch.no_grad():
        folded.weight.copy_(torch.from_numpy(weight))
        folded.bias.copy_(torch.from_numpy(bias))
        image = torch.rand(1, 3, 9, 9)
        difference = (folded(image) - norm(conv(image))).abs().max().item()
    assert weight.dtype == bias.dtype == np.float32
    assert difference < 1e-5


@pytest.mark.parametrize("kernel_px", [1, 3, 5])
def test_the_folded_identity_adds_the_input(kernel_px: int) -> None:
    """One convolution is the sum of the image and the convolution before."""
    torch.manual_seed(0)
    weight = torch.randn(4, 4, kernel_px, kernel_px)
    before = weight.clone()
    folded = torch.from_numpy(fold_identity(weight.numpy()))
    image = torch.rand(1, 4, 9, 7)
    sums = image + nn.functional.conv2d(image, weight, padding="same")
    torch.testing.assert_close(nn.functional.conv2d(image, folded, padding="same"), sums)
    assert torch.equal(weight, before)
