"""Turn a package into int8, with the ranges that its values have on noisy images of the user.

The weights alone do not say how large the values between two layers become. So the network in float
looks at some images, with noise of every level that it is made for. Kept are numbers of each value,
which say its range (:mod:`tapetum.formats.ranges`), and what convolutions read at some places, by
which their weights are rounded (:mod:`tapetum.graph.rounding`). The nodes are those of
:class:`tapetum.graph.Quantiser`, which a candidate that is only timed has as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from tapetum.data import ImageDataset, Sample
from tapetum.errors import InputError
from tapetum.evaluation import noisy_image
from tapetum.formats.ranges import CalibrationMethod, Numbers, RangeChoice, RangeLoss, RangeMethod
from tapetum.graph import Quantiser
from tapetum.metrics import psnr
from tapetum.noise import Noise, Protocol, generator_for
from tapetum.runtime import GraphSession, Package
from tapetum.scores import SEEN_DB

__all__ = ["FEWEST_IMAGES", "NUM_IMAGES", "noisy_samples", "quantise"]

NUM_IMAGES = 96
FEWEST_IMAGES = 4
MOST_SIDE_PX = 256  # of the part of an image that is denoised: larger parts hold nothing new

_CHOICE_KEY, _PLACES_KEY = 5, 6  # keys of their own, so that choices and noise are independent

_Floats = NDArray[np.float32]
_Feeds = dict[str, _Floats]


def quantise(
    package: Package,
    images: ImageDataset,
    noises: Sequence[Noise],
    *,
    method: CalibrationMethod = "auto",
    float_ends: bool = True,
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
        method: Where the ranges come from; ``auto`` keeps what loses less on these images.
        float_ends: Whether the first and the last convolutions stay in float.
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
    runs = [run for sample in samples for run in _runs(package, sample)]
    quantiser = Quantiser(onnx.load_model_from_string(package.graph_bytes), float_ends=float_ends)
    observed = replace(package, graph_bytes=quantiser.model.SerializeToString())
    moments, places = quantiser.moments(), generator_for(seed, _PLACES_KEY)
    numbers, wanted, observe = Numbers(places), [], _Observer(observed, quantiser.values, threads)
    for run in runs:
        values = observe(run)
        wanted.append(values[run.output])
        for name in quantiser.values:
            if name in values:
                numbers.add(name, values[name])
        for one in moments.values():
            if one.source in values:
                one.add(values[one.source], places)

    def lowered(method: RangeMethod) -> Package:
        model = quantiser.quantised(numbers.ranges(method), moments, is_reduced=is_reduced)
        manifest = package.manifest.model_copy(update={"precision": "int8", "graph_sha256": ""})
        graph_bytes = model.SerializeToString(deterministic=True)
        return replace(package, manifest=manifest, graph_bytes=graph_bytes)

    methods: tuple[RangeMethod, ...] = ("percentile", "min-max") if method == "auto" else (method,)
    made = {name: lowered(name) for name in methods}
    tried = made if len(made) > 1 else {}  # one alone needs no comparison
    losses = {name: _loss(one, runs, wanted, threads) for name, one in tried.items()}
    best = min(losses, key=lambda name: losses[name].size(num_images), default=methods[0])
    facts = {"method": best, "float_ends": float_ends, "num_images": num_images}
    choice = RangeChoice(**facts, losses=losses)
    return replace(made[best], manifest=choice.noted_in(made[best].manifest))


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


class _Run(NamedTuple):
    """What a network gets of an image for an output, and the clean image where it denoises."""

    output: str
    feeds: _Feeds
    clean: _Floats | None = None


def _loss(
    package: Package, runs: Sequence[_Run], wanted: Sequence[_Floats], threads: int | None
) -> RangeLoss:
    """Return what a package in int8 loses against what fp32 gives."""
    observe, decibels, changed = _Observer(package, (), threads), list[float](), list[bool]()
    for run, fp32 in zip(runs, wanted, strict=True):
        int8 = observe(run)[run.output]
        if run.clean is None:
            changed += (fp32.argmax(-1) != int8.argmax(-1)).ravel().tolist()
        else:
            before, after = (min(SEEN_DB, float(psnr(x, run.clean[None])[0])) for x in (fp32, int8))
            decibels.append(before - after)
    return RangeLoss(
        db=fmean(decibels) if decibels else None,
        points=100 * fmean(changed) if changed else None,
    )


class _Observer:
    """A package whose graphs give inner values beside an output."""

    def __init__(self, package: Package, values: Sequence[str], threads: int | None) -> None:
        self._package, self._values, self._threads = package, values, threads
        self._opened: dict[str, tuple[list[str], GraphSession]] = {}

    def __call__(self, run: _Run) -> dict[str, _Floats]:
        """Return the values for one input, by name."""
        if run.output not in self._opened:
            self._opened[run.output] = self._open(run.output)
        names, session = self._opened[run.output]
        feeds = {name: run.feeds[name] for name in session.input_names}
        return {**feeds, **dict(zip(names, session.run(names, feeds), strict=True))}

    def _open(self, output: str) -> tuple[list[str], GraphSession]:
        model = onnx.load_model_from_string(self._package.graph_for((output,)))
        held = {name for node in model.graph.node for name in node.output} - {output}
        names = [name for name in self._values if name in held]
        for name in names:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
            model.graph.output[-1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        return [*names, output], GraphSession(model.SerializeToString(), threads=self._threads)


def _runs(package: Package, sample: Sample) -> Iterator[_Run]:
    """Yield what the network gets of one image, as :class:`tapetum.Predictor` would give it.

    The label comes from the prepared image, and the denoised image from one at full resolution, of
    which a part is enough.
    """
    manifest = package.manifest
    given = sample.image if sample.noisy is None else sample.noisy
    pixels, boxes = manifest.preparation.colours(given), sample.boxes
    part, inner = _part(pixels, boxes)
    if manifest.denoises:
        clean, _ = _part(manifest.preparation.colours(sample.image), None)
        yield _Run("denoised", _feeds(part, inner), clean)
    if manifest.classifies and manifest.preparation.size_px is None:
        yield _Run("logits", _feeds(part, inner))
    elif manifest.classifies:
        if boxes is not None:
            boxes = manifest.preparation.boxes(boxes, *pixels.shape[1:])
        yield _Run("logits", _feeds(manifest.preparation.resized(pixels), boxes))


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
