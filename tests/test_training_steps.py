"""A training that is counted in steps instead of epochs."""

import csv
from pathlib import Path

import pytest

from tapetum.errors import InputError
from tapetum.training import Length, Recipe, load_network
from tapetum.training.length import MOST_ROUNDS
from tapetum.training.optimize import learning_rate_factor
from tiny_training import StoppedError, stop_at, tiny_recipe, tiny_train

STEPS_PER_PASS = 4  # of the tiny training: sixteen images, batches of four


def _counted(steps: int) -> Recipe:
    return tiny_recipe(
        steps=steps, schedule="one-cycle", warmup=0.3, ema_decay=0.9, recalibration_batches=2
    )


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("held_out", [5, 100, 1_000])
@pytest.mark.parametrize("steps", [1, 2, 39, 40, 41, 79, 999, 5_000])
def test_epochs_divide_the_steps_without_a_rest(steps: int, held_out: int) -> None:
    """Epochs follow each other, end with the last step, and are neither many nor very few."""
    length = Length.of(tiny_recipe(steps=steps, validation_images=1_000), 3, held_out=held_out)
    ends = [0, *(length.end_of(epoch) for epoch in range(length.epochs))]
    assert ends == sorted(set(ends))
    assert ends[-1] == steps == length.total_steps
    assert min(steps, 5) <= length.epochs <= MOST_ROUNDS


def test_a_training_ends_after_its_steps_in_the_middle_of_a_pass(tmp_path: Path) -> None:
    """Eleven steps of four a pass are taken and validated, the last one too."""
    result = tiny_train(tmp_path / "run", _counted(11))
    assert result.steps == 11
    assert [int(row["step"]) for row in _rows(tmp_path / "run")] == [3, 6, 9, 11]
    assert load_network(tmp_path / "run").architecture.num_classes == 4


def test_as_many_steps_as_epochs_learn_the_same(tmp_path: Path) -> None:
    """Two epochs and their eight steps end with the same weights, bit by bit."""
    tiny_train(tmp_path / "epochs", tiny_recipe(epochs=2, schedule="cosine"))
    steps = 2 * STEPS_PER_PASS
    tiny_train(tmp_path / "steps", tiny_recipe(steps=steps, schedule="cosine"))
    first, second = (tmp_path / name / "weights.safetensors" for name in ("epochs", "steps"))
    assert first.read_bytes() == second.read_bytes()


def test_the_schedule_spans_the_steps(tmp_path: Path) -> None:
    """The last rate is that of the last of ten steps, not of the epochs that were cut."""
    recipe = _counted(10)
    tiny_train(tmp_path / "run", recipe)
    expected = recipe.learning_rate * learning_rate_factor(recipe, 9, total_steps=10)
    assert float(_rows(tmp_path / "run")[-1]["learning_rate"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    "step", [4, *(pytest.param(step, marks=pytest.mark.slow) for step in (2, 9))]
)
def test_a_stopped_training_resumes_to_the_same_bits(step: int, tmp_path: Path) -> None:
    """Before a checkpoint, before a validation, and at the end."""
    recipe = _counted(10).adjusted(half_size=0.4)
    tiny_train(tmp_path / "whole", recipe)
    with pytest.raises(StoppedError):
        tiny_train(tmp_path / "stopped", recipe, progress=stop_at(step))
    tiny_train(tmp_path / "stopped", recipe, resume=True)
    first, second = (tmp_path / name / "weights.safetensors" for name in ("whole", "stopped"))
    assert first.read_bytes() == second.read_bytes()


def test_a_training_begins_on_images_of_half_the_size() -> None:
    """Of a hundred steps 73 take 40 % of the time, as each takes a quarter; the rate follows it."""
    recipe = _counted(100).adjusted(half_size=0.4, batch_size=10)
    length = Length.of(recipe, STEPS_PER_PASS, held_out=1)
    assert length.half_steps == 73
    assert length.share_after(73, 0.0) == pytest.approx(0.4, abs=0.01)
    assert length.share_after(100, 0.0) == 1
    assert 73 / length.at_pace(73) == pytest.approx(0.4, abs=0.01)
    assert length.at_pace(100) == 100
    validated = 0.35 * length.epochs * length.validation_images / 10
    mean_s = 0.27 + 0.73 / 4  # of a step, where one of full size takes a second
    assert length.seconds(mean_s, 10) == pytest.approx(100 * mean_s + validated)


@pytest.mark.parametrize("trained", [500, 3_000, 30_000, 300_000])
@pytest.mark.parametrize("held_out", [20, 360, 5_000])
def test_validation_is_a_small_part_of_a_training(trained: int, held_out: int) -> None:
    """A tenth at most, where an image takes 0.35 of its time in training, and as much as there is.

    At one second an image.
    """
    recipe = tiny_recipe(steps=trained // 10, batch_size=10, validation_images=1_000)
    length = Length.of(recipe, 7, held_out=held_out)
    validation_s = 0.35 * length.epochs * length.validation_images
    assert validation_s <= 0.1 * trained
    assert length.validation_images == min(held_out, 1_000) or validation_s > 0.08 * trained
    assert length.seconds(10.0, batch_size=10) == pytest.approx(trained + validation_s)


def test_many_epochs_share_a_validation_where_nothing_depends_on_it() -> None:
    """A run of 240 passes has twenty rows; a plateau and the best weights need each of them."""
    assert Length.of(tiny_recipe(epochs=240), 2).epochs == 20
    assert Length.of(tiny_recipe(epochs=20), 2).epochs == 20
    for change in ({"schedule": "plateau"}, {"keep": "best"}):
        assert Length.of(tiny_recipe(epochs=240, **change), 2).epochs == 240


def test_a_recipe_without_a_length_takes_forty_passes_or_a_thousand_steps() -> None:
    """Ninety images in batches of 32 would be eighty steps."""
    recipe = tiny_recipe(epochs=None)
    assert Length.of(recipe, 2).total_steps == 1_000
    assert Length.of(recipe, 26).total_steps == 1_040
    assert recipe.duration == "40 passes, 1,000 steps at least"


def test_a_length_that_is_asked_for_replaces_that_of_a_recipe() -> None:
    """Otherwise they would have no effect, and nothing would say so."""
    recipe = tiny_recipe(steps=1_200)
    assert recipe.duration == "1,200 steps"
    assert recipe.adjusted(epochs=3).duration == "3 epochs"
    assert recipe.adjusted(minutes=1).adjusted(steps=5).duration == "5 steps"
    assert recipe.adjusted(minutes=2.5).duration == "2.5 minutes"
    assert recipe.adjusted(batch_size=8).duration == "1,200 steps"


def test_two_lengths_are_refused() -> None:
    """One of them would have no effect."""
    with pytest.raises(InputError, match="minutes and epochs are two lengths"):
        tiny_recipe().adjusted(minutes=1, epochs=2)
