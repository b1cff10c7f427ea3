"""Batch statistics estimated anew: a plain average, kept where it is no worse."""

from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from tapetum.nn import reestimate_statistics
from tapetum.training import RUNS
from tapetum.training.run import WEIGHTS, Recalibration
from tiny_training import tiny_architecture, tiny_recipe, tiny_train

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Normed(nn.Module):
    """A normalisation that takes images and boxes as a network does."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, noisy: torch.Tensor, boxes: torch.Tensor | None) -> torch.Tensor:
        """Normalises the images."""
        del boxes
        normed: torch.Tensor = self.norm(noisy)
        return normed


def test_new_statistics_are_the_mean_over_batches() -> None:
    """Each batch counts alike, whatever had passed before, and the momentum stays."""
    network, generator = Normed(), torch.Generator().manual_seed(0)
    images = [torch.randn(4, 1, 8, 8, generator=generator) + shift for shift in (0.0, 1.0, 5.0)]
    network(images[2], None)
    reestimate_statistics(network, [(noisy, None) for noisy in images[:2]])
    wanted = torch.stack([noisy.mean() for noisy in images[:2]]).mean()
    assert torch.allclose(network.norm.running_mean, wanted)
    assert network.norm.momentum == nn.BatchNorm2d(1).momentum
    assert not network.training


def test_recalibrating_changes_statistics_and_nothing_else(tmp_path: Path) -> None:
    """The same training with and without ends with the same learnt weights."""
    plain = _trained(tmp_path / "plain", recalibration_batches=0)
    again = _trained(tmp_path / "again", recalibration_batches=3)
    found = RUNS.open(tmp_path / "again").result().recalibration
    assert RUNS.open(tmp_path / "plain").result().recalibration is None
    assert found is not None
    assert found.is_kept == (found.loss_after <= found.loss_before)
    changed = {name for name, value in plain.items() if not value.equal(again[name])}
    assert all(name.endswith(STATISTICS) for name in changed)
    assert bool(changed) == found.is_kept


def test_worse_statistics_are_not_kept() -> None:
    """Only a loss that is no higher speaks for the new ones."""
    assert Recalibration(loss_before=0.5, loss_after=0.5).is_kept
    assert not Recalibration(loss_before=0.5, loss_after=0.51).is_kept


def _trained(path: Path, **changes: int) -> dict[str, torch.Tensor]:
    tiny_train(path, tiny_recipe(ema_decay=0.9, **changes), tiny_architecture("unet-s"))
    return safetensors.torch.load_file(path / WEIGHTS)
