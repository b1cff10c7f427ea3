"""Latencies of the networks of a table, measured in turns in one quiet run.

Trainings take hours, and a machine that trains cannot measure.  So networks are measured after
their training, and one file holds their latencies: ``SCALE/latency/EXPERIMENT.json``.  Latency does
not depend on weights (docs/latency.md), so the graphs have random ones.
"""

from collections.abc import Mapping
from functools import partial

from tapetum.arch import Architecture, NetworkFacts
from tapetum.latency import (
    Block,
    Conditions,
    MakeReady,
    Runtime,
    Timing,
    one_at_a_time,
    prepare_architecture,
    subject_of_graph,
    summarize_rounds,
    take_turns,
)
from tapetum.progress import ProgressCallback
from tapetum.provenance import Provenance, stamp
from tapetum.records import Record
from tapetum_paper.baselines import baseline_graph, build_baseline
from tapetum_paper.deployment import Deployment
from tapetum_paper.eager import EagerTorch

__all__ = ["SideBySide", "time_side_by_side"]

NUM_ROUNDS, PAUSE_S = 10, 1.0
BLOCK = Block(min_passes=5, min_ms=100)


class SideBySide(Record):
    """Latency of each network of an experiment.

    Attributes:
        conditions: Conditions of the measurement.
        timings: Timings by the name of the cell.
        provenance: Machine, date and versions.
    """

    conditions: Conditions
    timings: dict[str, Timing]
    provenance: Provenance


def time_side_by_side(
    networks: Mapping[str, Architecture | NetworkFacts],
    deployment: Deployment,
    *,
    progress: ProgressCallback,
) -> SideBySide:
    """Measure networks in turns.

    Args:
        networks: Networks by the name of the cell.
        deployment: Runtime and conditions.
        progress: Receives the progress of each turn.

    Raises:
        InputError: Another measurement is in progress.
    """
    runtime, conditions = deployment.runtime, deployment.conditions
    ready = [_make_ready(network, runtime, conditions) for network in networks.values()]
    with one_at_a_time():
        rounds = take_turns(ready, BLOCK, num_rounds=NUM_ROUNDS, pause_s=PAUSE_S, progress=progress)
    timings = dict(zip(networks, map(summarize_rounds, rounds), strict=True))
    return SideBySide(conditions=conditions, timings=timings, provenance=stamp(seed=0))


def _make_ready(
    network: Architecture | NetworkFacts, runtime: Runtime, conditions: Conditions
) -> MakeReady:
    if isinstance(network, Architecture):
        return partial(prepare_architecture, runtime, conditions, network)
    baseline = build_baseline(network, seed=0).eval()
    if isinstance(runtime, EagerTorch):
        return partial(runtime.prepare_network, baseline, conditions)
    subject = subject_of_graph(baseline_graph(baseline, size_px=conditions.width_px))
    return partial(runtime.prepare, subject, conditions)
