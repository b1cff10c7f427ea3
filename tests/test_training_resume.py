"""A training that was killed ends as one that was not."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kills import kill_everywhere
from tapetum.errors import InterruptedTrainingError, RunError
from tapetum.training import Recipe, load_network
from tapetum.training.checkpoint import EpochRow, Position, read_checkpoint, read_weights
from tapetum.training.run import BEST, LAST
from tapetum.training.trainer import _Training
from tiny_training import StoppedError, resumable_recipe, stop_at, tiny_recipe, tiny_train

SCRIPT = Path(__file__).with_name("tiny_training.py")


def _kill(run: Path, *options: str) -> None:
    """Starts a training as a process of its own, in which it dies."""
    ended = subprocess.run([sys.executable, str(SCRIPT), str(run), *options], check=False)
    assert ended.returncode == -signal.SIGKILL


def _table(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def _assert_same(run: Path, other: Path) -> None:
    """Weights, checkpoints and table agree in every bit; wall times aside."""
    assert (run / "weights.safetensors").read_bytes() == (
        other / "weights.safetensors"
    ).read_bytes()
    assert _table(run) == _table(other)
    for name in ("last", "best"):
        file = f"checkpoints/{name}.safetensors"
        tensors, _ = read_checkpoint(run / file, Position[EpochRow])
        others, _ = read_checkpoint(other / file, Position[EpochRow])
        assert tensors.keys() == others.keys()
        assert all(tensors[key].equal(others[key]) for key in tensors)


def _files(run: Path) -> set[str]:
    return {str(file.relative_to(run)) for file in run.rglob("*") if "tfevents" not in file.name}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody killed."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    tiny_train(path, resumable_recipe())
    return path


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path, undisturbed: Path) -> None:
    """After a SIGKILL in the middle of an epoch, a resumed run ends as one never killed."""
    run = tmp_path / "run"
    _kill(run, "--die-at", "8")
    _, position = read_checkpoint(run / LAST, Position[EpochRow])
    assert position.step == 8 - 8 % 3 or position.step_in_epoch == 0
    tiny_train(run, resumable_recipe(), resume=True)
    _assert_same(run, undisturbed)
    assert _files(run) == _files(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("file", range(1, 16))
def test_a_kill_at_any_file_corrupts_nothing(file: int, tmp_path: Path, undisturbed: Path) -> None:
    """Whichever file is being written when the kill comes, the run ends as one never killed."""
    run = tmp_path / "run"
    _kill(run, "--die-while-writing", str(file))
    tiny_train(run, resumable_recipe(), resume=True)
    assert not list(run.rglob("*.part"))
    _assert_same(run, undisturbed)


@pytest.mark.slow
def test_a_kill_at_any_step_of_the_file_system_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first folder to the result; the resumed run has every file and the same weights."""
    recipe = tiny_recipe(epochs=1, checkpoint_every_steps=2)
    whole = tmp_path / "whole"
    tiny_train(whole, recipe)
    deaths = kill_everywhere(lambda n: tiny_train(tmp_path / f"run{n}", recipe), monkeypatch)
    assert deaths > 7
    for death in range(deaths):
        run = tmp_path / f"run{death}"
        if not (run / "result.json").exists():
            tiny_train(run, recipe, resume=True)
        _assert_same(run, whole)
        assert _files(run) == _files(whole)


@pytest.mark.parametrize(
    "recipe",
    [
        tiny_recipe(optimizer="sgd", schedule="plateau", plateau_patience=0, plateau_factor=0.5),
        tiny_recipe(optimizer="adam", schedule="cosine", warmup=0.2, precision="bf16"),
    ],
    ids=["sgd-plateau", "adam-cosine-bf16"],
)
@pytest.mark.parametrize("step", [2, 7])
def test_every_optimizer_and_schedule_resumes_to_the_same_bits(
    recipe: Recipe, step: int, tmp_path: Path
) -> None:
    """It does not matter where a run stops, nor whether there was a checkpoint yet."""
    tiny_train(tmp_path / "whole", recipe)
    with pytest.raises(StoppedError):
        tiny_train(tmp_path / "stopped", recipe, progress=stop_at(step))
    tiny_train(tmp_path / "stopped", recipe, resume=True)
    _assert_same(tmp_path / "stopped", tmp_path / "whole")


def test_ctrl_c_keeps_every_step(tmp_path: Path, undisturbed: Path) -> None:
    """The step that is under way is finished and kept, and the message says how to go on."""
    before = signal.getsignal(signal.SIGINT)  # ignored in a job of the background
    run = tmp_path / "run"

    def interrupt(done: int, total: int, message: str) -> None:
        del total, message
        if done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedTrainingError, match=r"interrupted after step 5 of 12.*--resume"):
        tiny_train(run, resumable_recipe(), progress=interrupt)
    assert read_checkpoint(run / LAST, Position[EpochRow])[1].step == 5
    assert signal.getsignal(signal.SIGINT) is before
    tiny_train(run, resumable_recipe(), resume=True)
    _assert_same(run, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_last_validation_ends_the_run(
    number: int, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells the signal; the run that continues has nothing left but its end."""
    end_epoch = _Training.end_epoch

    def end_and_signal(training: _Training, position: Position[EpochRow]) -> EpochRow:
        if position.step == 12:
            os.kill(os.getpid(), number)
        return end_epoch(training, position)

    with monkeypatch.context() as patch:
        patch.setattr(_Training, "end_epoch", end_and_signal)
        with pytest.raises(InterruptedTrainingError, match="after step 12 of 12") as stopped:
            tiny_train(tmp_path / "run", resumable_recipe())
    assert stopped.value.signal_number == number
    tiny_train(tmp_path / "run", resumable_recipe(), resume=True)
    _assert_same(tmp_path / "run", undisturbed)


def test_a_finished_run_is_not_resumed(undisturbed: Path) -> None:
    """Resuming a finished run says that it is finished."""
    with pytest.raises(RunError, match="is finished"):
        tiny_train(undisturbed, resumable_recipe(), resume=True)


def test_another_request_is_not_resumed(tmp_path: Path) -> None:
    """Resuming with another recipe is refused, and the fields that differ are named."""
    with pytest.raises(StoppedError):
        tiny_train(tmp_path / "run", tiny_recipe(), progress=stop_at(5))
    with pytest.raises(RunError, match=r"recipe\.seed was 0, is 1.*recipe\.epochs was 2, is 3"):
        tiny_train(tmp_path / "run", tiny_recipe(epochs=3, seed=1), resume=True)


def test_an_unfinished_run_has_weights_to_look_at(tmp_path: Path) -> None:
    """A stopped run has no final weights, but those of its checkpoints."""
    with pytest.raises(StoppedError):
        tiny_train(tmp_path / "run", tiny_recipe(), progress=stop_at(5))
    with pytest.raises(RunError, match="--resume"):
        load_network(tmp_path / "run")
    best, last = (read_weights(tmp_path / "run" / name) for name in (BEST, LAST))
    assert all(best[name].equal(value) for name, value in last.items())
