"""Tapetum: one small network that denoises an image and classifies it within a latency budget.

Everything here loads when it is first used, so that importing ``tapetum`` is quick::

    import tapetum

    tapetum.fit("photos", "runs/photos", target_ms=8)
    predictor = tapetum.Predictor.open("runs/photos/model.tapetum")
    result = predictor("night.png")
"""

TYPE_CHECKING = False  # that of typing would take some milliseconds, in which Ctrl-C is not heard
if TYPE_CHECKING:
    from typing import Any

    from tapetum import jobs
    from tapetum.arch import Architecture, Space, architecture_names, find_architecture
    from tapetum.errors import TapetumError
    from tapetum.latency import measure_latency
    from tapetum.runtime import Predictor, open_package

    # Not "from tapetum.jobs import": mypy loses its way in the cycle through __version__.
    calibrate, evaluate, export = jobs.calibrate, jobs.evaluate, jobs.export
    fit, train = jobs.fit, jobs.train

__all__ = [
    "Architecture",
    "Predictor",
    "Space",
    "TapetumError",
    "__version__",
    "architecture_names",
    "calibrate",
    "evaluate",
    "export",
    "find_architecture",
    "fit",
    "measure_latency",
    "open_package",
    "train",
]

__version__ = "0.1.0"

_ROOMS = {
    "Architecture": "arch",
    "Predictor": "runtime",
    "Space": "arch",
    "TapetumError": "errors",
    "architecture_names": "arch",
    "calibrate": "jobs",
    "evaluate": "jobs",
    "export": "jobs",
    "find_architecture": "arch",
    "fit": "jobs",
    "measure_latency": "latency",
    "open_package": "runtime",
    "train": "jobs",
}


def __getattr__(name: str) -> "Any":
    if name not in _ROOMS:
        raise AttributeError(f"module 'tapetum' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tapetum.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
