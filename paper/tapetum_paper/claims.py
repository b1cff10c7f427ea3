r"""The claims of the paper about its tables, and whether they hold here.

A claim states that some rows of a table are better than others.  It holds if the means differ in
its favour by more than twice the standard error of the difference,

.. math::
    e = \sqrt{s_1^2 / n_1 + s_2^2 / n_2} ,

which needs two seeds on each side; a single seed only gives the sign.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from tapetum.report import content
from tapetum_paper.compare import NOT_RUN
from tapetum_paper.controlled import table_1, table_7
from tapetum_paper.plan import (
    Experiment,
    Measure,
    Outcome,
    Row,
    Scale,
    Spread,
    at_scale,
    spread,
)
from tapetum_paper.searching import (
    quality,
    table_2,
    table_3,
    table_4,
    table_5,
    table_6,
    table_10,
)

__all__ = ["CONTROLLED", "SEARCHED", "Claim", "claims_table"]

PSNR, ACCURACY = "PSNR dB", "accuracy %"
SURE = 2  # standard errors


class Claim(NamedTuple):
    """That some rows of a table are better than others.

    Attributes:
        experiment: The table.
        says: The claim in words.
        better: Title of a row, or a pattern of titles.
        worse: Title of a row, or a pattern of titles.
        measure: Title of a column in which more is better.
    """

    experiment: Callable[[Scale], Experiment]
    says: str
    better: str
    worse: str
    measure: str

    def sides(self, experiment: Experiment) -> tuple[list[Row], list[Row]]:
        """Return the rows that the claim calls better, and the other rows."""
        better, worse = (
            [row for row in experiment.rows if fnmatchcase(row.title, pattern)]
            for pattern in (self.better, self.worse)
        )
        return better, worse


CONTROLLED = (
    Claim(table_1, "Integrated denoises better (baseline)",
          "Integrated, baseline", "Sequential, baseline", PSNR),
    Claim(table_1, "Sequential classifies better (baseline)",
          "Sequential, baseline", "Integrated, baseline", ACCURACY),
    Claim(table_1, "Integrated denoises better (reduced)",
          "Integrated, reduced", "Sequential, reduced", PSNR),
    Claim(table_1, "Sequential classifies better (reduced)",
          "Sequential, reduced", "Integrated, reduced", ACCURACY),
    Claim(table_7, "MBConv classifies better than a convolution", "MB2.5-M", "Conv-M", ACCURACY),
)  # fmt: skip

SEARCHED = (
    Claim(quality, "the swift search finds a better classifier than a random choice",
          "swift search", "random, same latency", ACCURACY),
    Claim(quality, "the published search finds a better classifier than a random choice",
          "published search", "random, same latency", ACCURACY),
    Claim(quality, "the published search finds a better classifier than the swift one",
          "published search", "swift search", ACCURACY),
    Claim(table_10, "beta removed classifies better than learned",
          "beta removed*", "beta learned*", ACCURACY),
    Claim(table_2, "D-NAS M denoises better than UNet-S", "D-NAS M", "UNet-S", PSNR),
    Claim(table_3, "DC-NAS S classifies better than DC-Net S", "DC-NAS S", "DC-Net S", ACCURACY),
    Claim(table_3, "DC-NAS S denoises better than DC-Net S", "DC-NAS S", "DC-Net S", PSNR),
    Claim(table_3, "DC-NAS S denoises better than UNet-S", "DC-NAS S", "UNet-S", PSNR),
    Claim(table_3, "DC-NAS S classifies better than C-NAS S", "DC-NAS S", "C-NAS S", ACCURACY),
    Claim(table_3, "DC-NAS S classifies better than MobileNetV3 small",
          "DC-NAS S", "MobileNetV3 small", ACCURACY),
    Claim(table_3, "DC-NAS S classifies better than a DC-Net of the same latency (ours)",
          "DC-NAS S", "DC-Net, same latency as DC-NAS S", ACCURACY),
    Claim(table_3, "DC-NAS S denoises better than a DC-Net of the same latency (ours)",
          "DC-NAS S", "DC-Net, same latency as DC-NAS S", PSNR),
    Claim(table_3, "DC-NAS S denoises better than a UNet of the same latency (ours)",
          "DC-NAS S", "UNet, same latency as DC-NAS S", PSNR),
    Claim(table_3, "DC-NAS S classifies better than a random network (ours)",
          "DC-NAS S", "random, same latency as DC-NAS S", ACCURACY),
    Claim(table_3, "DC-NAS S classifies better than one of uniform width (ours)",
          "DC-NAS S", "uniform, same latency as DC-NAS S", ACCURACY),
    Claim(table_4, "a search on noisy images classifies better than on clean ones",
          "noisy images, labels", "clean images, labels", ACCURACY),
    Claim(table_4, "a search for labels alone classifies better than for both",
          "noisy images, labels", "noisy images, labels and image", ACCURACY),
    Claim(table_5, "Integrated denoises better than Sequential", "DC-NAS L", "DC-NAS_seq L", PSNR),
    Claim(table_6, "an MBConv decoder denoises better", "MBConv", "convolutions", PSNR),
)  # fmt: skip


def claims_table(
    claims: Sequence[Claim], outcomes: Sequence[Outcome], scale: Scale
) -> content.Table:
    """Return a table of claims with the printed difference, ours, and the verdict.

    Args:
        claims: The claims.
        outcomes: Results of every experiment of the claims.
        scale: Scale of the outcomes to use.
    """
    by_name = at_scale(outcomes, scale)
    rows = tuple(_line(claim, by_name[claim.experiment(scale).name]) for claim in claims)
    header = ("claim", "by", "paper", "here", "seeds", "verdict")
    return content.Table(title="What the paper claims", header=header, rows=rows)


def _line(claim: Claim, outcome: Outcome) -> tuple[str, ...]:
    experiment = outcome.experiment
    measure = next(one for one in experiment.measures if one.title == claim.measure)
    sides = claim.sides(experiment)
    theirs = [spread([row.printed.get(claim.measure) for row in rows]) for rows in sides]
    better, worse = ([*_values(outcome, rows, measure)] for rows in sides)
    here, verdict = _verdict(better, worse, digits=measure.digits)
    if any(outcome.is_old(row) for rows in sides for row in rows):
        verdict += " (old search)"
    seeds = f"{len(better)} and {len(worse)}"
    return (claim.says, claim.measure, _difference(*theirs, digits=1), here, seeds, verdict)


def _values(outcome: Outcome, rows: Sequence[Row], measure: Measure) -> Iterator[float]:
    """Yield one value for each seed."""
    for row in rows:
        for value in map(measure.read, outcome.of(row)):
            if value is not None:
                yield value


def _difference(better: Spread | None, worse: Spread | None, *, digits: int) -> str:
    return "-" if better is None or worse is None else f"{better.mean - worse.mean:+.{digits}f}"


def _verdict(better: Sequence[float], worse: Sequence[float], *, digits: int) -> tuple[str, str]:
    """Return the difference with its standard error, and the verdict."""
    first, second = spread(better), spread(worse)
    shown = _difference(first, second, digits=digits)
    if first is None or second is None:
        return shown, NOT_RUN
    difference = first.mean - second.mean
    verdict = "holds" if difference > 0 else "does not hold"
    if first.deviation is None or second.deviation is None:
        return shown, f"{verdict} in one seed"
    error = math.hypot(first.deviation / len(better) ** 0.5, second.deviation / len(worse) ** 0.5)
    is_sure = abs(difference) > SURE * error
    return f"{shown} ± {error:.{digits}f}", verdict if is_sure else "cannot be told"
