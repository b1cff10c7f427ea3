"""The jobs that the command line offers: measure a table, check one, time one graph."""

import time
from pathlib import Path

from tapetum.arch.space import Space
from tapetum.errors import InputError
from tapetum.latency.campaign import Campaign, Prepare, feeds_for, measure
from tapetum.latency.check import Check, check_table
from tapetum.latency.conditions import Conditions
from tapetum.latency.runtimes import Runtime
from tapetum.latency.stopwatch import Block, Timing, one_at_a_time, take_turns, timing
from tapetum.latency.table import LatencyTable, make_table
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import stamp

__all__ = ["conditions_here", "measure_table", "time_graph", "verify"]

FEWEST_NETWORKS = 60  # fewer cannot tell the machine's rates apart
LOG_SUFFIX = ".log.jsonl"
NUM_ROUNDS = 6


def conditions_here(
    runtime: Runtime, *, threads: int, batch: int, channels: int, height_px: int, width_px: int
) -> Conditions:
    """What a latency that is measured on this machine now would hold for."""
    return Conditions(
        device=stamp().cpu,
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
        limit_s: Seconds that this may take; fewer networks are timed where it is not enough.
        seed: Of the draws.
        block: Passes of each network.
        progress: Is told of each network.

    Raises:
        InputError: There is such a file already, too few networks could be timed, or another timing
            is going on.
    """
    if out.exists():
        raise InputError(f"{out} exists already", "give another --out, or remove it")
    log = out.with_name(out.name + LOG_SUFFIX)
    provenance = stamp(seed=seed)
    campaign = Campaign(conditions=conditions, space=space, seed=seed)
    with one_at_a_time():
        samples = measure(
            campaign,
            prepare,
            log,
            count=count,
            limit_s=limit_s,
            block=block or Block(),
            progress=progress,
        )
    if len(samples) < FEWEST_NETWORKS:
        raise InputError(
            f"only {len(samples)} networks could be timed in {limit_s:.0f} seconds, "
            f"and a table takes {FEWEST_NETWORKS}",
            "type the command again to go on, or give it more --minutes",
        )
    table = make_table(space, conditions, samples, provenance)
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
        InputError: The table is of other conditions, or another timing is going on.
    """
    table.conditions.require_same(here, what=what)
    with one_at_a_time():
        return check_table(
            table, prepare, num_networks=num_networks, block=block or Block(), progress=progress
        )


def time_graph(
    model: bytes,
    runtime: Runtime,
    conditions: Conditions,
    *,
    seconds: float,
    progress: ProgressCallback = silent,
) -> Timing:
    """Times one graph, in rounds that are spread over some seconds.

    Args:
        model: The serialised graph; it takes ``noisy`` alone.
        runtime: That computes.
        conditions: Under which.
        seconds: That the rounds are spread over, roughly.
        progress: Is told of each round.

    Raises:
        InputError: Another timing is going on.
    """
    opened, feeds = runtime.open(model, threads=conditions.threads), feeds_for(conditions)
    block = Block(warmups=5, min_passes=10, min_ms=500 * seconds / NUM_ROUNDS)
    with one_at_a_time():
        begun = time.monotonic()
        opened(feeds)
        pause_s = max(0.0, 0.5 * seconds / NUM_ROUNDS - (time.monotonic() - begun))
        rounds = take_turns(
            [lambda: opened(feeds)],
            block,
            num_rounds=NUM_ROUNDS,
            pause_s=pause_s,
            progress=progress,
        )
    return timing(rounds[0])
