"""How batches come to the device that trains."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tapetum.training.batches import Batch
from tapetum.training.compute import Compute


@pytest.mark.parametrize(("kind", "is_pinned"), [("cuda", True), ("mps", False), ("xpu", False)])
def test_a_copy_is_waited_for_unless_its_source_is_pinned(
    kind: str, is_pinned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only from pinned memory may a copy go on while the program does."""
    copies = list[tuple[str, bool]]()

    def to(tensor: Tensor, device: torch.device, *, non_blocking: bool) -> Tensor:
        copies.append((device.type, non_blocking))
        return tensor

    pinned = list[Any]()
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    monkeypatch.setattr(Tensor, "to", to)
    compute = object.__new__(Compute)
    compute.device = torch.device(kind)
    images = torch.rand(2, 1, 4, 4)
    moved = compute.move(Batch(images, images, None, None), channels_last=False)
    assert moved.noisy is images
    assert copies == 2 * [(kind, is_pinned)]
    assert len(pinned) == 2 * is_pinned


@pytest.mark.parametrize(("kind", "times"), [("cpu", 0), ("cuda", 1), ("mps", 1)])
def test_a_device_that_works_by_itself_is_waited_for(
    kind: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU has done its work already."""
    waits = list[int]()
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: waits.append(1))
    compute = object.__new__(Compute)
    compute.device = torch.device(kind)
    compute.wait_for_device()
    assert len(waits) == times
