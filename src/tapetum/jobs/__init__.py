"""Jobs: what each command of Tapetum does, as functions with plain keyword arguments.

:func:`fit` is the main job: a dataset, a device and a latency budget become a package.
"""

from tapetum.jobs.choose import DigitOptions
from tapetum.jobs.controls import control
from tapetum.jobs.demonstration import demo
from tapetum.jobs.evaluation import evaluate
from tapetum.jobs.exporting import export
from tapetum.jobs.fit_result import FitResult
from tapetum.jobs.fitting import fit
from tapetum.jobs.searching import search
from tapetum.jobs.training import train, train_network

__all__ = [
    "DigitOptions",
    "FitResult",
    "control",
    "demo",
    "evaluate",
    "export",
    "fit",
    "search",
    "train",
    "train_network",
]
