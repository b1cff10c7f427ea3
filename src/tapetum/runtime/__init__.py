"""Packages and what runs them, on a device without torch.

::

    from pathlib import Path

    from tapetum.runtime import Predictor, write_image

    predictor = Predictor.open("demo.tapetum")
    result = predictor("night.png")
    print(result.label, result.confidences)
    write_image(Path("night-denoised.png"), result.denoised)
"""

from tapetum.runtime.image import (
    IMAGE_SUFFIXES,
    DecodedImage,
    as_colour,
    read_image,
    write_image,
)
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.package import Package, open_package, write_package
from tapetum.runtime.predictor import Prediction, Predictor
from tapetum.runtime.session import GraphSession, keep_outputs
from tapetum.runtime.tiles import halo_px

__all__ = [
    "IMAGE_SUFFIXES",
    "DecodedImage",
    "GraphSession",
    "Manifest",
    "Package",
    "Prediction",
    "Predictor",
    "as_colour",
    "halo_px",
    "keep_outputs",
    "open_package",
    "read_image",
    "write_image",
    "write_package",
]
