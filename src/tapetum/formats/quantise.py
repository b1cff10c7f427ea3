"""Turn a package into int8, with the ranges that its values have on noisy images of the user.

The weights alone do not say how large the values between two layers become. So the network in float
looks at some images, with noise of every level that it is made for. Kept are a sample of the
numbers of each value, whose range without rare outliers is stored in int8, and what convolutions
read at some places, by which their weights are rounded (:mod:`tapetum.graph.rounding`). The nodes
are those of :class:`tapetum.graph.Quantiser`, which a
candidate that is only timed has as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from tapetum.data import ImageDataset, Sample
from tapetum.errors import InputError, PackageError
from tapetum.evaluation import noisy_image
from tapetum.graph import Quantiser
from tapetum.noise import Noise, Protocol, generator_for
from tapetum.runtime import GraphSession, Package

__all__ = ["FEWEST_IMAGES", "NUM_IMAGES", "noisy_samples", "quantise"]

NUM_IMAGES = 96
FEWEST_IMAGES = 4
KEPT_NUMBERS = 2000  # of a value, from each image
OUTLIERS = 0.01  # per cent of the numbers on each side: a wider range has larger steps for all
MOST_SIDE_PX = 256  # of the part of an image that is denoised: larger parts hold nothing new

_CHOICE_KEY, _PLACES_KEY = 5, 6  # keys of their own, so that choices and noise are independent

_Floats = NDArray[np.float32]
_Feeds = dict[str, _Floats]


def quantise(
    package: Package,
    images: ImageDataset,
    noises: Sequence[Noise],
    *,
    protocol: Protocol = "benchmark",
    num_images: int = NUM_IMAGES,
    seed: int = 0,
    is_reduced: bool | None = None,
    threads: int | None = None,
) -> Package:
    """Return a package in int8: static, with one scale for each channel of a weight.

    Args:
        package: The package in fp32.
        images: The training images of the user; paired ones bring their own noise.
        noises: The noise levels that the network is made for.
        protocol: How a noisy image is stored.
        num_images: Number of noisy images; a dataset of fewer is repeated, with other noise.
        seed: Seed of the choice and of the noise.
        is_reduced: Whether weights have 7 bits; by default where this processor needs them.
        threads: Threads that run the network; by default one per core.

    Raises:
        InputError: There are too few images, or no noise level.
        PackageError: The package is in int8 already, no layer of it can be, or it returns numbers
            that are not finite.
        DataError: A file cannot be read.
    """
    samples = noisy_samples(
        package, images, noises, protocol=protocol, num_images=num_images, seed=seed
    )
    quantiser = Quantiser(onnx.load_model_from_string(package.graph_bytes))
    observed = replace(package, graph_bytes=quantiser.model.SerializeToString())
    moments, places = quantiser.moments(), generator_for(seed, _PLACES_KEY)
    kept: dict[str, list[_Floats]] = defaultdict(list)
    for values in _values(observed, quantiser.values, samples, threads):
        for name, value in values.items():
            kept[name].append(_some(value, places))
        for one in moments.values():
            if one.source in values:
                one.add(values[one.source], places)
    ranges = {name: _range(numbers) for name, numbers in kept.items()}
    model = quantiser.quantised(ranges, moments, is_reduced=is_reduced)
    manifest = package.manifest.model_copy(update={"precision": "int8", "graph_sha256": ""})
    return replace(
        package, manifest=manifest, graph_bytes=model.SerializeToString(deterministic=True)
    )


def noisy_samples(
    package: Package,
    images: ImageDataset,
    noises: Sequence[Noise],
    *,
    protocol: Protocol = "benchmark",
    num_images: int = NUM_IMAGES,
    seed: int = 0,
) -> Iterator[Sample]:
    """Return noisy images that say the ranges of int8; the arguments are those of :func:`quantise`.

    Raises:
        InputError: There are too few images, or no noise level.
    """
    if len(images) < FEWEST_IMAGES or not noises:
        raise InputError(
            f"int8 is calibrated on at least {FEWEST_IMAGES} images and one noise level, and there "
            f"are {len(images)} and {len(noises)}",
            "add images, or use the network in fp32",
        )
    order = generator_for(seed, _CHOICE_KEY).permutation(len(images)).tolist()

    def drawn(count: int) -> Sample:
        turn, place = divmod(count, len(order))
        sample, level = images.sample(order[place]), noises[(count + turn) % len(noises)]
        preparation = package.manifest.preparation
        noisy = noisy_image(preparation, sample, level, protocol=protocol, seed=seed + turn)
        return sample._replace(noisy=noisy)

    return map(drawn, range(num_images))


def _values(
    package: Package,
    names: Sequence[str],
    samples: Iterable[Sample],
    threads: int | None,
) -> Iterator[dict[str, _Floats]]:
    """Yield the values of each run over the images, as the network is run on a device."""
    observers: dict[tuple[str, ...], _Observer] = {}
    for sample in samples:
        for outputs, feeds in _runs(package, sample):
            if outputs not in observers:
                observers[outputs] = _Observer(package.graph_for(outputs), names, threads)
            yield observers[outputs].values(feeds)


def _some(value: _Floats, generator: np.random.Generator) -> _Floats:
    """Return some numbers of a value, by chance."""
    if not np.isfinite(value).all():
        raise PackageError(
            "the network makes numbers that are not finite", "train or export it again"
        )
    return value.ravel()[generator.integers(0, value.size, KEPT_NUMBERS)]


def _range(numbers: Sequence[_Floats]) -> tuple[float, float]:
    """Return the range of the numbers of all images, without outliers."""
    low, high = np.percentile(np.concatenate(numbers), (OUTLIERS, 100 - OUTLIERS))
    return float(low), float(high)


class _Observer:
    """A graph in float that gives its inner values."""

    def __init__(self, graph: bytes, values: Sequence[str], threads: int | None) -> None:
        model = onnx.load_model_from_string(graph)
        held = {name for node in model.graph.node for name in node.output}
        self._names = [name for name in values if name in held]
        for name in self._names:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
            model.graph.output[-1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        self._session = GraphSession(model.SerializeToString(), threads=threads)

    def values(self, feeds: _Feeds) -> dict[str, _Floats]:
        """Return the values for one input, by name."""
        fitting = {name: feeds[name] for name in self._session.input_names}
        return dict(zip(self._names, self._session.run(self._names, fitting), strict=True))


def _runs(package: Package, sample: Sample) -> Iterator[tuple[tuple[str, ...], _Feeds]]:
    """Yield what the network gets of one image, as :class:`tapetum.Predictor` would give it.

    The label comes from the prepared image, and the denoised image from one at full resolution, of
    which a part is enough.
    """
    manifest = package.manifest
    given = sample.image if sample.noisy is None else sample.noisy
    pixels, boxes = manifest.preparation.colours(given), sample.boxes
    part, inner = _part(pixels, boxes)
    if manifest.denoises:
        yield ("denoised",), _feeds(part, inner)
    if manifest.classifies and manifest.preparation.size_px is None:
        yield ("logits",), _feeds(part, inner)
    elif manifest.classifies:
        if boxes is not None:
            boxes = manifest.preparation.boxes(boxes, *pixels.shape[1:])
        yield ("logits",), _feeds(manifest.preparation.resized(pixels), boxes)


def _part(pixels: _Floats, boxes: _Floats | None) -> tuple[_Floats, _Floats | None]:
    """Return the middle of a large image, and the boxes in it."""
    height, width = pixels.shape[1:]
    top, left = max(0, height - MOST_SIDE_PX) // 2, max(0, width - MOST_SIDE_PX) // 2
    part = pixels[:, top : top + MOST_SIDE_PX, left : left + MOST_SIDE_PX]
    if boxes is None:
        return part, None
    moved = boxes - np.array([left, top, left, top], np.float32)
    is_inside = (moved[:, :2] >= 0).all(1) & (moved[:, 2:] <= part.shape[:0:-1]).all(1)
    return part, moved[is_inside]


def _feeds(pixels: _Floats, boxes: _Floats | None) -> _Feeds:
    """Return the inputs of a graph; one that takes boxes needs at least one."""
    if boxes is None or not len(boxes):
        boxes = np.array([[0, 0, 1, 1]], np.float32)
    return {"noisy": np.ascontiguousarray(pixels[np.newaxis]), "boxes": boxes[np.newaxis]}
