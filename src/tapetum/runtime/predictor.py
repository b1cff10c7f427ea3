"""A package at work: a noisy image in, a denoised image and a name out.

An image above the memory limit is cut into tiles (:mod:`tapetum.runtime.tiles`).  The denoised
image and the labels of boxes are then the same as for the whole image.  The label of a whole
image is not: its probabilities are the mean of the tiles' probabilities, each weighted by the
area of its core; :attr:`Prediction.tiled` says when this happened.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.errors import InputError, PackageError, TapetumError, nearest
from tapetum.runtime.image import DecodedImage
from tapetum.runtime.inputs import Source, as_source, check_boxes, images_in
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.package import Package, open_package
from tapetum.runtime.session import GraphSession, keep_outputs
from tapetum.runtime.tiles import Limits, Run, Window, copy_core, plan_runs

__all__ = ["Mode", "Prediction", "Predictor"]

Mode = Literal["both", "label", "image"]

# ONNX Runtime's arena grows by doubling: on tiled UNets 1.0 to 1.6 times the estimate was measured.
_ARENA_FACTOR = 2.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network makes of one image.

    Attributes:
        denoised: The denoised image, as deep as the noisy one and with its alpha; None where it
            was not asked for, or is neither grey nor RGB.
        pixels: The same as numbers, shape (c, h, w), in [0, 1]; None where it was not asked for.
        labels: The most probable class of the image, or of each box; empty where not asked for.
        probabilities: Shape (1, classes) for an image, (k, classes) for boxes; each row adds up
            to 1.  None where not asked for.
        latency_ms: Time in the runtime alone: no reading, no conversion.
        tiled: Whether the image was cut into tiles.
    """

    denoised: DecodedImage | None
    pixels: NDArray[np.float32] | None
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32] | None
    latency_ms: float
    tiled: bool

    @property
    def label(self) -> str | None:
        """The label, where there is just one."""
        return self.labels[0] if len(self.labels) == 1 else None

    @property
    def confidences(self) -> tuple[float, ...]:
        """The probability of each label."""
        if self.probabilities is None:
            return ()
        return tuple(self.probabilities.max(axis=1).tolist())


class _Answer(NamedTuple):
    """What one run, or all of them, gave: (c, h, w) and (1 or k, classes)."""

    denoised: NDArray[np.float32] | None
    probabilities: NDArray[np.float32] | None
    latency_ms: float


class Predictor:
    """Runs a package on images.

    Args:
        package: An opened package.
        threads: That share the work; as many as there are cores where null.
        mode: ``both`` gives all that the package can; ``label`` and ``image`` leave out the
            other branch and its cost.
        memory_mib: Larger images are tiled, so that a run stays below this; the image itself
            comes on top.
        max_pixels: The same limit as a number of pixels, where it is known better.

    Raises:
        InputError: The package cannot give what the mode asks for, or a limit below one.
        PackageError: ONNX Runtime does not accept the graph.
    """

    def __init__(
        self,
        package: Package,
        *,
        threads: int | None = None,
        mode: Mode = "both",
        memory_mib: int = 1024,
        max_pixels: int | None = None,
    ) -> None:
        if memory_mib < 1 or (max_pixels is not None and max_pixels < 1):
            raise InputError("the memory limit is less than one", "raise it or leave it out")
        self.manifest = package.manifest
        self.mode = mode
        self.outputs = _outputs(package.manifest, mode)
        by_memory = int(memory_mib * 2**20 / (_ARENA_FACTOR * package.manifest.bytes_per_pixel))
        self.max_pixels = max_pixels or max(1, by_memory)
        self._session = GraphSession(_graph_for(package, self.outputs), threads=threads)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        threads: int | None = None,
        mode: Mode = "both",
        memory_mib: int = 1024,
        max_pixels: int | None = None,
    ) -> Self:
        """Opens and checks a ``.tapetum`` file; the arguments are those of the class.

        Raises:
            PackageError: The file is no whole package that this version can run.
            InputError: The package cannot give what the mode asks for.
        """
        return cls(
            open_package(Path(path)),
            threads=threads,
            mode=mode,
            memory_mib=memory_mib,
            max_pixels=max_pixels,
        )

    @property
    def takes_boxes(self) -> bool:
        """Whether each call must say which boxes are to be named."""
        return "boxes" in self._session.input_names

    def __call__(
        self, image: Path | str | NDArray[Any] | DecodedImage, *, boxes: ArrayLike | None = None
    ) -> Prediction:
        """Denoises and names one image.

        Args:
            image: A file; a :class:`DecodedImage`; or an array of shape (h, w) or (h, w, c), of
                uint8, uint16, or floats on the scale [0, 1], which noise may leave.  Grey and RGB
                are turned into what the network takes.
            boxes: Shape (k, 4), left, top, right, bottom in pixels, where labels belong to boxes.

        Raises:
            InputError: The image or the boxes do not fit the network.
            DataError: The file cannot be read.
        """
        self._check_boxes_wanted(given=boxes is not None)
        source = as_source(image, self.manifest)
        height, width = source.pixels.shape[1:]
        checked = None if boxes is None else check_boxes(boxes, height, width)
        limits = self._limits(height, width)
        runs = plan_runs(height, width, checked, limits, with_image="denoised" in self.outputs)
        answer = self._run(source.pixels, runs, checked)
        return self._prediction(source, answer, tiled=height * width > self.max_pixels)

    def folder(self, path: Path) -> Iterator[tuple[Path, Prediction | TapetumError]]:
        """Goes through the images of a folder, sorted by name.

        Returns:
            Each file with its prediction, or with the reason why there is none.

        Raises:
            DataError: There is no such folder, or no image in it.
            InputError: Labels belong to boxes, which a folder does not have.
        """
        self._check_boxes_wanted(given=False)
        return self._each(images_in(path))

    def warm_up(self, height_px: int | None = None, width_px: int | None = None) -> None:
        """Runs once on a grey image, so that the first real one is not the slow one.

        Args:
            height_px: Of that image; as in training where null.
            width_px: The same.
        """
        height, width = height_px or self.manifest.size_px, width_px or self.manifest.size_px
        pixels = np.full((self.manifest.image_channels, height, width), 0.5, np.float32)
        self._ask(pixels, Window(0, 0, width, height), None)

    def _each(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Prediction | TapetumError]]:
        for path in paths:
            try:
                yield path, self(path)
            except TapetumError as error:
                yield path, error

    def _check_boxes_wanted(self, *, given: bool) -> None:
        if self.takes_boxes and not given:
            raise InputError(
                f"{self.manifest.name} names boxes, and none were passed",
                "pass boxes of shape (k, 4), or use mode='image'",
            )
        if given and not self.takes_boxes:
            reason = f"mode={self.mode!r} gives no labels of boxes"
            raise InputError(f"boxes were passed, but {reason} here", "leave the boxes out")

    def _limits(self, height: int, width: int) -> Limits:
        """What tiles of an image of this size must keep to."""
        manifest = self.manifest
        if manifest.tile_halo_px is None and height * width > self.max_pixels:
            raise InputError(
                f"the image of {width} x {height} px is above the limit of {self.max_pixels:,} "
                f"pixels, and {manifest.name} cannot be tiled: it looks at all places at once",
                "raise the memory limit, or make the image smaller",
            )
        return Limits(manifest.tile_halo_px or 0, manifest.stride_px, self.max_pixels)

    def _run(
        self, pixels: NDArray[np.float32], runs: Sequence[Run], boxes: NDArray[np.float32] | None
    ) -> _Answer:
        """Makes every run and puts the answers together."""
        denoised = np.empty_like(pixels) if "denoised" in self.outputs else None
        rows = 1 if boxes is None else len(boxes)
        probabilities = np.zeros((rows, len(self.manifest.class_names)), np.float32)
        latency_ms = 0.0
        for run in runs:
            answer = self._ask(pixels, run.window, None if boxes is None else boxes[run.boxes])
            latency_ms += answer.latency_ms
            if denoised is not None and answer.denoised is not None and run.core is not None:
                copy_core(denoised, run.window, run.core, answer.denoised)
            if answer.probabilities is None:
                continue
            if boxes is not None:
                probabilities[run.boxes] = answer.probabilities[: len(run.boxes)]
            elif run.core is not None:
                share = run.core.num_pixels / (pixels.shape[1] * pixels.shape[2])
                probabilities += np.float32(share) * answer.probabilities
        return _Answer(denoised, probabilities if "logits" in self.outputs else None, latency_ms)

    def _ask(
        self, pixels: NDArray[np.float32], window: Window, boxes: NDArray[np.float32] | None
    ) -> _Answer:
        """Runs the network on one window of an image."""
        feeds = {"noisy": np.ascontiguousarray(window.cut(pixels)[np.newaxis])}
        if self.takes_boxes:
            corner = np.array([[0, 0, 1, 1]], np.float32)  # a graph may not take zero boxes
            local = corner if boxes is None or not len(boxes) else window.shift(boxes)
            feeds["boxes"] = local[np.newaxis]
        start = time.perf_counter()
        values = self._session.run(self.outputs, feeds)
        latency_ms = 1000 * (time.perf_counter() - start)
        found = dict(zip(self.outputs, values, strict=True))
        self._check_answer(feeds, found)
        logits = found.get("logits")
        rows = None if logits is None else _softmax(logits.reshape(-1, logits.shape[-1]))
        denoised = found.get("denoised")
        return _Answer(None if denoised is None else denoised[0], rows, latency_ms)

    def _check_answer(
        self, feeds: dict[str, NDArray[np.float32]], found: dict[str, NDArray[np.float32]]
    ) -> None:
        """Refuses what a damaged graph answers: another size, or numbers that are none."""
        by_box = self.manifest.labels == "boxes" and "boxes" in feeds
        rows = feeds["boxes"].shape[:2] if by_box else (1,)
        shapes = {
            "denoised": feeds["noisy"].shape,
            "logits": (*rows, len(self.manifest.class_names)),
        }
        for name, value in found.items():
            if value.shape != shapes[name]:
                raise PackageError(
                    f"{self.manifest.name} answered with {name} of shape {value.shape} instead of "
                    f"{shapes[name]}",
                    "its graph is damaged: export it again",
                )
            if not np.isfinite(value).all():
                raise PackageError(
                    f"{self.manifest.name} answered with numbers that are not finite",
                    "its weights are damaged: train or export it again",
                )

    def _prediction(self, source: Source, answer: _Answer, *, tiled: bool) -> Prediction:
        pixels = None if answer.denoised is None else np.clip(answer.denoised, 0, 1)
        colour, image = self.manifest.colour, None
        if pixels is not None and colour != "other":
            image = DecodedImage(pixels, source.alpha, source.bit_depth, colour)
        best = () if answer.probabilities is None else answer.probabilities.argmax(axis=1)
        labels = tuple(self.manifest.class_names[index] for index in best)
        return Prediction(image, pixels, labels, answer.probabilities, answer.latency_ms, tiled)


def _outputs(manifest: Manifest, mode: Mode) -> tuple[str, ...]:
    """The graph's outputs that a mode asks for."""
    if mode not in get_args(Mode):
        raise InputError(f"there is no mode {mode!r}", nearest(str(mode), get_args(Mode)))
    if mode == "label" and not manifest.classifies:
        raise InputError(f"{manifest.name} only denoises images", "use mode='image'")
    if mode == "image" and not manifest.denoises:
        raise InputError(f"{manifest.name} only names images", "use mode='label'")
    outputs = ["denoised"] if manifest.denoises and mode != "label" else []
    return (*outputs, "logits") if manifest.classifies and mode != "image" else tuple(outputs)


def _graph_for(package: Package, outputs: Sequence[str]) -> bytes:
    """The graph, cut down to some of its outputs where it has more."""
    manifest = package.manifest
    if len(outputs) == manifest.denoises + manifest.classifies:
        return package.graph_bytes
    import onnx

    smaller = keep_outputs(onnx.load_model_from_string(package.graph_bytes), outputs)
    return bytes(smaller.SerializeToString())


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis; the largest logit is taken off first: no overflow."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shares
