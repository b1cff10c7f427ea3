"""Other choices, where the paper leaves a choice open, that lead to the printed rows.

Shows two results of ``studies/``: ``digit_composition.py`` trains the classifiers of table 7 on
dimmer digits, and ``one_sigma.py`` the Integrated network once for each noise level.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tapetum.noise import PAPER_SIGMAS
from tapetum_paper.compare import NOT_RUN
from tapetum_paper.controlled import table_1, table_7
from tapetum_paper.markdown import markdown_table
from tapetum_paper.measures import accuracy_percent, at_sigma, mean_of
from tapetum_paper.paper import TABLE_1, TABLE_8
from tapetum_paper.plan import Outcome, Row, Scale, Spread, at_scale, spread

__all__ = ["difference_sections"]

LIGHT = 0.94
DIMMER = f"dimmed to {LIGHT}"
INTEGRATED = "dc-net-reduced-integrated"
OWN = {epochs: f"one_sigma_{epochs}_epochs.json" for epochs in (3, 12, 30)}  # fewest first

Found = Mapping[str, Any]  # JSON of a study; empty if it was not run
BySigma = dict[float, float]  # decibels


def difference_sections(results: Path, outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Return the sections of the documents by their names.

    Args:
        results: Folder with the results of the studies.
        outcomes: Results of tables 1 and 7 as published.
    """
    published = at_scale(outcomes, Scale.paper)
    return {
        "dimmer_digits": _dimmer_digits(results, published[table_7(Scale.paper).name]),
        "own_networks": _own_networks(results, published[table_1(Scale.paper).name]),
    }


def _dimmer_digits(results: Path, outcome: Outcome) -> str:
    """Return table 7 as published, and with slightly darker digits."""
    read, rows = mean_of(accuracy_percent), outcome.experiment.rows
    composed = [_composed(results, row) for row in rows]
    published = [spread([read(done) for done in outcome.of(row)]) for row in rows]
    dimmed = [_dimmed(one) for one in composed]
    printed = [row.printed["accuracy %"] for row in rows]
    away = [one and one.mean - value for one, value in zip(dimmed, printed, strict=True)]
    lines = [
        (row.title, f"{value}", _percent(ours), _percent(dim), "-" if by is None else f"{by:+.1f}")
        for row, value, ours, dim, by in zip(rows, printed, published, dimmed, away, strict=True)
    ]
    header = ("accuracy %", "paper", "as published", f"{LIGHT} of the brightness", "difference")
    known = [by for by in away if by is not None]
    return f"{markdown_table(header, lines)}\n\n{_how_far(known, _machines(composed))}"


def _composed(results: Path, row: Row) -> Found:
    """Read the result of ``digit_composition.py`` for a classifier, 100 epochs."""
    return _found(results / f"digit_composition_{row.cells[0].network.name}_100_epochs.json")


def _dimmed(composed: Found) -> Spread | None:
    """Return the accuracy in percent over the seeds."""
    ways: Mapping[str, Any] = composed.get("ways", {})
    return spread(
        [100 * scores["accuracy"] for way, scores in ways.items() if way.split(", ")[0] == DIMMER]
    )


def _how_far(away: Sequence[float], machines: str) -> str:
    """Return the difference between the print and all rows as a sentence."""
    if not away:
        return f"{NOT_RUN}."
    return (
        f"Over {len(away)} rows the mean difference is {statistics.fmean(away):+.1f} and its root "
        f"mean square {statistics.fmean(one**2 for one in away) ** 0.5:.1f} points; seed 0, or "
        f"several where there is a ±; {machines}; "
        f"`python paper/studies/digit_composition.py --epochs 100 --ways '{DIMMER}' "
        "--network conv-l --data-root ../shared/data --json FILE`; [results](../results)."
    )


def _own_networks(results: Path, outcome: Outcome) -> str:
    """Return the PSNR of Integrated by noise level: one network for all, or one for each."""
    found = {epochs: _found(results / name) for epochs, name in OWN.items()}
    own = {epochs: _own_db(one) for epochs, one in found.items()}
    columns = {
        "UNet-S, paper": TABLE_8["unet-s"].psnr_db,
        "one for all": _one_for_all(outcome),
        **{f"own, {epochs} epochs": column for epochs, column in own.items()},
        "own, the longest": {sigma: db for column in own.values() for sigma, db in column.items()},
    }
    rows = [
        (f"{sigma:g}", *(_decibels(column.get(sigma)) for column in columns.values()))
        for sigma in PAPER_SIGMAS
    ]
    means = [_mean(column) for column in columns.values()]
    files = ", ".join(f"[results/{name}](../results/{name})" for name in OWN.values())
    return (
        f"{markdown_table(('sigma', *columns), [*rows, ('mean', *means)])}\n\n"
        f"The paper's mean is {TABLE_1[INTEGRATED].psnr_db} dB.  "
        f"Seed 0; {_machines(found.values())}; `python paper/studies/one_sigma.py --data-root "
        f"../shared/data --json FILE --epochs {' or '.join(map(str, OWN))}`; {files}."
    )


def _one_for_all(outcome: Outcome) -> BySigma:
    """Return the PSNR as published, as a mean over seeds."""
    done = [one for one in outcome.done if one.cell.network.name == INTEGRATED]
    at = {sigma: at_sigma(sigma, lambda row: row.psnr_db) for sigma in PAPER_SIGMAS}
    found = {sigma: spread([read(one) for one in done]) for sigma, read in at.items()}
    return {sigma: one.mean for sigma, one in found.items() if one}


def _own_db(found: Found) -> BySigma:
    """Return the PSNR of networks for one noise level each."""
    rows: Mapping[str, Any] = found.get("networks", {}).get(INTEGRATED, {})
    return {float(sigma): scores["psnr_db"] for sigma, scores in rows.items()}


def _found(path: Path) -> Found:
    """Read the result of a study; return nothing if it was not run."""
    found: Found = json.loads(path.read_text()) if path.exists() else {}
    return found


def _machines(found: Iterable[Found]) -> str:
    """Return the processors of the studies that were run."""
    cpus = {one["provenance"]["cpu"] for one in found if "provenance" in one}
    return " and ".join(sorted(cpus)) or NOT_RUN


def _mean(column: Mapping[float, float]) -> str:
    """Return the mean over all levels if all are known."""
    is_whole = len(column) == len(PAPER_SIGMAS)
    return _decibels(statistics.fmean(column.values()) if is_whole else None)


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(found: Spread | None) -> str:
    return NOT_RUN if found is None else found.shown(1)
