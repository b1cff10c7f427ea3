"""Recipes are data: they can be stored, changed and refused."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tapetum.errors import InputError
from tapetum.losses import EQUATION_1
from tapetum.noise import PAPER_SIGMAS, generator_for
from tapetum.search import choose_search_recipe
from tapetum.training.recipe import PUBLISHED, QUICK, RECIPES, Recipe
from tiny_training import tiny_recipe


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    """Every named recipe is the same after it was written and read."""
    assert Recipe.from_json(recipe.to_json(), source="a test") == recipe


def test_the_published_recipe_is_the_papers() -> None:
    """Adam at 1e-3, plateau, 100 epochs, equation 1, the eleven sigmas (paper, section 3)."""
    assert (PUBLISHED.optimizer, PUBLISHED.learning_rate) == ("adam", 1e-3)
    assert (PUBLISHED.schedule, PUBLISHED.epochs) == ("plateau", 100)
    assert PUBLISHED.loss == EQUATION_1
    assert PUBLISHED.noise.levels == PAPER_SIGMAS


def test_recipes_are_found_by_name() -> None:
    """A known name gives its recipe; an unknown one names the nearest."""
    assert Recipe.named("quick") == QUICK
    with pytest.raises(InputError, match="did you mean 'quick'"):
        Recipe.named("quick-one")


def test_adjusting_changes_what_was_asked_and_checks_it() -> None:
    """A change is validated like a recipe that was written by hand."""
    assert QUICK.adjusted(epochs=3).epochs == 3
    assert QUICK.adjusted(epochs=3).learning_rate == QUICK.learning_rate
    with pytest.raises(InputError, match=r"batch_size: .*epochs: .*greater than 0"):
        QUICK.adjusted(epochs=0, batch_size=1)
    with pytest.raises(InputError, match="no 'epoch'; did you mean 'epochs'"):
        QUICK.adjusted(epoch=3)


@pytest.mark.parametrize(
    "fields",
    [{"schedule": "one-cycle", "warmup": 0.0}, {"schedule": "plateau", "warmup": 0.1}],
)
def test_options_that_contradict_each_other_are_refused(fields: dict[str, object]) -> None:
    """A warm-up belongs to a one-cycle schedule, and not to a plateau."""
    with pytest.raises(ValidationError, match="warmup"):
        tiny_recipe(**fields)


def test_bf16_is_kept_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not compute in bf16 gets the same recipe in fp32."""
    monkeypatch.setattr("tapetum.training.recipe.bf16_pays", lambda: True)
    assert QUICK.suited() == QUICK
    monkeypatch.setattr("tapetum.training.recipe.bf16_pays", lambda: False)
    assert QUICK.suited() == QUICK.adjusted(precision="fp32")
    assert PUBLISHED.suited() == PUBLISHED


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_channels_stand_last_only_where_gradients_are_right(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On MPS batch normalisations err with channels last, in trainings as in searches."""
    found = None if kind == "cpu" else torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: found)
    assert QUICK.channels_last
    assert QUICK.adjusted(precision="fp32").suited().channels_last == (kind != "mps")
    assert choose_search_recipe("swift").channels_last == (kind != "mps")
    assert not PUBLISHED.suited().channels_last


def test_the_default_training_shows_weak_noise_and_none() -> None:
    """A third of its images has less noise than 0.05, and at least a tenth has none."""
    plan = Recipe.named("images").noise
    generator = generator_for(0)
    sigmas = np.array([plan.draw(generator).sigma for _ in range(2000)])
    assert np.mean(sigmas == 0) >= 0.08
    assert np.mean(sigmas < 0.05) >= 0.33


@pytest.mark.parametrize(
    ("steps", "times"),
    [(1000, None), (960, None), (918, "1.1"), (400, "2.5"), (300, "4"), (1, "1000")],
)
def test_a_short_training_is_told_how_much_longer_it_has_to_be(
    steps: int, times: str | None
) -> None:
    """Rounded up; one that ends by the clock a little early is not called short."""
    told = Recipe.too_few(steps)
    assert (f"give it about {times} times as many minutes" in told) if times else not told
