"""Open and run packages on a device, without torch; start at :class:`Predictor`."""

from tapetum.runtime import bulk
from tapetum.runtime.manifest import Manifest, Precision
from tapetum.runtime.package import Package, open_package, write_package
from tapetum.runtime.prediction import Prediction
from tapetum.runtime.predictor import Predictor
from tapetum.runtime.preparation import Preparation, Resize
from tapetum.runtime.session import GraphSession, load_onnxruntime
from tapetum.runtime.split import Split

__all__ = [
    "GraphSession",
    "Manifest",
    "Package",
    "Precision",
    "Prediction",
    "Predictor",
    "Preparation",
    "Resize",
    "Split",
    "bulk",
    "load_onnxruntime",
    "open_package",
    "write_package",
]
