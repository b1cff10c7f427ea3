"""Measure a table, while no other timing runs."""

import logging
from pathlib import Path

from tapetum.arch import Space
from tapetum.errors import InputError
from tapetum.latency.campaign import (
    FEWEST_NETWORKS,
    MEDIANS,
    Campaign,
    Effort,
    Measurements,
    run_campaign,
)
from tapetum.latency.conditions import Conditions
from tapetum.latency.lock import timing_lock
from tapetum.latency.pricing import require_solver
from tapetum.latency.runtimes import Runtime
from tapetum.latency.table import LatencyTable, make_table
from tapetum.latency.timing import SHORT_ROUND, PassCount
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import Provenance, stamp
from tapetum.records import FolderKind, hold, require_free_name

__all__ = ["measure_table"]

CAMPAIGN = FolderKind("latency campaign", Campaign, LatencyTable, "tapetum latency measure")
SUFFIX = ".campaign"

_log = logging.getLogger(__name__)


def measure_table(
    space: Space,
    runtime: Runtime,
    conditions: Conditions,
    out: Path,
    *,
    effort: Effort,
    seed: int = 0,
    passes: PassCount = SHORT_ROUND,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> LatencyTable:
    """Time random networks of a space and write the table that explains their latencies.

    Measurements are kept in a folder beside ``out``, so that a killed job continues.  The folder is
    removed when the table is written.

    Args:
        space: The space whose blocks are priced.
        runtime: The runtime that computes.
        conditions: The conditions of the table.
        out: The table's file.
        effort: How much is measured.
        seed: Random seed of the networks.
        passes: Passes of each network in each round.
        overwrite: Whether an older table may be replaced, once the new one is measured.
        progress: Receives each network of each round.

    Raises:
        InputError: The file exists, too few networks could be timed, other processes take the
            core, or another timing does not end.
        RunError: Unfinished measurements beside ``out`` are of another request.
        MissingExtraError: SciPy is not installed.
    """
    campaign_path = out.with_name(out.name + SUFFIX)
    if campaign_path.is_dir():
        with hold(campaign_path):
            if _is_done(out, campaign_path):
                _remove(campaign_path)
    require_free_name(out, overwrite=overwrite)
    require_solver()
    provenance = stamp(seed=seed)
    campaign = Campaign(conditions=conditions, space=space, seed=seed)
    with CAMPAIGN.work(campaign_path, campaign, resume=True) as folder:
        with timing_lock():
            measured = run_campaign(
                campaign, runtime, folder.path, effort=effort, passes=passes, progress=progress
            )
        table = _table(measured, campaign, effort, provenance)
        table.write(out)
        _remove(folder.path)
    return table


def _table(
    measured: Measurements, campaign: Campaign, effort: Effort, provenance: Provenance
) -> LatencyTable:
    """Return the table that explains what was measured, or say that it is too little."""
    if len(measured.samples) < FEWEST_NETWORKS:
        raise InputError(
            f"only {len(measured.samples)} networks could be timed in {effort.minutes:g} minutes, "
            f"and a table needs {FEWEST_NETWORKS}",
            "repeat the command to continue, or give it more --minutes",
        )
    table = make_table(campaign.space, campaign.conditions, measured, provenance)
    if table.accuracy.is_noisy:
        _log.warning(
            "the machine was noisy, or the time too short, for precise latencies; stop other "
            "processes, or give it more --minutes"
        )
    return table


def _is_done(out: Path, campaign: Path) -> bool:
    """Return whether a campaign has become the table beside it, and a kill came before its end."""
    if not out.is_file():
        return False
    if not (campaign / "request.json").is_file():  # removed last
        return not any(campaign.iterdir())
    log = campaign / MEDIANS
    return not log.exists() or log.stat().st_mtime_ns <= out.stat().st_mtime_ns


def _remove(campaign: Path) -> None:
    """Remove a campaign; the request last, so that what a kill leaves can be continued."""
    for path in sorted(campaign.iterdir(), key=lambda path: path.name == "request.json"):
        path.unlink()
    campaign.rmdir()
