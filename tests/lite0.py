"""A stand-in for the file of EfficientNet-Lite0's weights: as many blocks, with few channels."""

import hashlib
from pathlib import Path

import torch

WIDTHS = (4, 6, 6, 8, 8, 8, 8, 8, 10, 10, 10, 12, 12, 12, 12, 14)
KERNELS_PX = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)


def write_stand_in(path: Path) -> str:
    """Write random weights under the names of the real ones, and return their digest."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, torch.Tensor] = {}

    def add(conv: str, norm: str, outputs: int, inputs: int, kernel_px: int) -> None:
        shape = (outputs, inputs, kernel_px, kernel_px)
        spread = (2 / (inputs * kernel_px**2)) ** 0.5
        weights[f"{conv}.weight"] = spread * torch.randn(shape, generator=generator)
        weights[f"{norm}.weight"] = 0.5 + torch.rand(outputs, generator=generator)
        weights[f"{norm}.bias"] = 0.5 * torch.randn(outputs, generator=generator)
        weights[f"{norm}.running_mean"] = 0.1 * torch.randn(outputs, generator=generator)
        weights[f"{norm}.running_var"] = 0.5 + torch.rand(outputs, generator=generator)

    add("_conv_stem", "_bn0", 8, 3, 3)
    before = 8
    for number, (width, kernel_px) in enumerate(zip(WIDTHS, KERNELS_PX, strict=True)):
        place, hidden = f"_blocks.{number}.", before if number == 0 else 3 * before
        if number:
            add(f"{place}_expand_conv", f"{place}_bn0", hidden, before, 1)
        add(f"{place}_depthwise_conv", f"{place}_bn1", hidden, 1, kernel_px)
        add(f"{place}_project_conv", f"{place}_bn2", width, hidden, 1)
        before = width
    add("_conv_head", "_bn1", 16, before, 1)
    torch.save(weights, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
