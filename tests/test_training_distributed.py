"""Several processes learn what one process learns from the same batches."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.distributed as dist
from tiny_training import tiny_architecture, tiny_recipe, tiny_train
from torch import Tensor, nn

from tapetum.errors import DataError, RunError
from tapetum.nn import build
from tapetum.training import Recipe, Request, start_run
from tapetum.training.distributed import SharedBatchNorm2d, share_batch_norms

SCRIPT = Path(__file__).with_name("tiny_training.py")
TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def _train_with_two(run: Path, recipe: Recipe) -> None:
    file = run.with_suffix(".recipe.json")
    recipe.write(file)
    command = [sys.executable, *TWO_PROCESSES, str(SCRIPT), str(run), "--recipe", str(file)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def _largest_difference(run: Path, other: Path) -> float:
    weights = safetensors.torch.load_file(run / "weights.safetensors")
    others = safetensors.torch.load_file(other / "weights.safetensors")
    assert weights.keys() == others.keys()
    return max(float((weights[name] - others[name]).abs().max()) for name in weights)


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """Two processes end with the weights of one that has the same global batch, to 1e-5."""
    recipe = tiny_recipe(optimizer="sgd", learning_rate=0.05, ema_decay=0.9, clip_norm=1.0)
    _train_with_two(tmp_path / "two", recipe)
    result = tiny_train(tmp_path / "one", recipe)
    fresh = build(tiny_architecture(), seed=recipe.seed).state_dict()
    learnt = safetensors.torch.load_file(tmp_path / "one" / "weights.safetensors")
    assert max(float((learnt[name] - fresh[name]).abs().max()) for name in fresh) > 1e-2
    assert _largest_difference(tmp_path / "two", tmp_path / "one") < 1e-5
    assert result.num_processes == 1
