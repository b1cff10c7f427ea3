"""Latencies of the networks of a table, timed interleaved in one quiet run.

Trainings take hours, and a machine that trains cannot measure.  So networks are measured after
their training, and one file holds their latencies: ``SCALE/latency/EXPERIMENT.json``.  Latency does
not depend on weights (docs/latency.md), so the graphs have random ones.
"""

from collections.abc import Callable, Mapping
from functools import partial

from tapetum.arch import Architecture, NetworkFacts
from tapetum.latency import (
    Conditions,
    DeployedNetwork,
    Runtime,
    Timing,
    time_interleaved,
)
from tapetum.progress import ProgressCallback
from tapetum.provenance import Provenance, stamp
from tapetum.records import Record
from tapetum_paper.baselines import baseline_graph, build_baseline
from tapetum_paper.deployment import Deployment
from tapetum_paper.eager import EagerTorch

__all__ = ["SideBySide", "time_side_by_side"]


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
    """Time networks, interleaved.

    Args:
        networks: Networks by the name of the cell.
        deployment: Runtime and conditions.
        progress: Receives the progress of each turn.

    Raises:
        InputError: Another measurement is in progress.
    """
    runtime, conditions = deployment.runtime, deployment.conditions
    prepare = [_prepare(network, runtime, conditions) for network in networks.values()]
    timings = dict(zip(networks, time_interleaved(prepare, progress=progress), strict=True))
    return SideBySide(conditions=conditions, timings=timings, provenance=stamp(seed=0))


def _prepare(
    network: Architecture | NetworkFacts, runtime: Runtime, conditions: Conditions
) -> Callable[[], Callable[[], object]]:
    if isinstance(network, Architecture):
        return partial(runtime.prepare, DeployedNetwork.of(network), conditions)
    baseline = build_baseline(network, seed=0).eval()
    if isinstance(runtime, EagerTorch):
        return partial(runtime.prepare_network, baseline, conditions)
    graph = baseline_graph(baseline, size_px=conditions.width_px)
    return partial(runtime.prepare, DeployedNetwork.of_graph(graph), conditions)
