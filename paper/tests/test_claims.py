"""Laws of the claims: a sign is not enough, and each names rows that its table has."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tapetum_paper import Scale
from tapetum_paper.claims import CONTROLLED, SEARCHED, Claim, claims_table
from tapetum_paper.controlled import table_1
from tapetum_paper.plan import Experiment, Measure, Outcome


def value_of(done: Any) -> float:
    """What a made-up result holds."""
    return float(done.value)


def made_up(scale: Scale) -> Experiment:
    """Table 1 with a measure that takes made-up results."""
    return replace(table_1(scale), measures=(Measure("PSNR dB", 2, value_of),))


CLAIM = Claim(made_up, "one is better", "Integrated, reduced", "Sequential, reduced", "PSNR dB")


def told(integrated: Sequence[float], sequential: Sequence[float]) -> tuple[str, ...]:
    """The line of the claim where the seeds have these values."""
    experiment = made_up(Scale.small)
    rows = {row.title: row for row in experiment.rows}
    results: Any = {
        cell.slug: SimpleNamespace(value=value, is_of_old_search=False)
        for title, values in ((CLAIM.better, integrated), (CLAIM.worse, sequential))
        for cell, value in zip(rows[title].cells, values, strict=False)
    }
    table = claims_table([CLAIM], [Outcome(experiment, results)], Scale.small)
    (line,) = table.rows
    return line


def test_a_claim_holds_beyond_twice_the_standard_error() -> None:
    """The difference is told with that error, beside the paper's."""
    line = told([26.0, 27.0, 28.0], [20.0, 21.0, 22.0])
    assert line == ("one is better", "PSNR dB", "+4.7", "+6.00 ± 0.82", "3 and 3", "holds")


@pytest.mark.parametrize(
    ("integrated", "sequential", "verdict"),
    [
        ([20.0, 21.0, 22.0], [26.0, 27.0, 28.0], "does not hold"),
        ([20.0, 21.0, 22.0], [19.5, 20.5, 21.5], "cannot be told"),
        ([20.0, 21.0, 22.0], [19.0], "holds in one seed"),
        ([18.0], [19.0], "does not hold in one seed"),
        ([18.0], [], "not run"),
        ([], [], "not run"),
    ],
)
def test_what_is_less_sure_says_so(
    integrated: list[float], sequential: list[float], verdict: str
) -> None:
    """A single seed tells a sign, and two sides that overlap tell nothing."""
    assert told(integrated, sequential)[-1] == verdict


@pytest.mark.parametrize("claim", [*CONTROLLED, *SEARCHED], ids=lambda claim: claim.says)
@pytest.mark.parametrize("scale", [Scale.small, Scale.paper])
def test_a_claim_is_of_its_table(claim: Claim, scale: Scale) -> None:
    """Rows and column are there, and where the paper prints both sides, it prints that order."""
    experiment = claim.experiment(scale)
    assert claim.measure in {measure.title for measure in experiment.measures}
    sides = claim.sides(experiment)
    assert all(sides)
    better, worse = ([row.printed.get(claim.measure) for row in rows] for rows in sides)
    if None not in better and None not in worse:
        assert min(filter(None, better)) > max(filter(None, worse))


def test_outcomes_of_another_scale_do_not_count() -> None:
    """Small and paper never share a line."""
    small, paper = (Outcome(made_up(scale), {}) for scale in (Scale.small, Scale.paper))
    assert claims_table([CLAIM], [small, paper], Scale.paper).rows == (
        ("one is better", "PSNR dB", "+4.7", "-", "0 and 0", "not run"),
    )
