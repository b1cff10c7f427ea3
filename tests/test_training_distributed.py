"""Several processes learn what one process learns from the same batches."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn

from tapetum.errors import RunError, TrainingError
from tapetum.nn import build
from tapetum.search.result import SEARCHES
from tapetum.training import RUNS, Request, is_main_process
from tapetum.training.compute import Compute, SharedBatchNorm2d
from tiny_search import short_search
from tiny_training import (
    TINY_DATA,
    double_recipe,
    learn_in_double,
    tiny_architecture,
    tiny_recipe,
    tiny_train,
)

SCRIPT = Path(__file__).with_name("tiny_training.py")
RECIPE = tiny_recipe(
    epochs=1,
    batch_size=4,
    optimizer="sgd",
    learning_rate=0.01,
    ema_decay=0.5,
    clip_norm=1.0,
    balance="sampling",
    class_weights=(3.0, 1.0, 1.0, 0.5),
)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes did: two runs, ``double.safetensors``, the pace of each."""
    folder = tmp_path_factory.mktemp("together")
    RECIPE.write(folder / "recipe.json")
    options = ("--recipe", "recipe.json", "--architecture", "unet-s", "--timed", "timed")
    more = ("--double", "double.safetensors", "--pace", "pace")
    run_two((sys.executable, str(SCRIPT), "run", *options, *more), folder)
    return folder


def run_two(command: Sequence[str], folder: Path) -> None:
    """Runs two processes that train as one, without a third one that loads torch to start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        for process in started:
            _, faults = process.communicate()
            assert process.returncode == 0, faults
    finally:
        for process in started:
            process.kill()


@pytest.fixture
def alone() -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one(together: Path, tmp_path: Path) -> None:
    """A training with batch norm, in two processes, ends as in one with the same batches."""
    tiny_train(tmp_path / "run", RECIPE, tiny_architecture("unet-s"))
    weights = safetensors.torch.load_file(tmp_path / "run" / "weights.safetensors")
    assert _distance(weights, build(tiny_architecture("unet-s"), seed=0).state_dict()) > 1e-2
    theirs = safetensors.torch.load_file(together / "run" / "weights.safetensors")
    assert _distance(weights, theirs) < 1e-5
    assert RUNS.open(together / "run").result().num_processes == 2


@pytest.mark.slow
def test_two_processes_and_one_take_the_same_steps(together: Path) -> None:
    """In double precision even Adam's steps agree to 1e-9, so nothing but rounding differs."""
    weights = learn_in_double(double_recipe())
    theirs = safetensors.torch.load_file(together / "double.safetensors")
    assert _distance(weights, theirs) < 1e-9


@pytest.mark.slow
def test_the_main_process_decides_when_the_time_is_over(together: Path) -> None:
    """Of two clocks the main one counts, and one process alone would take the same steps."""
    result = RUNS.open(together / "timed").result()
    assert (result.num_processes, result.training_seconds) == (2, 8.0)
    assert result.steps == 13


@pytest.mark.slow
def test_processes_agree_on_the_pace_of_the_main_one(together: Path) -> None:
    """So all of them choose the same default length."""
    first, second = ((together / f"pace.{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert float(first) > 0


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    """A search with the same batches, up to rounding."""
    run_two((sys.executable, str(SCRIPT), "run", "--search", "search"), tmp_path)
    ours, theirs = short_search(tmp_path / "one"), SEARCHES.open(tmp_path / "search").result()
    assert theirs.choices == ours.choices
    for one, other in zip(ours.epochs, theirs.epochs, strict=True):
        assert one.means == pytest.approx(other.means, rel=1e-3)
        for path, probabilities in one.probabilities.items():
            assert probabilities == pytest.approx(other.probabilities[path], rel=1e-3)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("momentum", [0.1, None])
def test_shared_batch_norm_alone_is_batch_norm(momentum: float | None) -> None:
    """With one process: equal outputs, gradients and running statistics."""
    norm = nn.BatchNorm2d(3, momentum=momentum)
    shared = SharedBatchNorm2d.like(nn.BatchNorm2d(3, momentum=momentum))
    for _ in range(2):
        x = torch.randn(4, 3, 5, 6) * 3 + 1
        expected, found = _through(norm, x), _through(shared, x)
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(shared.eval()(x), norm.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("alone")
def test_shared_batch_norm_keeps_half_precision() -> None:
    """The output has the input's precision; the statistics are those of float32."""
    shared = SharedBatchNorm2d.like(nn.BatchNorm2d(2))
    assert shared(torch.randn(4, 2, 8, 8).bfloat16()).dtype == torch.bfloat16
    assert shared.running_var is not None
    assert shared.running_var.dtype == torch.float32


def test_shared_batch_norms_replace_every_one_and_keep_the_names() -> None:
    """Weights of one process fit several, and the other way round."""
    network = build(tiny_architecture(), seed=0)
    state = network.state_dict()
    compute = Compute()
    compute.num_processes = 2
    compute.share_batch_norms(network)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(norm, SharedBatchNorm2d) for norm in norms)
    assert network.state_dict().keys() == state.keys()
    assert all(network.state_dict()[name].equal(state[name]) for name in state)


def test_one_process_keeps_its_batch_norms() -> None:
    """Nothing changes where nothing is shared."""
    network = build(tiny_architecture(), seed=0)
    Compute().share_batch_norms(network)
    assert not any(isinstance(module, SharedBatchNorm2d) for module in network.modules())


def test_processes_that_do_not_train_together_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that would train apart, each on everything, are refused."""
    Compute()
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="2 processes were started but 1 train together"):
        is_main_process()


def test_starting_a_run_makes_or_opens_its_folder(tmp_path: Path) -> None:
    """A new run is made, a started one is opened to resume, and not made twice."""
    request = Request(architecture=tiny_architecture(), recipe=RECIPE, data=TINY_DATA)
    with Compute().work(RUNS, tmp_path / "run", request) as started:
        (started.path / "weights").touch()
    with Compute().work(RUNS, tmp_path / "run", request, resume=True) as again:
        assert again == started
    with pytest.raises(RunError, match="already contains a run"):
        Compute().work(RUNS, tmp_path / "run", request).__enter__()
    with Compute().work(RUNS, tmp_path / "other", request, resume=True) as other:
        assert other.request == request


def _through(norm: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Output and gradients of a function that treats no two values alike."""
    x = x.clone().requires_grad_()
    y = norm(x)
    (y * torch.linspace(0, 1, y.numel()).view_as(y).sin()).sum().backward()
    gradients = [x.grad, *(parameter.grad for parameter in norm.parameters())]
    norm.zero_grad()
    return (y.detach(), *(gradient for gradient in gradients if gradient is not None))


def _distance(weights: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    assert weights.keys() == others.keys()
    return max(float((weights[name] - others[name]).abs().max()) for name in weights)
