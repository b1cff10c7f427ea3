"""Boxes of images, for networks that classify boxes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError
from tapetum.records import read_json

__all__ = ["Boxes", "read_boxes"]

Boxes = dict[str, NDArray[np.float32]]
"""The boxes of each image, (k, 4): left, top, right, bottom in pixels."""


def read_boxes(path: Path) -> Boxes:
    """Read ``{"image.png": [[left, top, right, bottom], ...]}``; keys may be paths in a folder.

    An image with an empty list has no labels.

    Raises:
        InputError: The file is not such JSON.
    """
    try:
        entries = read_json(path)
        with np.errstate(over="raise"):
            boxes = {name: np.array(rows, dtype=np.float32) for name, rows in entries.items()}
        for name, rows in boxes.items():
            if len(rows) and (rows.ndim != 2 or rows.shape[1] != 4):
                raise ValueError(f"{name}: a box has four numbers")
        return boxes
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"{path} does not list boxes ({error})",
            'write {"image.png": [[left, top, right, bottom], ...]}',
        ) from error
