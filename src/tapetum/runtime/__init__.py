"""Open and run packages on a device, without torch; start at :class:`Predictor`."""

from tapetum.runtime import bulk, image
from tapetum.runtime.image import DecodedImage, write_image
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.package import Package, open_package, write_package
from tapetum.runtime.prediction import Prediction
from tapetum.runtime.predictor import Predictor
from tapetum.runtime.preparation import Preparation, Resize
from tapetum.runtime.session import GraphSession, load_onnxruntime
from tapetum.runtime.split import Split
from tapetum.runtime.walk import LeftOut, display_name, walk

__all__ = [
    "DecodedImage",
    "GraphSession",
    "LeftOut",
    "Manifest",
    "Package",
    "Prediction",
    "Predictor",
    "Preparation",
    "Resize",
    "Split",
    "bulk",
    "display_name",
    "image",
    "load_onnxruntime",
    "open_package",
    "walk",
    "write_image",
    "write_package",
]
