"""The plan of a fit fits into the time that was given, or says how much is needed."""

import re

import pytest

from tapetum.errors import InputError
from tapetum.jobs.plan import Minutes, fitted

MINUTES = Minutes(timing=1, race=10, training=10, controls=20, scoring=1, export=1)


def test_a_plan_without_a_limit_is_not_changed() -> None:
    """Nor one that is shorter than the limit: nothing is made longer."""
    for total in (None, 43, 100):
        assert fitted(MINUTES, 400, total) == (MINUTES, None)


@pytest.mark.parametrize("total", [8, 13, 23, 42])
def test_race_and_trainings_are_shortened_alike(total: float) -> None:
    """Everything takes the time that was given, and the steps of a training follow its share."""
    minutes, steps = fitted(MINUTES, 400, total)
    assert minutes.total == pytest.approx(total)
    assert minutes.fixed == MINUTES.fixed
    assert minutes.race == minutes.training == pytest.approx(minutes.controls / 2)
    assert steps == int(400 * minutes.training / MINUTES.training)


def test_the_least_time_that_is_named_is_enough() -> None:
    """A tenth of race and trainings; anything below is refused."""
    with pytest.raises(InputError, match="is too short") as refused:
        fitted(MINUTES, 400, 6.9)
    found = re.search(r"give ([0-9.]+) minutes", refused.value.remedy)
    assert found is not None
    least = float(found[1])
    assert fitted(MINUTES, 400, least)[0].total <= least
    assert least == pytest.approx(7, abs=0.1)
