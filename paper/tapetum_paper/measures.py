"""Readers of results: means over the noise levels, or one level."""

from collections.abc import Callable

from tapetum.scores import ScoreRow
from tapetum_paper.plan import CellResult

__all__ = ["accuracy_percent", "at_sigma", "mean_of"]


def mean_of(value: Callable[[ScoreRow], float | None]) -> Callable[[CellResult], float | None]:
    """Return a reader of the mean over the noise levels."""

    def read(done: CellResult) -> float | None:
        return None if done.result.scores is None else value(done.result.scores.mean)

    return read


def at_sigma(
    sigma: float, value: Callable[[ScoreRow], float | None]
) -> Callable[[CellResult], float | None]:
    """Return a reader of one noise level."""

    def read(done: CellResult) -> float | None:
        scores = done.result.scores
        row = None if scores is None else scores.at_sigma(sigma)
        return None if row is None else value(row)

    return read


def accuracy_percent(row: ScoreRow) -> float | None:
    """Return the accuracy in percent; ``None`` for a denoiser."""
    return None if row.accuracy is None else 100 * row.accuracy
