"""How much quicker is batch normalisation by rows, alone and in a training step?

Each pair is measured in turn, A B A B, in one run; the ratio of the medians is what counts, since
the machine is shared.

Command:  python benchmarks/batch_norm.py [--json FILE]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from result_file import add_json_option, write_result
from tapetum.arch import find_architecture
from tapetum.nn import RowBatchNorm2d, build
from tapetum.training import prepare_process

ROUNDS = 15
SHAPES = ((8, 96), (12, 48), (18, 24), (27, 12))  # channels and side of UNet-S's levels


def compare(torchs: Callable[[], object], ours: Callable[[], object]) -> dict[str, float]:
    """Medians in milliseconds, and how often torch's fits into ours."""
    times: tuple[list[float], list[float]] = ([], [])
    for round_number in range(ROUNDS + 2):
        for kept, run in zip(times, (torchs, ours), strict=True):
            start = time.perf_counter()
            run()
            if round_number >= 2:
                kept.append(1000 * (time.perf_counter() - start))
    medians = [statistics.median(kept) for kept in times]
    return {
        "torch_ms": round(medians[0], 2),
        "ours_ms": round(medians[1], 2),
        "ratio": round(medians[0] / medians[1], 2),
    }


def layer(norm: nn.Module, x: Tensor) -> Callable[[], object]:
    """Forward and backward through one layer."""
    gradient = torch.randn_like(x)

    def run() -> None:
        given = x.detach().requires_grad_()
        norm(given).backward(gradient)

    return run


def step(*, rows: bool) -> Callable[[], object]:
    """A training step of the reduced Integrated DC-Net, batch 64, bf16, channels last."""
    network = build(find_architecture("dc-net-reduced-integrated"), seed=0)
    if not rows:
        norms: list[nn.Module] = [m for m in network.modules() if isinstance(m, RowBatchNorm2d)]
        for norm in norms:
            norm.__class__ = nn.BatchNorm2d  # its parent
    network.to(memory_format=torch.channels_last)
    noisy = torch.rand(64, 1, 96, 96).contiguous(memory_format=torch.channels_last)
    boxes = torch.tensor([[[3.0, 4.0, 31.0, 32.0], [50.0, 50.0, 78.0, 78.0]]]).repeat(64, 1, 1)

    def run() -> None:
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            image, logits = network(noisy, boxes)
        (image.float().square().mean() + logits.float().square().mean()).backward()

    return run


def main() -> None:
    """Prints a row for each shape and one for a whole step."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    out = parser.parse_args().json
    settings = prepare_process()
    result: dict[str, object] = {"settings": settings.model_dump(), "rounds": ROUNDS}
    for channels, side in SHAPES:
        x = torch.randn(64, channels, side, side).bfloat16()
        x = x.contiguous(memory_format=torch.channels_last)
        norms = nn.BatchNorm2d(channels), RowBatchNorm2d(channels)
        result[f"{channels} channels, {side} px"] = compare(*(layer(norm, x) for norm in norms))
    result["training step"] = compare(step(rows=False), step(rows=True))
    for name, found in result.items():
        print(f"{name}: {found}")
    write_result(result, out)


if __name__ == "__main__":
    main()
