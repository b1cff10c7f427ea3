"""Open and run packages on a device, without torch; start at :class:`Predictor`."""

from tapetum.runtime import bulk, video
from tapetum.runtime.brightness import BrightnessRange, brightness_of
from tapetum.runtime.budget import KeptBudget
from tapetum.runtime.facts import AddedNoise, facts_of, noise_text
from tapetum.runtime.manifest import Manifest, Precision
from tapetum.runtime.package import Package, open_package, write_package
from tapetum.runtime.prediction import Prediction, require_labels
from tapetum.runtime.predictor import Predictor
from tapetum.runtime.preparation import Preparation, Resize
from tapetum.runtime.session import GraphSession, load_onnxruntime
from tapetum.runtime.split import Split

__all__ = [
    "AddedNoise",
    "BrightnessRange",
    "GraphSession",
    "KeptBudget",
    "Manifest",
    "Package",
    "Precision",
    "Prediction",
    "Predictor",
    "Preparation",
    "Resize",
    "Split",
    "brightness_of",
    "bulk",
    "facts_of",
    "load_onnxruntime",
    "noise_text",
    "open_package",
    "require_labels",
    "video",
    "write_package",
]
