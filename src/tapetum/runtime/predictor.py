"""Run a package: a noisy image in, a denoised image and a label out.

An image above the memory limit is cut into tiles (:mod:`tapetum.runtime.tiles`). The denoised image
and the labels of boxes are then the same as for the whole image. The label of a whole image is not:
its probabilities are the mean of those of the tiles, weighted by the area of their cores.
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

# The arena of ONNX Runtime grows by doubling: tiled UNets took 1.0 to 1.6 times the estimate.
_ARENA_FACTOR = 2.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one image.

    Attributes:
        denoised: The denoised image, with the depth and the alpha of the noisy one; None if it was
            not requested, or is neither grey nor RGB.
        pixels: The same as an array, shape (c, h, w), in [0, 1]; None if not requested.
        labels: The most probable class of the image, or of each box; empty if not requested.
        probabilities: Shape (1, classes) for an image, (k, classes) for boxes; each row sums to 1.
            None if not requested.
        latency_ms: Time in the runtime alone, without reading or conversion, in milliseconds.
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
        """The label of the image, or of its only box."""
        return self.labels[0] if len(self.labels) == 1 else None

    @property
    def confidences(self) -> tuple[float, ...]:
        """The probability of each label."""
        if self.probabilities is None:
            return ()
        return tuple(self.probabilities.max(axis=1).tolist())


class _Answer(NamedTuple):
    """The outputs of one run or of all runs: (c, h, w) and (1 or k, classes)."""

    denoised: NDArray[np.float32] | None
    probabilities: NDArray[np.float32] | None
    latency_ms: float


class Predictor:
    """Denoise and classify images with a package.

    Example:
        >>> import numpy as np
        >>> import tapetum
        >>> predictor = tapetum.Predictor.open("digits.tapetum")
        >>> result = predictor(np.zeros((96, 96), np.float32), boxes=[[10, 10, 38, 38]])
        >>> result.label in predictor.manifest.class_names
        True

    Args:
        package: An opened package.
        threads: Threads that share the work; by default one per core.
        mode: ``both`` returns all that the package can; ``label`` and ``image`` skip the other
            branch and its cost.
        memory_mib: Memory limit of a run in MiB, the image itself not counted; larger images are
            cut into tiles.
        max_pixels: The same limit as a number of pixels.

    Raises:
        InputError: The package does not have the output of the mode, or a limit is below one.
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
            raise InputError("the memory limit is below one", "raise it or leave it out")
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
        """Open and check a ``.tapetum`` file; the arguments are those of the class.

        Raises:
            PackageError: The file is not a complete package that this version can run.
            InputError: The package does not have the output of the mode.
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
        """Whether each call needs the boxes to classify."""
        return "boxes" in self._session.input_names

    def __call__(
        self, image: Path | str | NDArray[Any] | DecodedImage, *, boxes: ArrayLike | None = None
    ) -> Prediction:
        """Denoise and classify one image.

        Args:
            image: A file; a :class:`DecodedImage`; or an array of shape (h, w) or (h, w, c), of
                uint8, uint16, or floats on the scale [0, 1] (noise may exceed it). Grey and RGB are
                converted to the channels of the network.
            boxes: Shape (k, 4): left, top, right, bottom in pixels; only for networks that classify
                boxes.

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
        """Predict the images of a folder, sorted by name: each file with its prediction, or error.

        Raises:
            DataError: There is no such folder, or no image in it.
            InputError: The network classifies boxes, which a folder does not have.
        """
        self._check_boxes_wanted(given=False)
        return self._each(images_in(path))

    def warm_up(self, height_px: int | None = None, width_px: int | None = None) -> None:
        """Run once on a grey image, so that the first real image is not slower than the others.

        The size is by default that of the training.
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
                f"{self.manifest.name} classifies boxes, but none were passed",
                "pass boxes of shape (k, 4), or use mode='image'",
            )
        if given and not self.takes_boxes:
            problem = f"boxes were passed, but mode={self.mode!r} gives no labels of boxes here"
            raise InputError(problem, "leave the boxes out")

    def _limits(self, height: int, width: int) -> Limits:
        """Return the limits of tiles for an image of this size."""
        manifest = self.manifest
        if manifest.tile_halo_px is None and height * width > self.max_pixels:
            raise InputError(
                f"the image of {width} x {height} px is above the limit of {self.max_pixels:,} "
                f"pixels, and {manifest.name} cannot be tiled: a layer sees the whole image",
                "raise the memory limit, or make the image smaller",
            )
        return Limits(manifest.tile_halo_px or 0, manifest.stride_px, self.max_pixels)

    def _run(
        self, pixels: NDArray[np.float32], runs: Sequence[Run], boxes: NDArray[np.float32] | None
    ) -> _Answer:
        """Make every run and combine the outputs."""
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
        """Run the network on one window of an image."""
        feeds = {"noisy": np.ascontiguousarray(window.cut(pixels)[np.newaxis])}
        if self.takes_boxes:
            corner = np.array([[0, 0, 1, 1]], np.float32)  # a graph needs at least one box
            local = corner if boxes is None or not len(boxes) else window.shift(boxes)
            feeds["boxes"] = local[np.newaxis]
        start = time.perf_counter()
        values = self._session.run(self.outputs, feeds)
        latency_ms = 1000 * (time.perf_counter() - start)
        outputs = dict(zip(self.outputs, values, strict=True))
        self._check_answer(feeds, outputs)
        logits = outputs.get("logits")
        rows = None if logits is None else _softmax(logits.reshape(-1, logits.shape[-1]))
        denoised = outputs.get("denoised")
        return _Answer(None if denoised is None else denoised[0], rows, latency_ms)

    def _check_answer(
        self, feeds: dict[str, NDArray[np.float32]], outputs: dict[str, NDArray[np.float32]]
    ) -> None:
        """Refuse the outputs of a damaged graph: another size, or values that are not finite."""
        rows = feeds["boxes"].shape[:2] if self.takes_boxes else (1,)
        logits = (*rows, len(self.manifest.class_names))
        shapes = {"denoised": feeds["noisy"].shape, "logits": logits}
        for name, value in outputs.items():
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

    def _prediction(self, source: Source, answer: _Answer, *, tiled: bool) -> Prediction:
        pixels = None if answer.denoised is None else np.clip(answer.denoised, 0, 1)
        colour, image = self.manifest.colour, None
        if pixels is not None and colour != "other":
            image = DecodedImage(pixels, source.alpha, source.bit_depth, colour)
        best = () if answer.probabilities is None else answer.probabilities.argmax(axis=1)
        labels = tuple(self.manifest.class_names[index] for index in best)
        return Prediction(image, pixels, labels, answer.probabilities, answer.latency_ms, tiled)


def _outputs(manifest: Manifest, mode: Mode) -> tuple[str, ...]:
    """Return the graph outputs of a mode."""
    if mode not in get_args(Mode):
        raise InputError(f"there is no mode {mode!r}", nearest(str(mode), get_args(Mode)))
    if mode == "label" and not manifest.classifies:
        raise InputError(f"{manifest.name} only denoises images", "use mode='image'")
    if mode == "image" and not manifest.denoises:
        raise InputError(f"{manifest.name} only classifies images", "use mode='label'")
    outputs = ["denoised"] if manifest.denoises and mode != "label" else []
    return (*outputs, "logits") if manifest.classifies and mode != "image" else tuple(outputs)


def _graph_for(package: Package, outputs: Sequence[str]) -> bytes:
    """Return the graph, reduced to some of its outputs if it has more."""
    manifest = package.manifest
    if len(outputs) == manifest.denoises + manifest.classifies:
        return package.graph_bytes
    import onnx

    smaller = keep_outputs(onnx.load_model_from_string(package.graph_bytes), outputs)
    return bytes(smaller.SerializeToString())


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities along the last axis; subtracting the largest logit prevents overflow."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shares
