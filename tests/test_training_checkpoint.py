"""Checkpoints: one file, written in one step, read back bit by bit."""

import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from tapetum.errors import RunError
from tapetum.training.checkpoint import (
    EpochRow,
    Position,
    fits_or_refused,
    read_checkpoint,
    read_tensors,
    read_weights,
    with_prefix,
    write_checkpoint,
    write_tensors,
)

TENSORS = {
    "network.weight": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "network.count": torch.tensor(7),
    "optimizer.0.step": torch.tensor(1.5),
}


def _position() -> Position[EpochRow]:
    position = Position[EpochRow](num_images=16)
    position = position.after_step({"loss": 0.1}, seconds=0.5)
    position = position.after_step({"loss": 0.2}, seconds=0.5)
    return position.after_epoch(_row(position, 1 / 3), seconds=0.5)


def _row(position: Position[EpochRow], loss: float) -> EpochRow:
    return EpochRow(
        epoch=position.epoch + 1,
        step=position.step,
        learning_rate=1e-3,
        train=position.means(),
        validation={"loss": loss},
        seconds=0.0,
    )


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Tensors and numbers come back in every bit, infinity too; the order in memory is plain."""
    position = _position().model_copy(update={"settings": {"best": math.inf, "rate": 0.1 + 0.2}})
    write_checkpoint(tmp_path / "state.safetensors", TENSORS, position)
    tensors, found = read_checkpoint(tmp_path / "state.safetensors", Position[EpochRow])
    assert found == position
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.equal(TENSORS[name])
        assert tensor.is_contiguous()


def test_steps_and_epochs_move_the_position() -> None:
    """Losses are averaged over the epoch's steps, and the best epoch is remembered."""
    position = _position()
    (row,) = position.rows
    assert (row.epoch, row.step, row.seconds) == (1, 2, 1.5)
    assert row.train == {"loss": pytest.approx(0.15)}
    assert (position.epoch, position.step_in_epoch, position.sums) == (1, 0, {})
    worse = position.after_step({"loss": 0.1}, seconds=0.0)
    worse = worse.after_epoch(_row(worse, 0.5), seconds=0.0)
    assert worse.best_epoch == 1


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\xff" * 64])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """With a sentence that names the file."""
    file = tmp_path / "last.safetensors"
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"last\.safetensors cannot be read"):
        read_checkpoint(file, Position[EpochRow])
    with pytest.raises(RunError, match="cannot be read"):
        read_checkpoint(tmp_path / "missing.safetensors", Position[EpochRow])


def test_foreign_weights_are_no_checkpoint(tmp_path: Path) -> None:
    """A safetensors file of someone else is refused."""
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(RunError, match="is not a checkpoint of Tapetum"):
        read_checkpoint(tmp_path / "x.safetensors", Position[EpochRow])


def test_the_average_is_preferred_to_the_weights(tmp_path: Path) -> None:
    """Weights to look at are the averaged ones where there are such."""
    file = tmp_path / "state.safetensors"
    write_checkpoint(file, TENSORS, Position[EpochRow]())
    assert read_weights(file).keys() == {"weight", "count"}
    write_checkpoint(file, {**TENSORS, "average.weight": torch.zeros(1)}, Position[EpochRow]())
    assert read_weights(file).keys() == {"weight"}
    assert with_prefix(TENSORS, "optimizer.").keys() == {"0.step"}


def test_no_damage_goes_through(tmp_path: Path) -> None:
    """With any byte changed, or the end cut off, the file is refused or reads as before."""
    file = tmp_path / "state.safetensors"
    write_checkpoint(file, TENSORS, _position())
    whole, kind = file.read_bytes(), Position[EpochRow]
    before = read_checkpoint(file, kind)
    generator = np.random.default_rng(0)
    for place in (*range(0, len(whole), 7), *range(len(whole) - 30, len(whole))):
        damaged = bytearray(whole)
        damaged[place] ^= int(generator.integers(1, 256))
        for content in (bytes(damaged), whole[:place]):
            file.write_bytes(content)
            try:
                tensors, position = read_checkpoint(file, kind)
            except RunError:
                continue
            assert position == before[1]
            assert all(tensors[name].equal(tensor) for name, tensor in before[0].items())


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"weight": torch.zeros(1)},
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": torch.zeros(1)},
    ],
    ids=len,
)
def test_values_of_another_network_are_one_sentence(
    changed: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """Missing, unknown and misshapen tensors, in a file that is whole."""
    file = tmp_path / "weights.safetensors"
    write_tensors(file, changed)
    state, _ = read_tensors(file)
    with pytest.raises(RunError, match="do not fit this network"), fits_or_refused(file):
        torch.nn.Linear(3, 2).load_state_dict(state)
