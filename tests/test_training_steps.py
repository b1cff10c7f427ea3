"""A training that is counted in steps instead of epochs."""

import csv
import json
from pathlib import Path

import pytest

from tapetum.records import parse_json
from tapetum.training import RUNS, Length, Recipe, load_network
from tapetum.training.length import MOST_EPOCHS
from tapetum.training.optimize import learning_rate_factor
from tiny_training import Squares, StoppedError, stop_at, tiny_recipe, tiny_train

STEPS_PER_PASS = 4  # of the tiny training: sixteen images, batches of four


def _counted(steps: int) -> Recipe:
    return tiny_recipe(
        steps=steps, schedule="one-cycle", warmup=0.3, ema_decay=0.9, recalibration_batches=2
    )


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("per_pass", [1, 2, 3, 39, 40, 41, 700])
@pytest.mark.parametrize("steps", [1, 2, 39, 40, 41, 79, 999, 5_000])
def test_epochs_divide_the_steps_without_a_rest(steps: int, per_pass: int) -> None:
    """Epochs follow each other, end with the last step, are whole passes, and are few."""
    length = Length.of(tiny_recipe(steps=steps), per_pass)
    ends = [0, *(length.end_of(epoch) for epoch in range(length.epochs))]
    assert ends == sorted(set(ends))
    assert ends[-1] == steps == length.total_steps
    assert all(end % per_pass == 0 for end in ends[:-1])
    assert length.epochs <= MOST_EPOCHS
    assert length.place(steps - 1)[0] == length.passes - 1


def test_a_training_ends_after_its_steps_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    """Ten steps of four a pass make two whole epochs and half of one, which is validated too."""
    result = tiny_train(tmp_path / "run", _counted(10))
    assert result.steps == 10
    assert [int(row["step"]) for row in _rows(tmp_path / "run")] == [4, 8, 10]
    assert load_network(tmp_path / "run").architecture.num_classes == 4


def test_as_many_steps_as_epochs_learn_the_same(tmp_path: Path) -> None:
    """Two epochs and their eight steps end with the same weights, bit by bit."""
    tiny_train(tmp_path / "epochs", tiny_recipe(epochs=2, schedule="cosine"))
    steps = 2 * STEPS_PER_PASS
    tiny_train(tmp_path / "steps", tiny_recipe(epochs=7, steps=steps, schedule="cosine"))
    first, second = (tmp_path / name / "weights.safetensors" for name in ("epochs", "steps"))
    assert first.read_bytes() == second.read_bytes()


def test_the_schedule_spans_the_steps(tmp_path: Path) -> None:
    """The last rate is that of the last of ten steps, not of the epochs that were cut."""
    recipe = _counted(10)
    tiny_train(tmp_path / "run", recipe)
    expected = recipe.learning_rate * learning_rate_factor(recipe, 9, total_steps=10)
    assert float(_rows(tmp_path / "run")[-1]["learning_rate"]) == pytest.approx(expected)


@pytest.mark.parametrize("step", [2, 4, 9])
def test_a_stopped_training_resumes_to_the_same_bits(step: int, tmp_path: Path) -> None:
    """Before a checkpoint, at the end of an epoch, and in the cut epoch."""
    tiny_train(tmp_path / "whole", _counted(10))
    with pytest.raises(StoppedError):
        tiny_train(tmp_path / "stopped", _counted(10), progress=stop_at(step))
    tiny_train(tmp_path / "stopped", _counted(10), resume=True)
    first, second = (tmp_path / name / "weights.safetensors" for name in ("whole", "stopped"))
    assert first.read_bytes() == second.read_bytes()


def test_a_small_folder_is_validated_now_and_then(tmp_path: Path) -> None:
    """Ninety steps of two a pass make epochs of two passes, and each pass has its own order."""
    length = Length.of(tiny_recipe(steps=90), 2)
    assert (length.passes_per_epoch, length.epochs) == (2, 23)
    recipe = tiny_recipe(steps=90, batch_size=8)
    tiny_train(tmp_path / "run", recipe)
    assert len(Squares(16)) // recipe.batch_size == 2
    assert [int(row["step"]) for row in _rows(tmp_path / "run")] == [*range(4, 92, 4), 90]


def test_a_run_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its request knows no steps; epochs decide."""
    tiny_train(tmp_path / "run", tiny_recipe(epochs=1))
    request = tmp_path / "run" / "request.json"
    values = parse_json(request.read_bytes(), source="request")
    assert values["recipe"].pop("steps") is None
    now = RUNS.open(tmp_path / "run").request
    request.write_text(json.dumps(values))
    old = RUNS.open(tmp_path / "run").request
    assert old == now
    assert (old.recipe.steps, old.recipe.duration) == (None, "1 epoch")


def test_epochs_that_are_asked_for_replace_the_steps_of_a_recipe() -> None:
    """Otherwise they would have no effect, and nothing would say so."""
    recipe = tiny_recipe(steps=1_200)
    assert recipe.duration == "1,200 steps"
    assert recipe.adjusted(epochs=3).duration == "3 epochs"
    assert recipe.adjusted(epochs=3, steps=5).duration == "5 steps"
    assert recipe.adjusted(batch_size=8).duration == "1,200 steps"
