"""The law of the quick normalisation: the numbers and the state of torch's own."""

import pytest
import torch
from torch import Tensor, nn

from tapetum.nn.norm import RowBatchNorm2d


def twins(channels: int) -> tuple[RowBatchNorm2d, nn.BatchNorm2d]:
    """Both kinds with the same parameters, none of them at its default."""
    ours, torchs = RowBatchNorm2d(channels), nn.BatchNorm2d(channels)
    with torch.no_grad():
        torchs.weight.uniform_(0.5, 2)
        torchs.bias.normal_()
        torchs.running_mean.normal_()
    ours.load_state_dict(torchs.state_dict())
    return ours, torchs


def images(channels: int, height: int, width: int) -> Tensor:
    """Values away from zero mean and unit variance, channels last in memory."""
    values = 3 * torch.randn(4, channels, height, width, dtype=torch.float64).float() + 2
    return values.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [1, 3, 8, 12, 16, 27])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 7), (1, 4)])
def test_it_is_torchs_batch_norm(channels: int, height: int, width: int) -> None:
    """Output, gradients and running statistics are equal up to rounding."""
    torch.manual_seed(0)
    ours, torchs = twins(channels)
    x = images(channels, height, width)
    gradient = torch.randn_like(x)
    found = []
    for norm in (ours, torchs):
        given = x.clone(memory_format=torch.preserve_format).requires_grad_()
        result = norm(given)
        result.backward(gradient)
        found.append((result, given.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_way_through_rows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few channels, last in memory, in training: torch's own way is not called."""

    def fail(*_: Tensor) -> Tensor:
        raise AssertionError("torch's own way")

    monkeypatch.setattr(nn.BatchNorm2d, "forward", fail)
    norm = RowBatchNorm2d(8)
    assert norm(images(8, 6, 6)).shape == (4, 8, 6, 6)
    for wrong in (images(16, 6, 6), images(8, 6, 6).contiguous()):
        with pytest.raises(AssertionError, match="torch's own way"):
            RowBatchNorm2d(wrong.shape[1])(wrong)


def test_the_layout_is_kept() -> None:
    """Channels stay last, forth and back, so that no neighbour has to copy."""
    x = images(8, 6, 6).requires_grad_()
    result = RowBatchNorm2d(8)(x)
    result.sum().backward()
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


def test_the_result_can_be_activated_in_place() -> None:
    """As every block does; the gradient then stops where the activation does."""
    x = images(8, 6, 6).requires_grad_()
    result = torch.relu_(RowBatchNorm2d(8)(x))
    result.sum().backward()
    assert x.grad.isfinite().all()


def test_bf16_images_stay_bf16() -> None:
    """Under autocast the parameters are float32 and the images are not."""
    ours, torchs = twins(8)
    x = images(8, 6, 6).bfloat16()
    result = ours(x)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result, torchs(x), rtol=2e-2, atol=2e-2)


def test_the_gradient_is_the_true_one() -> None:
    """Finite differences agree, in double precision."""
    norm = RowBatchNorm2d(3).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    assert torch.autograd.gradcheck(norm, (x,))


@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("channels", [8, 16])
def test_fewer_channels_are_the_first_ones(channels: int, *, is_training: bool) -> None:
    """The same as a layer of just those channels, and only their statistics move."""
    wide, narrow = RowBatchNorm2d(24), RowBatchNorm2d(channels)
    with torch.no_grad():
        wide.weight.uniform_(0.5, 1.5)
        wide.bias.uniform_(-1, 1)
        narrow.weight.copy_(wide.weight[:channels])
        narrow.bias.copy_(wide.bias[:channels])
    wide.train(is_training)
    narrow.train(is_training)
    x = torch.randn(3, channels, 6, 5).to(memory_format=torch.channels_last)
    torch.testing.assert_close(wide(x), narrow(x), rtol=1e-4, atol=1e-5)
    assert wide.running_mean is not None
    torch.testing.assert_close(wide.running_mean[:channels], narrow.running_mean)
    assert not wide.running_mean[channels:].any()


def test_without_momentum_statistics_are_the_plain_average() -> None:
    """As in torch, on the way through rows too."""
    ours, torchs = RowBatchNorm2d(6, momentum=None), nn.BatchNorm2d(6, momentum=None)
    for _ in range(3):
        x = torch.randn(4, 6, 5, 5).to(memory_format=torch.channels_last)
        ours(x)
        torchs(x)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, name), getattr(torchs, name), rtol=1e-4, atol=1e-5)
