"""Latencies of the networks of a table, all of them taken in turns in one quiet run.

Trainings take hours, and a machine that trains cannot time.  So networks are timed when all of them
are there, and kept in a file of their own beside the results, ``SCALE/latency/EXPERIMENT.json``.
Weights do not matter to a latency (docs/latency.md): the graphs have random ones.
"""

from collections.abc import Mapping
from functools import partial

from tapetum.arch import Architecture, Baseline
from tapetum.export import baseline_graph
from tapetum.jobs.match import time_in_turns
from tapetum.latency import (
    Conditions,
    MakeReady,
    Runtime,
    Timing,
    prepare_architecture,
    subject_of_graph,
)
from tapetum.nn import build
from tapetum.progress import ProgressCallback
from tapetum.provenance import Provenance, stamp
from tapetum.records import Record
from tapetum.training import EagerTorch
from tapetum_paper.deployment import Deployment

__all__ = ["SideBySide", "time_side_by_side"]


class SideBySide(Record):
    """How long each network of an experiment takes.

    Attributes:
        conditions: Under which.
        timings: By the name of the cell.
        provenance: When and where.
    """

    conditions: Conditions
    timings: dict[str, Timing]
    provenance: Provenance


def time_side_by_side(
    networks: Mapping[str, Architecture | Baseline],
    deployment: Deployment,
    *,
    progress: ProgressCallback,
) -> SideBySide:
    """Times networks in turns.

    Args:
        networks: By the name of the cell.
        deployment: Where they run.
        progress: Is told of each turn.

    Raises:
        InputError: Another timing is going on.
    """
    runtime, conditions = deployment.runtime, deployment.conditions
    ready = [_make_ready(network, runtime, conditions) for network in networks.values()]
    timings = dict(zip(networks, time_in_turns(ready, progress=progress), strict=True))
    return SideBySide(conditions=conditions, timings=timings, provenance=stamp(seed=0))


def _make_ready(
    network: Architecture | Baseline, runtime: Runtime, conditions: Conditions
) -> MakeReady:
    if isinstance(network, Architecture):
        return partial(prepare_architecture, runtime, conditions, network)
    baseline = build(network, seed=0).eval()
    if isinstance(runtime, EagerTorch):
        return partial(runtime.prepare_baseline, baseline, conditions)
    subject = subject_of_graph(baseline_graph(baseline, size_px=conditions.width_px))
    return partial(runtime.prepare, subject, conditions)
