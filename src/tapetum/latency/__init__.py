"""Latencies that can be believed: measured on the device, in the runtime that ships.

A *latency* holds for :class:`Conditions` and no others.  A *table* prices every choice of a search
space under some conditions, a *budget* is a target and what keeps it.  Nothing here needs torch.
"""

from tapetum.latency.budget import (
    Best,
    Budget,
    Range,
    best_network,
    range_of,
    require_sense,
)
from tapetum.latency.campaign import SURE_ENOUGH, Prepare
from tapetum.latency.check import Check
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import Subject, open_subject, subject_of_graph
from tapetum.latency.drift import Drift
from tapetum.latency.measure import (
    Adjusted,
    Benchmark,
    adjust,
    benchmark,
    conditions_here,
    measure_table,
    require_effort,
    verify,
)
from tapetum.latency.runtimes import RUNTIMES, Runtime, find_runtime, prepare_architecture
from tapetum.latency.table import LatencyTable, Prediction
from tapetum.latency.timing import (
    Block,
    MakeReady,
    Run,
    Timing,
    one_at_a_time,
    summarize_rounds,
    take_turns,
)

__all__ = [
    "RUNTIMES",
    "SURE_ENOUGH",
    "Adjusted",
    "Benchmark",
    "Best",
    "Block",
    "Budget",
    "Check",
    "Conditions",
    "Drift",
    "LatencyTable",
    "MakeReady",
    "Prediction",
    "Prepare",
    "Range",
    "Run",
    "Runtime",
    "Subject",
    "Timing",
    "adjust",
    "benchmark",
    "best_network",
    "conditions_here",
    "find_runtime",
    "measure_table",
    "one_at_a_time",
    "open_subject",
    "prepare_architecture",
    "range_of",
    "require_effort",
    "require_sense",
    "subject_of_graph",
    "summarize_rounds",
    "take_turns",
    "verify",
]
