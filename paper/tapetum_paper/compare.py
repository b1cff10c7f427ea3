"""Comparison with the paper: one table for the terminal and for documents."""

import statistics
from collections.abc import Sequence

from tapetum.report import content
from tapetum_paper.plan import CellResult, Measure, Outcome, Row, Spread, spread

__all__ = ["NOT_RUN", "comparison"]

NOT_RUN = "not run"


def comparison(outcome: Outcome) -> content.Table | None:
    """Return a table of the paper's values, ours, and the difference.

    Args:
        outcome: Results of a table, or of a figure with numbers; missing values say "not run".

    Returns:
        ``None`` for a figure without numbers.
    """
    experiment = outcome.experiment
    if not experiment.measures:
        return None
    rows: list[tuple[str, ...]] = []
    for row in experiment.rows:
        rows += _lines(experiment.measures, row, outcome)
    header = ("network", "", *(measure.title for measure in experiment.measures), "trained")
    return content.Table(title=experiment.title, header=header, rows=tuple(rows))


def _lines(measures: Sequence[Measure], row: Row, outcome: Outcome) -> list[tuple[str, ...]]:
    """Return the printed line, ours, and the difference, as far as they exist."""
    title, done = outcome.title(row), outcome.of(row)
    known = [spread([measure.read(one) for one in done]) for measure in measures]
    ours = tuple(
        _shown(found, measure) if found else measure.absent if done else NOT_RUN
        for found, measure in zip(known, measures, strict=True)
    )
    if not row.printed:
        return [(title, "here", *ours, _training(done))]
    printed = [row.printed.get(measure.title) for measure in measures]
    theirs = tuple("-" if value is None else f"{value}" for value in printed)
    lines = [(title, "paper", *theirs, ""), ("", "here", *ours, _training(done))]
    if done:
        differences = (
            "-" if found is None or value is None else f"{found.mean - value:+.{measure.digits}f}"
            for found, value, measure in zip(known, printed, measures, strict=True)
        )
        lines.append(("", "difference", *differences, ""))
    return lines


def _shown(found: Spread, measure: Measure) -> str:
    """Show the value, without a deviation if it is the same for every seed."""
    return (found._replace(deviation=None) if measure.is_counted else found).shown(measure.digits)


def _training(done: Sequence[CellResult]) -> str:
    """Return the effort of the training, such as ``6 epochs, 8 min, 3 seeds``."""
    if not done:
        return ""
    minutes = statistics.fmean(one.result.training_seconds / 60 for one in done)
    took = f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
    seeds = f"{len(done)} seeds" if len(done) > 1 else f"seed {done[0].cell.recipe.seed}"
    epochs = done[0].cell.recipe.epochs
    return f"{epochs} {'epoch' if epochs == 1 else 'epochs'}, {took}, {seeds}"
