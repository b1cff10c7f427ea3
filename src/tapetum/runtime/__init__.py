"""Open and run packages on a device, without torch.

::

    from pathlib import Path

    from tapetum.runtime import Predictor, write_image

    predictor = Predictor.open("demo.tapetum")
    result = predictor("night.png")
    print(result.label, result.confidences)
    write_image(Path("night-denoised.png"), result.denoised)
"""

from tapetum.runtime import bulk, image
from tapetum.runtime.image import DecodedImage, read_image, write_image
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.package import Package, open_package, write_package
from tapetum.runtime.predictor import Prediction, Predictor
from tapetum.runtime.session import GraphSession, load_onnxruntime

__all__ = [
    "DecodedImage",
    "GraphSession",
    "Manifest",
    "Package",
    "Prediction",
    "Predictor",
    "bulk",
    "image",
    "load_onnxruntime",
    "open_package",
    "read_image",
    "write_image",
    "write_package",
]
