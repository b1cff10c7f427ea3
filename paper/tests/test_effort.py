"""The expected effort: what is finished costs nothing, and shared searches are counted once."""

from pathlib import Path

import pytest

from tapetum_paper import ALL, Experiment, Scale
from tapetum_paper.effort import Effort, expected_effort
from tapetum_paper.results import result_path
from tapetum_paper.searching import table_4, table_6


def effort_of(experiment: Experiment, results: Path) -> Effort:
    """The effort of a whole experiment."""
    return expected_effort(experiment, experiment.cells, results=results, data_root=None)


def test_searches_are_counted_once(tmp_path: Path) -> None:
    """Networks of several decoders share the search of their encoder."""
    effort = effort_of(table_6(Scale.smoke), tmp_path)
    assert (effort.num_trainings, effort.num_searches) == (4, 1)
    assert effort.hours > 0
    assert effort.gigabytes > 0


def test_what_is_finished_costs_nothing(tmp_path: Path) -> None:
    """A result file is enough."""
    experiment = table_4(Scale.smoke)
    first, *others = experiment.cells
    path = result_path(tmp_path, experiment.scale, first)
    path.parent.mkdir(parents=True)
    path.touch()
    assert effort_of(experiment, tmp_path).num_trainings == len(others)


@pytest.mark.slow
@pytest.mark.parametrize("make", ALL)
def test_every_experiment_can_be_estimated(make: object, tmp_path: Path) -> None:
    """Whatever its networks look like."""
    effort = effort_of(make(Scale.smoke), tmp_path)  # type: ignore[operator]
    assert "on this machine" in str(effort)
