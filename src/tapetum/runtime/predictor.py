"""Run a package: a noisy image in, a denoised image and a label out.

The label of a whole image is made from the prepared image (:mod:`tapetum.runtime.preparation`), as
in training and scoring. The denoised image and the labels of boxes are made at full resolution.
Where both are wanted of an image that is not prepared already, the network runs twice, each time
reduced to the branch that is needed.

At full resolution an image above the memory limit is cut into tiles (:mod:`tapetum.runtime.tiles`).
The denoised image and the labels of boxes are then the same as for the whole image.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple, Self, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, PositiveInt

from tapetum.errors import DataError, InputError, TapetumError
from tapetum.images import DecodedImage, LeftOut, StoredImage, display_name, scan
from tapetum.provenance import within_cores
from tapetum.records import Record, as_path, faults_are_ours
from tapetum.runtime.brightness import brightness_of
from tapetum.runtime.inputs import (
    ImageLike,
    Source,
    as_source,
    check_boxes,
    load,
    load_frames,
    split_batch,
    type_name,
)
from tapetum.runtime.large import denoise_bands, has_bands, prepare_bands
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.network import Answer, PackagedNetwork
from tapetum.runtime.package import Package, open_package
from tapetum.runtime.prediction import Prediction, labels_of

__all__ = ["Mode", "Predictor"]

Mode = Literal["both", "label", "image"]

# The arena of ONNX Runtime grows by doubling: tiled UNets took 1.0 to 1.6 times the estimate.
_ARENA_FACTOR = 2.0

_Floats = NDArray[np.float32]


class PredictorOptions(TypedDict, total=False):
    """The options of :class:`Predictor`, for those that pass them on."""

    threads: int | None
    mode: Mode
    memory_mib: int
    max_pixels: int | None
    provider: str
    top_k: int | None
    reject_below: float


class _Options(Record):
    """The same with their ranges; a pickled predictor keeps them."""

    threads: PositiveInt | None
    mode: Mode
    memory_mib: PositiveInt
    max_pixels: PositiveInt | None
    provider: str
    top_k: PositiveInt | None
    reject_below: Annotated[float, Field(ge=0, le=1)]


class _Pass(NamedTuple):
    """One way of an image through the network."""

    outputs: tuple[str, ...]
    pixels: _Floats
    boxes: _Floats | None


class Predictor:
    """Denoise and classify images with a package.

    A predictor can be used by several threads at once, and it can be pickled: worker processes
    open it again. Used as a context manager, it frees the network at the end.

    Example:
        >>> import numpy as np
        >>> import tapetum
        >>> predictor = tapetum.Predictor.open("digits.tapetum")
        >>> result = predictor(np.zeros((96, 96), np.float32), boxes=[[10, 10, 38, 38]])
        >>> result.label in predictor.manifest.class_names
        True

    Args:
        package: An opened package.
        threads: Threads that share the work, at most one per core; by default those that the
            package's latency budget holds for, else one per core.
        mode: ``both`` returns all that the package can; ``label`` and ``image`` skip the other
            branch and its cost.
        memory_mib: Memory limit of a run in MiB, the image itself not counted; larger images are
            cut into tiles.
        max_pixels: The same limit as a number of pixels.
        provider: What computes: ``cpu``, or another execution provider of the installed ONNX
            Runtime, such as ``cuda``, ``openvino`` or ``xnnpack``.
        top_k: How many classes :attr:`Prediction.by_class` lists; by default all.
        reject_below: The label is ``unknown`` where the most probable class is less probable.

    Raises:
        InputError: The package does not have the output of the mode, an argument is not possible,
            or the provider is not available.
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
        provider: str = "cpu",
        top_k: int | None = None,
        reject_below: float = 0.0,
    ) -> None:
        if not isinstance(package, Package):
            problem = f"a predictor runs an opened package, not {type_name(package)}"
            raise InputError(problem, "open a file with Predictor.open(path)")
        with faults_are_ours("the predictor cannot be opened so", "correct these arguments"):
            self._options = _Options(
                threads=threads,
                mode=mode,
                memory_mib=memory_mib,
                max_pixels=max_pixels,
                provider=provider,
                top_k=top_k,
                reject_below=reject_below,
            )
        self._package = package
        self.manifest = package.manifest
        self.mode = mode
        self.reject_below = reject_below
        self.outputs = _outputs(package.manifest, mode)
        by_memory = int(memory_mib * 2**20 / (_ARENA_FACTOR * package.manifest.bytes_per_pixel))
        self.max_pixels = max_pixels or max(1, by_memory)
        self._network: PackagedNetwork | None = PackagedNetwork(
            package,
            threads=within_cores(package.manifest.threads) if threads is None else threads,
            provider=provider,
            max_pixels=self.max_pixels,
        )
        self._network.session(self.outputs)  # its faults are found now, not at the first image

    @classmethod
    def open(cls, path: Path | str, **options: Unpack[PredictorOptions]) -> Self:
        """Open and check a ``.tapetum`` file.

        Args:
            path: The file.
            options: As for the class: ``threads``, ``mode``, ``memory_mib``, ``max_pixels``,
                ``provider``, ``top_k`` and ``reject_below``.

        Raises:
            PackageError: The file is not a complete package that this version can run.
            InputError: As for the class.
        """
        return cls(open_package(path), **options)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self._package, **self._options.model_dump()), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the network; the predictor cannot be used any more."""
        self._network = None

    @property
    def takes_boxes(self) -> bool:
        """Whether each call needs the boxes to classify."""
        return self.manifest.labels == "boxes" and "logits" in self.outputs

    @property
    def provider(self) -> str:
        """What really computes; where providers share the work, how many operators each runs."""
        return self._opened().session(self.outputs).provider

    def __call__(self, image: ImageLike, *, boxes: ArrayLike | None = None) -> Prediction:
        """Denoise and classify one image.

        Args:
            image: A path; the bytes of a file, or an open file; a Pillow image (its current frame);
                a :class:`DecodedImage`; or an array of shape (h, w) or (h, w, c), of uint8, uint16,
                or floats on the scale [0, 1] (noise may exceed it). Grey and RGB, with or without
                alpha, are converted to the channels of the network.
            boxes: Shape (k, 4): left, top, right, bottom in pixels; only for networks that classify
                boxes. Without any (k = 0) there are no labels.

        Raises:
            InputError: The image or the boxes do not fit the network.
            DataError: The file cannot be read.
        """
        network = self._opened()
        self._check_boxes_wanted(given=boxes is not None)
        loaded = load(image, self.manifest)
        start = time.perf_counter()
        source = as_source(loaded, self.manifest)
        height, width = source.pixels.shape[1:]
        checked = None if boxes is None else check_boxes(boxes, height, width)
        passes = self._passes(source.pixels, checked)
        prepare_ms = 1000 * (time.perf_counter() - start)
        answers = [network.run(*one) for one in passes]
        return self._prediction(source, passes, answers, prepare_ms)

    @property
    def takes_bands(self) -> bool:
        """Whether :meth:`predict_stored` is possible."""
        return has_bands(self.manifest, self.outputs)

    def predict_stored(self, image: StoredImage) -> tuple[Prediction, StoredImage | None]:
        """Predict an image that is too large for its pixels to be floats all at once.

        Returns:
            The prediction, without pixels; and the denoised image as its file stores it, None if it
            was not requested.

        Raises:
            InputError: The memory limit leaves no room for a tile.
        """
        start, network, latency_ms = time.perf_counter(), self._opened(), 0.0
        denoised = probabilities = None
        means: tuple[float, ...] = ()
        if "denoised" in self.outputs:
            denoised, latency_ms = denoise_bands(network, image)
        if "logits" in self.outputs:
            prepared = prepare_bands(self.manifest, image)
            answer = network.run(("logits",), prepared, None)
            means = brightness_of(prepared)
            probabilities, latency_ms = answer.probabilities, latency_ms + answer.latency_ms
        size_px = self.manifest.preparation.size_px
        return Prediction(
            denoised=None,
            pixels=None,
            labels=self._labels(probabilities),
            probabilities=probabilities,
            class_names=self.manifest.class_names,
            top_k=self._options.top_k,
            passes=len(self.outputs),
            label_size_px=None if probabilities is None or not size_px else (size_px, size_px),
            prepare_ms=1000 * (time.perf_counter() - start) - latency_ms,
            latency_ms=latency_ms,
            tiled=True,
            brightness=means,
            warnings=self._doubts(means),
        ), denoised

    def predict_many(
        self, images: Any, *, boxes: Sequence[ArrayLike] | None = None
    ) -> list[Prediction]:
        """Denoise and classify some images; the results are those of one call for each image.

        The images run one after another, so that no result depends on its neighbours. To use more
        cores for small images, share the list between processes.

        Args:
            images: A list of images, each as for a call; or an array of shape (n, h, w, c), or
                (n, h, w) for grey.
            boxes: The boxes of each image, for networks that classify boxes.

        Raises:
            InputError: An image does not fit the network, or there are more or fewer boxes.
            DataError: A file cannot be read.
        """
        batch = split_batch(images)
        if boxes is None:
            return [self(image) for image in batch]
        if len(boxes) != len(batch):
            raise InputError(
                f"{len(batch)} images have {len(boxes)} arrays of boxes", "pass one for each image"
            )
        return [self(image, boxes=one) for image, one in zip(batch, boxes, strict=True)]

    def frames(self, image: Path | str | bytes | BinaryIO) -> Iterator[Prediction]:
        """Predict each frame of a stack or animation, in their order; an image is one frame.

        Args:
            image: A path, the bytes of a file, or an open file.

        Raises:
            InputError: It is not a file, or the network classifies boxes, which frames do not have.
            DataError: The file cannot be read.
        """
        self._check_boxes_wanted(given=False)
        return map(self, load_frames(image, self.manifest))

    def folder(self, path: Path | str) -> Iterator[tuple[Path, Prediction | TapetumError]]:
        """Predict the images of a folder and its sub-folders, sorted by name.

        Each file comes with its prediction, or with an error that says why it was left out. A file
        of several frames comes with each of them.

        Raises:
            DataError: There is no such folder, or no image in it.
            InputError: The network classifies boxes, which a folder does not have.
        """
        self._check_boxes_wanted(given=False)
        found = list(scan(as_path(path, "a folder")))
        if not any(isinstance(entry, Path) for entry in found):
            raise DataError(f"no image in {path}", "give a folder with images")
        return self._each(found)

    def warm_up(self, height_px: int | None = None, width_px: int | None = None) -> None:
        """Run on a grey image, so that the first real image is not slower than the others.

        Args:
            height_px: Height of the images to come; by default that of the training images. Both
                passes of larger images are then warmed up, too.
            width_px: Width of the images to come.
        """
        for side in (height_px, width_px):
            if side is not None and (not isinstance(side, int) or side < 1):
                raise InputError(f"the size is {side!r}", "pass whole numbers of pixels, from 1")
        height, width = height_px or self.manifest.size_px, width_px or self.manifest.size_px
        sizes = {(height, width)}
        if height_px is width_px is None and self.manifest.preparation.size_px is not None:
            sizes.add((height, width + 1))
        for size in sorted(sizes):
            pixels = np.full((self.manifest.image_channels, *size), 0.5, np.float32)
            boxes = np.array([[0, 0, size[1], size[0]]], np.float32) if self.takes_boxes else None
            for one in self._passes(pixels, boxes):
                self._opened().run(*one)

    def _opened(self) -> PackagedNetwork:
        if self._network is None:
            raise InputError("this predictor is closed", "open the package again")
        return self._network

    def _each(
        self, found: Sequence[Path | LeftOut]
    ) -> Iterator[tuple[Path, Prediction | TapetumError]]:
        for entry in found:
            if isinstance(entry, LeftOut):
                name = display_name(entry.path)
                yield entry.path, DataError(f"{name} was left out: {entry.reason}")
                continue
            try:
                for prediction in self.frames(entry):
                    yield entry, prediction
            except TapetumError as error:
                yield entry, error

    def _check_boxes_wanted(self, *, given: bool) -> None:
        if self.takes_boxes and not given:
            raise InputError(
                f"{self.manifest.name} classifies boxes, but none were passed",
                "pass boxes of shape (k, 4), or choose the mode 'image'",
            )
        if given and not self.takes_boxes:
            problem = f"boxes were passed, but mode={self.mode!r} gives no labels of boxes here"
            raise InputError(problem, "leave the boxes out")

    def _passes(self, pixels: _Floats, boxes: _Floats | None) -> list[_Pass]:
        """Return what the network has to run on: the image, its prepared form, or both."""
        preparation, (height, width) = self.manifest.preparation, pixels.shape[1:]
        if "logits" not in self.outputs or preparation.fits(height, width):
            return [_Pass(self.outputs, pixels, boxes)]
        if boxes is not None:
            boxes = _seen_boxes(preparation.boxes(boxes, height, width))
        label = _Pass(("logits",), preparation.resized(pixels), boxes)
        if "denoised" not in self.outputs:
            return [label]
        return [_Pass(("denoised",), pixels, None), label]

    def _prediction(
        self, source: Source, passes: Sequence[_Pass], answers: Sequence[Answer], prepare_ms: float
    ) -> Prediction:
        """Put the answers of all passes together."""
        image = pixels = None
        if answers[0].denoised is not None:
            clipped = np.clip(answers[0].denoised, 0, 1, out=answers[0].denoised)
            image, pixels = self._denoised(source, clipped), np.moveaxis(clipped, 0, 2)
            if len(clipped) == 1 and not source.has_flat_axis:
                pixels = clipped[0]
        probabilities, names = answers[-1].probabilities, self.manifest.class_names
        has_labels = probabilities is not None
        height, width = passes[-1].pixels.shape[1:]
        means = brightness_of(passes[-1].pixels, passes[-1].boxes) if has_labels else ()
        shown = image or source.image
        return Prediction(
            denoised=image,
            pixels=pixels,
            labels=self._labels(probabilities),
            probabilities=probabilities,
            class_names=names,
            top_k=self._options.top_k,
            passes=len(passes),
            label_size_px=(height, width) if has_labels else None,
            prepare_ms=prepare_ms,
            latency_ms=sum(answer.latency_ms for answer in answers),
            tiled=any(answer.tiled for answer in answers),
            brightness=means,
            warnings=(*self._doubts(means), *(() if shown is None else shown.notes)),
        )

    def _doubts(self, means: tuple[float, ...]) -> tuple[str, ...]:
        """Return what the brightness of images or boxes makes doubtful."""
        found, what = self.manifest.brightness, "boxes" if self.takes_boxes else "images"
        return () if found is None else found.doubts(means, what)

    def _labels(self, probabilities: _Floats | None) -> tuple[str, ...]:
        if probabilities is None:
            return ()
        return labels_of(probabilities, self.manifest.class_names, self._options.reject_below)

    def _denoised(self, source: Source, pixels: _Floats) -> DecodedImage | None:
        """Return the image to write: as the given one, with its alpha."""
        if source.image is None:
            return None
        preparation, image = self.manifest.preparation, source.image
        restored = preparation.restored(pixels, image)
        return image.with_pixels(restored, white=preparation.white_of(image))


def _outputs(manifest: Manifest, mode: Mode) -> tuple[str, ...]:
    """Return the graph outputs of a mode."""
    if mode == "label" and not manifest.classifies:
        raise InputError(f"{manifest.name} only denoises images", "choose the mode 'image'")
    if mode == "image" and not manifest.denoises:
        raise InputError(f"{manifest.name} only classifies images", "choose the mode 'label'")
    outputs = ["denoised"] if manifest.denoises and mode != "label" else []
    return (*outputs, "logits") if manifest.classifies and mode != "image" else tuple(outputs)


def _seen_boxes(boxes: _Floats) -> _Floats:
    """Refuse a box of which the prepared image shows nothing."""
    left, top, right, bottom = boxes.T
    hidden = np.flatnonzero((left >= right) | (top >= bottom))
    if hidden.size:
        raise InputError(
            f"box {int(hidden[0])} is outside of the central square that the network sees",
            "leave it out, or train with another --resize",
        )
    return boxes
