"""The jobs that the command line offers: measure a table, check or adjust one, time one graph."""

import math
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tapetum.arch import Space, cost
from tapetum.errors import InputError
from tapetum.latency.campaign import FEWEST_NETWORKS, Campaign, Prepare, measure
from tapetum.latency.check import Check, check_table, measure_drift
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import BOXES, Subject, dense_architecture, subject_of
from tapetum.latency.drift import Drift
from tapetum.latency.runtimes import Runtime
from tapetum.latency.table import LatencyTable, make_table
from tapetum.latency.timing import Block, Timing, one_at_a_time, summarize_rounds, take_turns
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import stamp
from tapetum.records import Record, faults_are_ours

__all__ = [
    "Adjusted",
    "Benchmark",
    "adjust",
    "benchmark",
    "conditions_here",
    "measure_table",
    "require_effort",
    "verify",
]

LOG_SUFFIX = ".log.jsonl"
NUM_ROUNDS = 6
DENSE_PX = 28
MEASURE_ANEW = "measure it anew: tapetum latency measure"
FOR_THE_FIT = 0.05  # of the time that a table may take: fitting prices to some hundred networks


def conditions_here(
    runtime: Runtime, *, threads: int, batch: int, channels: int, height_px: int, width_px: int
) -> Conditions:
    """What a latency that is measured on this machine now would hold for.

    Raises:
        InputError: A number is not possible.
    """
    with faults_are_ours("nothing can be timed so"):
        return Conditions(
            device=runtime.device,
            runtime=runtime.name,
            runtime_version=runtime.version,
            precision=runtime.precision,
            threads=threads,
            batch=batch,
            channels=channels,
            height_px=height_px,
            width_px=width_px,
        )


def measure_table(
    space: Space,
    conditions: Conditions,
    prepare: Prepare,
    out: Path,
    *,
    count: int,
    limit_s: float,
    seed: int = 0,
    block: Block | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> LatencyTable:
    """Times random networks of a space and writes the table that explains them.

    What is measured is logged beside ``out``, so that a job that was killed goes on; the log goes
    when the table is there.

    Args:
        space: Whose blocks are priced.
        conditions: Under which.
        prepare: Makes a network ready under them.
        out: The table's file.
        count: How many networks are timed.
        limit_s: Seconds that this may take; they are timed less often where it is not enough.
        seed: Of the draws.
        block: Passes of each visit.
        overwrite: Whether an older table may go, once the new one is there.
        progress: Is told of each visit.

    Raises:
        InputError: There is such a file already, a number makes no sense, too few networks could be
            timed, or another timing is going on.
    """
    _require_new(out, overwrite=overwrite)
    require_effort(count, limit_s)
    log = out.with_name(out.name + LOG_SUFFIX)
    provenance = stamp(seed=seed)
    campaign = Campaign(conditions=conditions, space=space, seed=seed)
    with one_at_a_time():
        found = measure(
            campaign,
            prepare,
            log,
            count=count,
            limit_s=(1 - FOR_THE_FIT) * limit_s,
            block=block or Block(),
            progress=progress,
        )
    if len(found.samples) < FEWEST_NETWORKS:
        raise InputError(
            f"only {len(found.samples)} networks could be timed in {limit_s:.0f} seconds, "
            f"and a table takes {FEWEST_NETWORKS}",
            "type the command again to go on, or give it more --minutes",
        )
    table = make_table(space, conditions, found, provenance)
    table.write(out)
    log.unlink()
    return table


def verify(
    table: LatencyTable,
    prepare: Prepare,
    here: Conditions,
    *,
    what: str,
    num_networks: int,
    block: Block | None = None,
    progress: ProgressCallback = silent,
) -> Check:
    """Checks a table on fresh networks, on the machine that it was measured on.

    Args:
        table: To check.
        prepare: Makes a network ready under its conditions.
        here: What this machine would measure under.
        what: Names the table in an error.
        num_networks: That are drawn.
        block: Passes of a turn.
        progress: Is told of each turn.

    Raises:
        InputError: The table is of other conditions, there would be no network, or another timing
            is going on.
    """
    table.conditions.require_same(here, what=what)
    if num_networks < 1:
        raise InputError(f"asked for a check on {num_networks} networks", "give 1 or more")
    with one_at_a_time():
        return check_table(
            table, prepare, num_networks=num_networks, block=block or Block(), progress=progress
        )


class Adjusted(NamedTuple):
    """A table at the speed of now.

    Attributes:
        table: The new one.
        drift: How the machine has changed since the old one was measured.
    """

    table: LatencyTable
    drift: Drift


def adjust(
    table: LatencyTable,
    prepare: Prepare,
    here: Conditions,
    out: Path,
    *,
    what: str,
    block: Block | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> Adjusted:
    """Writes a table at the speed that the machine has now, by timing some of its networks again.

    A machine that is warmer, or has other neighbours, slows all networks alike, or large ones by
    more: the order and the shares of a table age far later than its milliseconds.

    Args:
        table: That was measured on this machine.
        prepare: Makes a network ready under its conditions.
        here: What this machine would measure under.
        out: The new table's file.
        what: Names the table in an error.
        block: Passes of a turn.
        overwrite: Whether ``out`` may be replaced; it may be the table itself.
        progress: Is told of each turn.

    Returns:
        The new table, and what has changed.

    Raises:
        InputError: The table is of other conditions or knows none of its networks, there is such a
            file already, or another timing is going on.
    """
    table.conditions.require_same(here, what=what)
    _require_new(out, overwrite=overwrite)
    if not table.witnesses:
        raise InputError(f"{what} does not hold what its own networks took", MEASURE_ANEW)
    with one_at_a_time():
        drift = measure_drift(table, prepare, block=block or Block(), progress=progress)
    said = f"at the speed of {stamp(seed=0).date}, {drift.typical:+.1%} from when it was measured"
    note = "; ".join(filter(None, (table.note.rstrip("."), said)))
    with faults_are_ours(f"the machine has changed too much to adjust {what}", MEASURE_ANEW):
        adjusted = table.after(drift, note=note)
    adjusted.write(out)
    return Adjusted(adjusted, drift)


def _require_new(out: Path, *, overwrite: bool) -> None:
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists already", "give another --out, or --overwrite")


def require_effort(count: int, limit_s: float) -> None:
    """Refuses to measure a table of too few networks, or in no time.

    Raises:
        InputError: One of both.
    """
    if count < FEWEST_NETWORKS:
        raise InputError(
            f"asked for a table of {count} networks", f"give {FEWEST_NETWORKS} or more"
        )
    _require_time(limit_s)


def _require_time(seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(
            f"{seconds:g} seconds ({seconds / 60:g} minutes) are no time to measure in",
            "give a number above 0",
        )


class Benchmark(Record):
    """How long one graph takes, and how well it uses the machine.

    Attributes:
        conditions: Under which.
        timing: The latency of one pass.
        images_per_second: Of whole batches, one after the other.
        multiply_adds: Of one image; ``None`` for a graph of unknown origin.
        giga_multiply_adds_per_second: That it gets through; ``None`` as above.
        peak_share: Of what dense convolutions get through here; ``None`` as above.
    """

    conditions: Conditions
    timing: Timing
    images_per_second: float
    multiply_adds: int | None
    giga_multiply_adds_per_second: float | None
    peak_share: float | None


def benchmark(
    subject: Subject,
    runtime: Runtime,
    conditions: Conditions,
    *,
    seconds: float,
    block: Block | None = None,
    progress: ProgressCallback = silent,
) -> Benchmark:
    """Times one graph, beside dense convolutions, in rounds that are spread over some seconds.

    Args:
        subject: What to time.
        runtime: That computes.
        conditions: Under which.
        seconds: That it takes, roughly.
        block: Passes of a single round, instead: the way of the paper, for comparison.
        progress: Is told of each turn.

    Raises:
        InputError: The graph takes other images, there is no time, or another timing is going on.
    """
    _require_time(seconds)
    dense = dense_architecture()
    at_peak = conditions.model_copy(
        update={"batch": 1, "channels": 3, "height_px": DENSE_PX, "width_px": DENSE_PX}
    )
    things = [
        partial(runtime.prepare, subject, conditions),
        partial(runtime.prepare, subject_of(dense), at_peak),
    ]
    turn = block or Block(min_passes=5, min_ms=1000 * seconds / (2 * NUM_ROUNDS))
    num_rounds = NUM_ROUNDS if block is None else 1
    with one_at_a_time():
        rounds = take_turns(things, turn, num_rounds=num_rounds, progress=progress)
    ours, peak = map(summarize_rounds, rounds)
    num_multiply_adds = rate = share = None
    if subject.architecture is not None:
        size = (conditions.height_px, conditions.width_px)
        num_multiply_adds = cost.multiply_adds(subject.architecture, *size, num_boxes=BOXES)
        rate = conditions.batch * num_multiply_adds / ours.median_ms / 1e6
        dense_cost = cost.multiply_adds(dense, DENSE_PX, DENSE_PX)
        share = rate / (dense_cost / peak.median_ms / 1e6)
    return Benchmark(
        conditions=conditions,
        timing=ours,
        images_per_second=1000 * conditions.batch / ours.median_ms,
        multiply_adds=num_multiply_adds,
        giga_multiply_adds_per_second=rate,
        peak_share=share,
    )
