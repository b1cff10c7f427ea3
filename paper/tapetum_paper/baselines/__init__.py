"""Networks that others designed, behind the contract of Tapetum's training and evaluation."""

from tapetum_paper.baselines.export import baseline_graph, export_baseline
from tapetum_paper.baselines.known import BASELINES, baseline_names, find_baseline
from tapetum_paper.baselines.networks import (
    BaselineNetwork,
    baseline_multiply_adds,
    baseline_parameters,
    build_any,
    build_baseline,
)

__all__ = [
    "BASELINES",
    "BaselineNetwork",
    "baseline_graph",
    "baseline_multiply_adds",
    "baseline_names",
    "baseline_parameters",
    "build_any",
    "build_baseline",
    "export_baseline",
    "find_baseline",
]
