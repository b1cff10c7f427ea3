"""Jobs: what each command of Tapetum does, as functions with plain keyword arguments.

:func:`fit` is the main job: a dataset, a device and a latency budget become a package. A job loads
when it is first used: :func:`evaluate` of a package needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapetum.jobs.benchmarking import BenchmarkTable, benchmark
    from tapetum.jobs.bundling import bundle_networks
    from tapetum.jobs.calibrating import Calibrated, calibrate
    from tapetum.jobs.choose import DataOptions
    from tapetum.jobs.controls import control
    from tapetum.jobs.demonstration import demo
    from tapetum.jobs.deploying import export
    from tapetum.jobs.early import refuse_early
    from tapetum.jobs.evaluation import evaluate
    from tapetum.jobs.fit_result import FitResult, run_at
    from tapetum.jobs.fitting import fit
    from tapetum.jobs.front import Front, fit_front
    from tapetum.jobs.methods import parse_targets
    from tapetum.jobs.request_tfnas import TfNasOptions
    from tapetum.jobs.searching import search
    from tapetum.jobs.training import TrainingOptions, train, train_network

__all__ = [
    "BenchmarkTable",
    "Calibrated",
    "DataOptions",
    "FitResult",
    "Front",
    "TfNasOptions",
    "TrainingOptions",
    "benchmark",
    "bundle_networks",
    "calibrate",
    "control",
    "demo",
    "evaluate",
    "export",
    "fit",
    "fit_front",
    "parse_targets",
    "refuse_early",
    "run_at",
    "search",
    "train",
    "train_network",
]

_MODULES = {
    "BenchmarkTable": "benchmarking",
    "Calibrated": "calibrating",
    "DataOptions": "choose",
    "FitResult": "fit_result",
    "Front": "front",
    "TfNasOptions": "request_tfnas",
    "TrainingOptions": "training",
    "benchmark": "benchmarking",
    "bundle_networks": "bundling",
    "calibrate": "calibrating",
    "control": "controls",
    "demo": "demonstration",
    "evaluate": "evaluation",
    "export": "deploying",
    "fit": "fitting",
    "fit_front": "front",
    "parse_targets": "methods",
    "refuse_early": "early",
    "run_at": "fit_result",
    "search": "searching",
    "train": "training",
    "train_network": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tapetum.jobs' has no attribute {name!r}")
    return getattr(import_module(f"tapetum.jobs.{_MODULES[name]}"), name)
