"""How far can a latency table be believed?  Measures one for each setting, and checks each.

Settings are the four of docs/latency.md (space, size, batch), each in ONNX Runtime and OpenVINO
with one and two threads.  Each leaves two files: the table, and what came of checking it on fresh
random networks, with how long the measuring took.  A setting that has been checked is not run
again, and one that was killed goes on.  Nothing else may run beside it.  At another hour, --again
brings the tables that are there to the speed of then (`tapetum latency adjust`), checks them once
more, and leaves what comes of it in a folder of its own.

Command:  python paper/studies/latency_tables.py [--only 'c-nas-64*'] [--out results/latency] [--again]
"""

import argparse
import time
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tapetum_paper.latencies import AGAIN, SETTINGS, Setting, TableStudy

from tapetum import latency
from tapetum.arch.space import Space
from tapetum.arch.spaces import Frame, open_space
from tapetum.cli.common import progress_bar
from tapetum.progress import ProgressCallback
from tapetum.provenance import stamp

NOTE = "Measured on a development machine of Tapetum, for its tests; it holds on no other."
CLASSES, CHANNELS, OPERATORS = 100, 3, 8


def study(
    setting: Setting,
    tables: Path,
    *,
    minutes: float,
    networks: int,
    is_again: bool,
    tick: ProgressCallback,
) -> TableStudy:
    """Measures a table where there is none, or adjusts the one that there is, and checks it."""
    runtime = latency.find_runtime(setting.runtime)
    conditions = latency.conditions_here(
        runtime,
        threads=setting.threads,
        batch=setting.batch,
        channels=CHANNELS,
        height_px=setting.size_px,
        width_px=setting.size_px,
    )
    prepare = partial(latency.prepare_architecture, runtime, conditions)
    path, taken, aged = tables / f"{setting.name}.json", None, None
    begun = time.monotonic()
    if not path.exists():
        limit_s = 60 * minutes
        table = latency.measure_table(
            space_of(setting), conditions, prepare, path, count=300, limit_s=limit_s, progress=tick
        )
        taken = (time.monotonic() - begun) / 60
        table.model_copy(update={"note": NOTE}).write(path)
    table = latency.LatencyTable.read(path)
    if is_again:
        with TemporaryDirectory() as folder:
            out = Path(folder) / path.name
            table, aged = latency.adjust(
                table, prepare, conditions, out, what=path.name, progress=tick
            )
        taken = (time.monotonic() - begun) / 60
    found = latency.verify(
        table, prepare, conditions, what=path.name, num_networks=networks, progress=tick
    )
    fastest_ms, slowest_ms = latency.range_of(table)
    return TableStudy(
        conditions=conditions,
        space=table.space.name,
        num_choices=sum(len(slot.candidates) for slot in table.space.slots.values()),
        fastest_ms=fastest_ms,
        slowest_ms=slowest_ms,
        minutes=taken,
        aged=aged,
        accuracy=table.accuracy,
        summary=found.summary(),
        check=found,
        provenance=stamp(seed=0),
    )


def space_of(setting: Setting) -> Space:
    """Of eight operators a slot."""
    frame = Frame(
        operators=OPERATORS,
        image_px=setting.size_px,
        image_channels=CHANNELS,
        num_classes=CLASSES,
    )
    return open_space(setting.space, frame)


def main() -> None:
    """Runs what has not been run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/latency"))
    parser.add_argument("--only", default="*", help="a pattern for names")
    parser.add_argument("--minutes", type=float, default=6.0, help="for each table")
    parser.add_argument("--networks", type=int, default=60, help="fresh ones for each check")
    parser.add_argument(
        "--again", action="store_true", help="adjust tables, and check them once more"
    )
    asked = parser.parse_args()
    tables = asked.out / "tables"
    out = asked.out / AGAIN if asked.again else asked.out
    for setting in SETTINGS:
        name = f"{setting.name}.json"
        is_left_out = asked.again and not (tables / name).exists()
        if is_left_out or not fnmatch(setting.name, asked.only) or (out / name).exists():
            continue
        print(setting.name, flush=True)
        with progress_bar() as tick:
            found = study(
                setting,
                tables,
                minutes=asked.minutes,
                networks=asked.networks,
                is_again=asked.again,
                tick=tick,
            )
        found.write(out / name)


if __name__ == "__main__":
    main()
