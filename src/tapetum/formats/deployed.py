"""The network of a package as a torch module with the preparation of images inside."""

import numpy as np
import onnx
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from tapetum.graph import unfold_weights
from tapetum.nn import build
from tapetum.runtime import Package, Preparation

__all__ = ["DeployedModule"]

_Floats = NDArray[np.float32]


class DeployedModule(nn.Module):
    """A network for images of one size, for converters that read torch modules.

    Args:
        package: A package in fp32 that classifies no boxes.
        size: Height and width of all images.
    """

    rows: Tensor
    columns: Tensor
    rest: Tensor

    def __init__(self, package: Package, size: tuple[int, int]) -> None:
        super().__init__()
        manifest = package.manifest
        graph = onnx.load_model_from_string(package.graph_bytes).graph
        constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        weights = unfold_weights(manifest.architecture, constants)
        self.network = build(manifest.architecture, seed=0)
        self.network.load_state_dict(
            {name: torch.from_numpy(array.copy()) for name, array in weights.items()}, strict=False
        )
        self.is_resized = manifest.resizes_for_labels(size)
        if self.is_resized:
            arrays = _resize_of(manifest.preparation, *size)
            for name, array in zip(("rows", "columns", "rest"), arrays, strict=True):
                self.register_buffer(name, torch.from_numpy(array))
        self.requires_grad_(False)  # what the network does for gradients alone is not exported

    def forward(self, noisy: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """Return what there is of ``denoised`` in [0, 1] and ``probabilities``."""
        image, logits = self.network(noisy)
        if self.is_resized:
            logits = self.network.label(self.rows @ noisy @ self.columns + self.rest)
        found = {} if image is None else {"denoised": image.clamp(0, 1)}
        return found if logits is None else {**found, "probabilities": logits.softmax(dim=1)}


def _resize_of(preparation: Preparation, height: int, width: int) -> tuple[_Floats, ...]:
    """Return the matrices left and right of an image, and what is added, of its preparation.

    It is linear in the rows and in the columns, but for the grey around a letterbox. So images of
    which one row, or one column, is white say both matrices.
    """
    rest = preparation.resized(np.zeros((1, height, width), np.float32))
    middle = rest.shape[1] // 2

    def answer(row: int | slice, column: int | slice) -> _Floats:
        image = np.zeros((1, height, width), np.float32)
        image[0, row, column] = 1
        found: _Floats = preparation.resized(image)[0] - rest[0]
        return found

    whole = slice(None)
    rows = np.stack([answer(index, whole)[:, middle] for index in range(height)], axis=1)
    columns = np.stack([answer(whole, index)[middle] for index in range(width)])
    return rows, columns, rest
