"""Denoise and prepare images whose pixels as floats would fill the memory.

Such an image stays as its file stores it. It is converted, denoised and stored again in bands of
rows. A band is grown by the halo of the network and begins at a multiple of its stride, so the
result is that of the whole image, as for tiles (:mod:`tapetum.runtime.tiles`).

The label comes from the whole image: each band is reduced to the width of the prepared image, then
all of them to its height. A resize of the whole image works in the same two steps.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.images import StoredImage, resample
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.network import PackagedNetwork

__all__ = ["LARGE_PIXELS", "denoise_bands", "has_bands", "prepare_bands"]

LARGE_PIXELS = 64_000_000
"""Images above this are predicted in bands: their floats take 256 MB a channel and copy."""

_BAND_PIXELS = 16_000_000


def has_bands(manifest: Manifest, outputs: tuple[str, ...]) -> bool:
    """Whether these outputs can be made of bands: a finite reach, and a label of the whole image.

    The parts of an image that a crop or a letterbox shows are not cut into bands.
    """
    preparation = manifest.preparation
    is_squashed = preparation.resize == "squash" and preparation.size_px is not None
    can_label = manifest.labels != "boxes" and is_squashed
    can_denoise = manifest.tile_halo_px is not None or "denoised" not in outputs
    return manifest.colour != "other" and can_denoise and (can_label or "logits" not in outputs)


def denoise_bands(network: PackagedNetwork, image: StoredImage) -> tuple[StoredImage, float]:
    """Return the denoised image as it is stored, and the time in the network in milliseconds."""
    manifest, latency_ms = network.manifest, 0.0
    preparation, halo_px = manifest.preparation, manifest.tile_halo_px or 0
    height = image.samples.shape[0]
    bands: list[NDArray[Any]] = []
    for top, bottom in _bands(image, manifest.stride_px):
        seen_top = max(0, top - halo_px)
        noisy = image.rows(seen_top, min(height, bottom + halo_px)).decoded()
        answer = network.run(("denoised",), preparation.colours(noisy), None)
        latency_ms += answer.latency_ms
        assert answer.denoised is not None  # noqa: S101  (it was requested)
        restored = preparation.restored(np.clip(answer.denoised, 0, 1), noisy)
        denoised = noisy.with_pixels(restored, white=preparation.white_of(noisy))
        bands.append(denoised.to_samples()[top - seen_top : bottom - seen_top])
    return image.with_samples(np.concatenate(bands)), latency_ms


def prepare_bands(manifest: Manifest, image: StoredImage) -> NDArray[np.float32]:
    """Return the input of the network that labels, (c, size_px, size_px)."""
    preparation = manifest.preparation
    assert preparation.size_px is not None  # noqa: S101  (such images have bands)
    narrow = []
    for top, bottom in _bands(image, 1):
        colours = preparation.colours(image.rows(top, bottom).decoded())
        narrow.append(resample(colours, height=bottom - top, width=preparation.size_px))
    return preparation.resized(np.concatenate(narrow, axis=1))


def _bands(image: StoredImage, stride_px: int) -> Iterator[tuple[int, int]]:
    """Return the rows of each band: top and bottom; it begins at a multiple of the stride."""
    height, width = image.samples.shape[:2]
    rows = max(1, _BAND_PIXELS // width // stride_px) * stride_px
    return ((top, min(height, top + rows)) for top in range(0, height, rows))
