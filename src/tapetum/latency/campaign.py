"""Times whole random networks of a space, one after the other, in a log that survives a kill.

Each network is drawn from (seed, index), so that a campaign that was killed goes on with the next
one, and two campaigns of different seeds share no network.  The log is JSON lines: what is measured
in the first, one network in each of the others; a line that a kill has torn is measured again.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from tapetum.arch.space import Choice, Space
from tapetum.arch.spec import Architecture
from tapetum.errors import InputError
from tapetum.latency.conditions import Conditions
from tapetum.latency.pricing import Sample
from tapetum.latency.stopwatch import Block, Run, time_block
from tapetum.progress import ProgressCallback
from tapetum.records import Record, write_atomically

__all__ = ["Campaign", "Prepare", "draw", "measure"]

Prepare = Callable[[Architecture], Run]
"""Makes a network ready to be timed under the conditions at hand."""


class Campaign(Record):
    """What a log of measurements is of.

    Args:
        conditions: Under which networks are timed.
        space: That they are drawn from.
        seed: Of the draws.
    """

    format: Literal["tapetum-latency-log"] = "tapetum-latency-log"
    schema_version: Literal[1] = 1
    conditions: Conditions
    space: Space
    seed: int


class Measured(Record):
    """A line of the log.

    Args:
        index: Of the network; with the seed it says which one it is.
        median_ms: Of its passes.
    """

    index: int
    median_ms: float


def draw(campaign: Campaign, index: int) -> dict[str, Choice | None]:
    """The network of an index."""
    return campaign.space.random(np.random.default_rng((campaign.seed, index)))


def measure(
    campaign: Campaign,
    prepare: Prepare,
    log: Path,
    *,
    count: int,
    limit_s: float,
    block: Block,
    progress: ProgressCallback,
) -> list[Sample]:
    """Times networks until there are enough, or the time is over.

    Args:
        campaign: What to measure.
        prepare: Makes a network ready.
        log: Where measurements are kept; what it holds already is not measured again.
        count: How many networks.
        limit_s: Seconds that this may take; none is begun after it.
        block: Passes of each network.
        progress: Is told of each network.

    Returns:
        Every network of the log, in the order of the draws.

    Raises:
        InputError: The log is of something else, or cannot be read.
    """
    known = {line.index: line for line in _open_log(campaign, log)}
    begun = time.monotonic()
    with log.open("a") as file:
        for index in range(count):
            if index in known:
                continue
            if time.monotonic() - begun > limit_s:
                break
            run = prepare(campaign.space.architecture(draw(campaign, index)))
            passes = time_block(run, block)
            known[index] = Measured(index=index, median_ms=statistics.median(passes))
            file.write(known[index].model_dump_json() + "\n")
            file.flush()
            progress(len(known), count, "timing random networks")
    return [Sample(draw(campaign, index), known[index].median_ms) for index in sorted(known)]


def _open_log(campaign: Campaign, log: Path) -> Iterator[Measured]:
    """The measurements of a log of this campaign; begins it where there is none."""
    if not log.exists():
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(campaign.model_dump_json() + "\n")
        return
    text = log.read_text()
    first, *lines = text.splitlines() or [""]
    if Campaign.from_json(first, source=str(log)) != campaign:
        raise InputError(
            f"{log} holds measurements of other conditions, another space or another seed",
            "remove it, or give another --out",
        )
    if not text.endswith("\n"):  # a kill has torn the last line
        write_atomically(log, "".join(f"{line}\n" for line in (first, *lines[:-1])).encode())
        del lines[-1:]
    for number, line in enumerate(lines, start=2):
        yield Measured.from_json(line, source=f"line {number} of {log}")
