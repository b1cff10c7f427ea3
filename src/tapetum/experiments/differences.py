"""What takes our rows to the printed ones: what the paper leaves open, chosen otherwise.

Shows two results of ``benchmarks/``: ``digit_composition.py`` trains the classifiers of table 7 on
dimmer digits, and ``one_sigma.py`` the Integrated network once for each noise level.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tapetum.experiments.compare import NOT_RUN
from tapetum.experiments.controlled import table_1, table_7
from tapetum.experiments.markdown import markdown_table
from tapetum.experiments.measures import accuracy_percent, at_sigma, mean_of
from tapetum.experiments.paper import TABLE_1, TABLE_8
from tapetum.experiments.plan import Row, Scale, Spread, spread
from tapetum.experiments.results import gather
from tapetum.noise import PAPER_SIGMAS

__all__ = ["difference_sections"]

DIMMER = "dimmed to 0.94"
INTEGRATED = "dc-net-reduced-integrated"
BRIEF, LONGER = "one_sigma.json", "one_sigma_12_epochs.json"

BySigma = dict[float, float]  # decibels


def difference_sections(results: Path, reproduced: Path) -> dict[str, str]:
    """The sections of documents, by their names.

    Args:
        results: Folder with what the benchmarks left.
        reproduced: Folder with what ``tapetum reproduce`` left.
    """
    return {
        "dimmer_digits": _dimmer_digits(results, reproduced),
        "own_networks": _own_networks(results, reproduced),
    }


def _dimmer_digits(results: Path, reproduced: Path) -> str:
    """Table 7 as published, and of digits that have a little less light."""
    outcome = gather(table_7(Scale.paper), reproduced)
    right = mean_of(accuracy_percent)
    published = {
        row.title: spread([right(done) for done in outcome.of(row)])
        for row in outcome.experiment.rows
    }
    dimmed = {row.title: _dimmed(results, row) for row in outcome.experiment.rows}
    printed = {row.title: row.printed["accuracy %"] for row in outcome.experiment.rows}
    away = {title: found.mean - printed[title] for title, found in dimmed.items() if found}
    rows = [
        (
            title,
            f"{value}",
            _percent(published[title]),
            _percent(dimmed[title]),
            f"{away[title]:+.1f}" if title in away else "-",
        )
        for title, value in printed.items()
    ]
    header = ("accuracy %", "paper", "as published", "0.94 of the light", "difference")
    machines = _machines(_composed(results, row) for row in outcome.experiment.rows)
    return f"{markdown_table(header, rows)}\n\n{_how_far(list(away.values()), machines)}"


def _dimmed(results: Path, row: Row) -> Spread | None:
    """Right names in percent, over the seeds that were trained."""
    ways: Mapping[str, Any] = _known(_composed(results, row)).get("ways", {})
    return spread(
        [100 * scores["accuracy"] for way, scores in ways.items() if way.split(", ")[0] == DIMMER]
    )


def _composed(results: Path, row: Row) -> Path:
    """What ``digit_composition.py`` found of a classifier in as many epochs as published."""
    return results / f"digit_composition_{row.cells[0].network.name}_100_epochs.json"


def _how_far(away: Sequence[float], machines: str) -> str:
    """What lies between the print and all rows, in a sentence."""
    if not away:
        return f"{NOT_RUN}."
    return (
        f"Over {len(away)} rows the mean difference is {statistics.fmean(away):+.1f} and its root "
        f"mean square {statistics.fmean(one**2 for one in away) ** 0.5:.1f} points; seed 0, or "
        f"several where there is a ±; {machines}; "
        f"`python benchmarks/digit_composition.py --epochs 100 --ways '{DIMMER}' --network conv-l "
        "--data-root ../shared/data --json FILE`; [results](../results)."
    )


def _own_networks(results: Path, reproduced: Path) -> str:
    """Decibels of Integrated by noise level, of one network for all or of one for each."""
    brief, longer = _own_db(results / BRIEF), _own_db(results / LONGER)
    columns = {
        "UNet-S, paper": TABLE_8["unet-s"].psnr_db,
        "one for all": _one_for_all(reproduced),
        "own, 3 epochs": brief,
        "own, 12 epochs": longer,
    }
    rows = [
        (f"{sigma:g}", *(_decibels(column.get(sigma)) for column in columns.values()))
        for sigma in PAPER_SIGMAS
    ]
    means = [_mean(column) for column in columns.values()]
    return (
        f"{markdown_table(('sigma', *columns), [*rows, ('mean', *means)])}\n\n"
        f"The paper's mean is {TABLE_1[INTEGRATED].psnr_db} dB.  {_expected(brief, longer)}"
        f"Seed 0; {_machines([results / BRIEF, results / LONGER])}; "
        "`python benchmarks/one_sigma.py --data-root ../shared/data --json FILE`, and with "
        f"`--epochs 12`; [results/{BRIEF}](../results/{BRIEF}), "
        f"[results/{LONGER}](../results/{LONGER})."
    )


def _one_for_all(reproduced: Path) -> BySigma:
    """As published, on average over seeds."""
    outcome = gather(table_1(Scale.paper), reproduced)
    done = [one for one in outcome.done if one.cell.network.name == INTEGRATED]
    at = {sigma: at_sigma(sigma, lambda row: row.psnr_db) for sigma in PAPER_SIGMAS}
    found = {sigma: spread([read(one) for one in done]) for sigma, read in at.items()}
    return {sigma: one.mean for sigma, one in found.items() if one}


def _own_db(path: Path) -> BySigma:
    """Of networks that know one noise level each."""
    found: Mapping[str, Any] = _known(path).get("networks", {}).get(INTEGRATED, {})
    return {float(sigma): scores["psnr_db"] for sigma, scores in found.items()}


def _expected(brief: BySigma, longer: BySigma) -> str:
    """The mean after more epochs, where only some levels were trained so long."""
    both = sorted(brief.keys() & longer.keys())
    if len(brief) < len(PAPER_SIGMAS) or len(both) in {0, len(PAPER_SIGMAS)}:
        return ""
    won = [longer[sigma] - brief[sigma] for sigma in both]
    gains = np.interp(PAPER_SIGMAS, both, won, left=0, right=0)
    mean = statistics.fmean(brief.values()) + float(gains.mean())
    return (
        f"With what more epochs win, interpolated between the levels that had them and nothing "
        f"beyond, ours is {mean:.1f} dB.  "
    )


def _known(path: Path) -> Mapping[str, Any]:
    """What a benchmark left; nothing where it was not run."""
    return json.loads(path.read_text()) if path.exists() else {}


def _machines(paths: Iterable[Path]) -> str:
    """Where the benchmarks ran that there are files of."""
    stamps = [found["provenance"] for found in map(_known, paths) if "provenance" in found]
    return " and ".join(sorted({stamp["cpu"] for stamp in stamps})) or NOT_RUN


def _mean(column: Mapping[float, float]) -> str:
    """Over all levels, where all are known."""
    return _decibels(
        statistics.fmean(column.values()) if len(column) == len(PAPER_SIGMAS) else None
    )


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(found: Spread | None) -> str:
    return NOT_RUN if found is None else found.shown(1)
