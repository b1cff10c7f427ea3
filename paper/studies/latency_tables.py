"""How accurate are latency tables?  Measure one for each setting, and check each.

The settings are those of docs/latency.md: space, size and batch, each in ONNX Runtime and OpenVINO
with one and two threads.  Each leaves two files: the table, and its check on random networks that
the table has not seen.  A finished setting is not measured again, and an interrupted one continues.
No other program may run meanwhile.

Command:  python paper/studies/latency_tables.py --out runs/latency [--only 'c-nas_64px*']
"""

import argparse
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

from tapetum import latency
from tapetum.arch import Space, spaces
from tapetum.provenance import stamp
from tapetum_paper.latencies import SETTINGS, Agreement, Setting, TableCheck, TimedNetwork

CLASSES, CHANNELS, OPERATORS = 100, 3, 8


def study(setting: Setting, path: Path, *, minutes: float, networks: int) -> TableCheck:
    """Measure a table unless it exists, and check it."""
    runtime = latency.find_runtime(setting.runtime)
    conditions = latency.Conditions.here(
        runtime,
        threads=setting.threads,
        batch=setting.batch,
        channels=CHANNELS,
        size_px=setting.size_px,
    )
    took, begun = None, time.monotonic()
    if not path.exists():
        effort = latency.Effort(300, minutes)
        latency.measure_table(space_of(setting), runtime, conditions, path, effort=effort)
        took = (time.monotonic() - begun) / 60
    table = latency.LatencyTable.read(path)
    check = latency.check_table(table, runtime, what=path.name, num_networks=networks)
    fastest_ms, slowest_ms = table.range
    return TableCheck(
        conditions=conditions,
        space=table.space.name,
        num_choices=sum(len(slot.candidates) for slot in table.space.slots.values()),
        fastest_ms=fastest_ms,
        slowest_ms=slowest_ms,
        minutes=took,
        held_out_error=table.accuracy.mean_relative_error,
        table=_agreement(check.table),
        multiply_adds=_agreement(check.multiply_adds),
        repeating=_agreement(check.repeating),
        later=None,
        networks=tuple(
            TimedNetwork(predicted_ms=one.predicted_ms, measured_ms=one.measured_ms)
            for one in check.networks
        ),
        provenance=stamp(seed=0),
    )


def _agreement(found: tuple[float, float, float]) -> Agreement:
    mean, worst, rank_correlation = found
    return Agreement(mean=mean, worst=worst, rank_correlation=rank_correlation)


def space_of(setting: Setting) -> Space:
    """Return the space, with eight operators a slot."""
    frame = spaces.Frame(
        operators=OPERATORS,
        image_px=setting.size_px,
        image_channels=CHANNELS,
        num_classes=CLASSES,
    )
    return spaces.open_space(setting.space, frame)


def main() -> None:
    """Measure and check what has not been checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checks")
    parser.add_argument("--only", default="*", help="pattern of names")
    parser.add_argument("--minutes", type=float, default=6.0, help="limit for each table")
    parser.add_argument("--networks", type=int, default=60, help="random networks of each check")
    options = parser.parse_args()
    for setting in SETTINGS:
        out = options.out / f"{setting.name}.json"
        if out.exists() or not fnmatch(setting.name, options.only):
            continue
        sys.stdout.write(f"{setting.name}\n")
        table = options.out / "tables" / out.name
        study(setting, table, minutes=options.minutes, networks=options.networks).write(out)


if __name__ == "__main__":
    main()
