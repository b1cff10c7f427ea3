"""Measure latencies on the device, in the runtime that ships, and choose networks by them.

A latency holds only for its :class:`Conditions`.  A :class:`LatencyTable` prices every choice of a
search space, and a :class:`Budget` is a target that the table holds for feasible.  Nothing in this
room needs torch.
"""

from tapetum.latency import bundle
from tapetum.latency.benchmark import Benchmark, benchmark_together, measure_latency
from tapetum.latency.budget import Budget, Selection, best_network
from tapetum.latency.calls import Call, Includes
from tapetum.latency.campaign import Effort
from tapetum.latency.check import Check, check_table
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.measure import measure_table
from tapetum.latency.runtimes import Runtime, find_runtime, load_openvino
from tapetum.latency.table import LatencyTable
from tapetum.latency.timing import Timing, time_interleaved
from tapetum.latency.vector import probe_widths
from tapetum.latency.whole import NetworkTimer, TimedShapes, TimeNetworks

__all__ = [
    "Benchmark",
    "Budget",
    "Call",
    "Check",
    "Conditions",
    "DeployedNetwork",
    "Effort",
    "Includes",
    "LatencyTable",
    "NetworkTimer",
    "Runtime",
    "Selection",
    "TimeNetworks",
    "TimedShapes",
    "Timing",
    "benchmark_together",
    "best_network",
    "bundle",
    "check_table",
    "find_runtime",
    "load_openvino",
    "measure_latency",
    "measure_table",
    "probe_widths",
    "time_interleaved",
]
