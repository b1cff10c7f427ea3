"""The network of a package, run on one image at a time, whole or in tiles."""

import os
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum import metrics
from tapetum.errors import InputError, PackageError
from tapetum.runtime.package import Package
from tapetum.runtime.session import GraphSession
from tapetum.runtime.tiles import Limits, Window, copy_core, plan_runs

__all__ = ["Answer", "PackagedNetwork"]

_Floats = NDArray[np.float32]


class Answer(NamedTuple):
    """The outputs for one image.

    Attributes:
        denoised: Shape (c, h, w), as the network returns it; None if not requested.
        probabilities: Shape (1, classes), or (k, classes) for boxes; None if not requested.
        latency_ms: Time in the runtime, in milliseconds.
        tiled: Whether the image was cut into tiles.
    """

    denoised: _Floats | None
    probabilities: _Floats | None
    latency_ms: float
    tiled: bool = False


class PackagedNetwork:
    """The graph of a package, in a session for each set of outputs that is requested.

    Sessions are opened when they are first needed, and again in a forked process: the threads of a
    session do not survive a fork.

    Args:
        package: An opened package.
        threads: Threads that share the work; by default one per core.
        provider: What computes; see :class:`GraphSession`.
        max_pixels: The largest area of an image that is not cut into tiles.
    """

    def __init__(
        self, package: Package, *, threads: int | None, provider: str, max_pixels: int
    ) -> None:
        self.manifest = package.manifest
        self.max_pixels = max_pixels
        self._package = package
        self._threads = threads
        self._provider = provider
        self._sessions: dict[tuple[int, tuple[str, ...]], GraphSession] = {}

    def session(self, outputs: tuple[str, ...]) -> GraphSession:
        """Return the session of a graph with these outputs alone."""
        key = (os.getpid(), outputs)
        found = self._sessions.get(key)
        if found is None:
            opened = GraphSession(
                self._package.graph_for(outputs), threads=self._threads, provider=self._provider
            )
            found = self._sessions.setdefault(key, opened)  # of two threads, the first one counts
        return found

    def run(self, outputs: tuple[str, ...], pixels: _Floats, boxes: _Floats | None) -> Answer:
        """Run the network on an image (c, h, w) and its boxes (k, 4), in tiles above the limit."""
        height, width = pixels.shape[1:]
        limits = self._limits(height, width, outputs)
        runs = plan_runs(height, width, boxes, limits, with_image="denoised" in outputs)
        denoised = np.empty_like(pixels) if "denoised" in outputs else None
        rows = 1 if boxes is None else len(boxes)
        probabilities = np.zeros((rows, len(self.manifest.class_names)), np.float32)
        latency_ms = 0.0
        for run in runs:
            held = None if boxes is None else boxes[run.boxes]
            answer = self._ask(outputs, pixels, run.window, held)
            latency_ms += answer.latency_ms
            if denoised is not None and answer.denoised is not None and run.core is not None:
                copy_core(denoised, run.window, run.core, answer.denoised)
            if answer.probabilities is not None:
                ours = [0] if boxes is None else run.boxes
                probabilities[ours] = answer.probabilities[: len(ours)]
        tiled = height * width > self.max_pixels
        return Answer(denoised, probabilities if "logits" in outputs else None, latency_ms, tiled)

    def _limits(self, height: int, width: int, outputs: tuple[str, ...]) -> Limits:
        """Return the limits of tiles for an image of this size."""
        manifest = self.manifest
        sees_all = manifest.labels == "whole" and "logits" in outputs
        if (manifest.tile_halo_px is None or sees_all) and height * width > self.max_pixels:
            why = "its label is of the whole image" if sees_all else "a layer sees the whole image"
            raise InputError(
                f"the image of {width} x {height} px is above the limit of {self.max_pixels:,} "
                f"pixels, and {manifest.name} cannot be tiled: {why}",
                "raise the memory limit, or make the image smaller",
            )
        return Limits(manifest.tile_halo_px or 0, manifest.stride_px, self.max_pixels)

    def _ask(
        self, outputs: tuple[str, ...], pixels: _Floats, window: Window, boxes: _Floats | None
    ) -> Answer:
        """Run the network on one window of an image."""
        session = self.session(outputs)
        feeds = {"noisy": np.ascontiguousarray(window.cut(pixels)[np.newaxis])}
        if "boxes" in session.input_names:
            corner = np.array([[0, 0, 1, 1]], np.float32)  # a graph needs at least one box
            local = corner if boxes is None or not len(boxes) else window.shift(boxes)
            feeds["boxes"] = local[np.newaxis]
        start = time.perf_counter()
        values = session.run(outputs, feeds)
        latency_ms = 1000 * (time.perf_counter() - start)
        found = dict(zip(outputs, values, strict=True))
        self._check_answer(feeds, found)
        logits, denoised = found.get("logits"), found.get("denoised")
        rows = None if logits is None else metrics.softmax(logits.reshape(-1, logits.shape[-1]))
        return Answer(None if denoised is None else denoised[0], rows, latency_ms)

    def _check_answer(self, feeds: dict[str, _Floats], found: dict[str, _Floats]) -> None:
        """Refuse the outputs of a damaged graph: another size, or values that are not finite."""
        rows = feeds["boxes"].shape[:2] if "boxes" in feeds else (1,)
        logits = (*rows, len(self.manifest.class_names))
        shapes = {"denoised": feeds["noisy"].shape, "logits": logits}
        for name, value in found.items():
            if value.shape != shapes[name]:
                raise PackageError(
                    f"{self.manifest.name} returned {name} of shape {value.shape} instead of "
                    f"{shapes[name]}",
                    "its graph is damaged: export it again",
                )
            if not np.isfinite(value).all():
                raise PackageError(
                    f"{self.manifest.name} returned numbers that are not finite",
                    "its weights are damaged: train or export it again",
                )
