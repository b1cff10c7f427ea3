"""Prices of blocks from what a device has timed, as a latency table."""

from functools import lru_cache
from pathlib import Path

from tapetum.arch import Space
from tapetum.errors import InputError
from tapetum.latency.bundle.found import DeviceTimings
from tapetum.latency.campaign import FEWEST_NETWORKS, Measurements
from tapetum.latency.pricing import Sample, require_solver
from tapetum.latency.rounds import faster_half_mean, relative_noise
from tapetum.latency.table import LatencyTable, make_table
from tapetum.latency.timing import shared_core
from tapetum.provenance import stamp
from tapetum.records import read_json

__all__ = ["open_table", "table_of"]


def open_table(path: Path) -> LatencyTable:
    """Read a latency table, or make it from what a device has timed for one.

    Raises:
        InputError: The file is something else, or too little was timed.
        MissingExtraError: SciPy is not installed.
    """
    stored = read_json(path)
    if not isinstance(stored, dict) or stored.get("format") != "tapetum-device-timings":
        return LatencyTable.read(path)
    return _table_of(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _table_of(path: Path, _: int) -> LatencyTable:
    """Return the table of a file as it was written at a time: fitting prices takes seconds."""
    return table_of(DeviceTimings.read(path), what=str(path))


def table_of(timings: DeviceTimings, *, what: str) -> LatencyTable:
    """Return the table that explains what a device has timed; rounds on a shared core are left out.

    Args:
        timings: What the device found.
        what: Where it stands, for errors.

    Raises:
        InputError: Whole networks of a race were timed, or too few networks.
        MissingExtraError: SciPy is not installed.
    """
    space = timings.job.space
    if not isinstance(space, Space):
        raise InputError(
            f"{what} has timings of whole networks, and prices of blocks are needed",
            "write a bundle with 'tapetum latency bundle --space NAME', or leave --method out",
        )
    require_solver()
    known = {
        index: [one.median_ms for one in rounds if not shared_core([one.core_share])]
        for index, (_, rounds) in enumerate(timings.known())
    }
    choices = [network.choices or {} for network, _ in timings.known()]
    samples = [Sample(choices[i], faster_half_mean(rows)) for i, rows in known.items() if rows]
    if len(samples) < FEWEST_NETWORKS:
        raise InputError(
            f"only {len(samples)} networks of {what} were timed on a core of their own, and a "
            f"table needs {FEWEST_NETWORKS}",
            "end other programs on the device, remove the file there, and run the bundle again",
        )
    rows = [one for one in known.values() if one]
    measured = Measurements(samples, min(map(len, rows)), relative_noise(rows))
    return make_table(space, timings.conditions("fp32"), measured, stamp(seed=0))
