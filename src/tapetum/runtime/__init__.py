"""Packages and what runs them, on a device without torch.

::

    from pathlib import Path

    from tapetum.runtime import Predictor, write_picture

    predictor = Predictor.open("demo.tapetum")
    result = predictor("night.png")
    print(result.label, result.confidences)
    write_picture(Path("night-cleaned.png"), result.cleaned)
"""

from tapetum.runtime.image import (
    PICTURE_SUFFIXES,
    Picture,
    as_colour,
    read_picture,
    write_picture,
)
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.package import Package, open_package, write_package
from tapetum.runtime.predictor import Prediction, Predictor
from tapetum.runtime.session import GraphSession, keep_outputs
from tapetum.runtime.tiles import halo_px

__all__ = [
    "PICTURE_SUFFIXES",
    "GraphSession",
    "Manifest",
    "Package",
    "Picture",
    "Prediction",
    "Predictor",
    "as_colour",
    "halo_px",
    "keep_outputs",
    "open_package",
    "read_picture",
    "write_package",
    "write_picture",
]
