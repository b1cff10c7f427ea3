"""Decide between fp32 and int8 by what they cost and give on this device.

Both packages are timed in turn, and scored on the same held-out images with the same noise. int8
ships where it is clearly faster and loses nothing that a user would see. Weights that were
fine-tuned for int8 are used where they lose less than those of the training.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import ClassVar, Literal, NamedTuple

from tapetum.data import Dataset, ImageDataset
from tapetum.evaluation import PackageSubject, score
from tapetum.formats.quantise import quantise
from tapetum.formats.ranges import MOST_DB, MOST_POINTS, RangeChoice
from tapetum.formats.target import Settings
from tapetum.latency import Conditions, DeployedNetwork, Timing, find_runtime, time_interleaved
from tapetum.noise import Noise, Protocol, generator_for
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import within_cores
from tapetum.records import Record
from tapetum.runtime import Package, Precision
from tapetum.scores import Scores

__all__ = ["FineTuner", "Measured", "PrecisionChoice", "choose_precision", "faults_of"]

LEAST_SPEED_UP = 1.1
MOST_PREDICTIONS = 4_000  # of each package: images times noise levels

_CHOICE_KEY = 6  # a key of its own, so that the choice and the noise are independent


class Measured(Record):
    """What one precision takes and gives.

    Attributes:
        timing: Latency of one pass at the size of the training images.
        macro_accuracy: Accuracy of each class, averaged over the classes and the noise levels;
            ``None`` without labels.
        psnr_db: PSNR, likewise, at most 40 dB a level, over the levels where both precisions have
            one; ``None`` without an image.
    """

    timing: Timing
    macro_accuracy: float | None
    psnr_db: float | None


class FineTuner(NamedTuple):
    """Trains the weights of a graph in int8 further, for some passes over the images."""

    epochs: int
    tune: Callable[[bytes], bytes]


class FineTuning(Record):
    """What further training in int8 has changed.

    Attributes:
        epochs: Passes over the training images.
        before: int8 with the weights of the training.
        after: int8 with the fine-tuned weights.
        is_kept: Whether these are used, since they lose less.
    """

    epochs: int
    before: Measured
    after: Measured
    is_kept: bool


class PrecisionChoice(Record):
    """The comparison of a network in fp32 and in int8, and what follows from it.

    Attributes:
        asked: What was asked for: a precision, or ``auto``.
        conditions: Conditions of both timings, but for the precision.
        fp32: The network in fp32.
        int8: The network in int8.
        num_images: Held-out images that both were scored on.
        ranges: How int8 was calibrated; ``None`` where an older version has not kept it.
        finetuning: What a fine-tuning of int8 has changed; ``None`` where there was none.
        device_speed_up: How many times as fast int8 is on the device, where that is another
            machine; ``None`` where it is this one, whose timings count.
        MEGAPIXELS: Denoised pixels of all images and levels, in millions, that each is scored on.
    """

    MEGAPIXELS: ClassVar[float] = 8.0

    asked: Literal["fp32", "int8", "auto"]
    conditions: Conditions
    fp32: Measured
    int8: Measured
    num_images: int
    ranges: RangeChoice | None = None
    finetuning: FineTuning | None = None
    device_speed_up: float | None = None

    @property
    def speed_up(self) -> float:
        """How many times as fast int8 is on the device."""
        if self.device_speed_up is not None:
            return self.device_speed_up
        return self.fp32.timing.median_ms / self.int8.timing.median_ms

    @property
    def lost_points(self) -> float | None:
        """Points of macro accuracy that int8 loses; negative where it gains some."""
        if self.fp32.macro_accuracy is None or self.int8.macro_accuracy is None:
            return None
        return 100 * (self.fp32.macro_accuracy - self.int8.macro_accuracy)

    @property
    def lost_db(self) -> float | None:
        """PSNR that int8 loses, in dB; negative where it gains some."""
        if self.fp32.psnr_db is None or self.int8.psnr_db is None:
            return None
        return self.fp32.psnr_db - self.int8.psnr_db

    @property
    def loss(self) -> float:
        """Both losses in one number: 1 for each that is as large as it may be."""
        return max(self.lost_points or 0, 0) / MOST_POINTS + max(self.lost_db or 0, 0) / MOST_DB

    def finetuned(self, epochs: int, after: Measured) -> "PrecisionChoice":
        """Return the comparison after a fine-tuning, with the weights that lose less."""
        tuned = self.model_copy(update={"int8": after})
        is_kept = tuned.loss < self.loss
        facts = FineTuning(epochs=epochs, before=self.int8, after=after, is_kept=is_kept)
        return (tuned if is_kept else self).model_copy(update={"finetuning": facts})

    @property
    def faults(self) -> tuple[str, ...]:
        """What speaks against int8, in words."""
        return faults_of(self.speed_up, self.lost_points, self.lost_db, self.num_images)

    @property
    def precision(self) -> Precision:
        """What ships: what was asked for; for ``auto`` int8 where nothing speaks against it."""
        if self.asked != "auto":
            return self.asked
        return "fp32" if self.faults else "int8"

    @property
    def ships(self) -> Literal["fp32", "int8", "tuned"]:
        """The weights that ship: those of a precision, or in int8 the fine-tuned ones."""
        is_tuned = self.finetuning is not None and self.finetuning.is_kept
        return "tuned" if is_tuned and self.precision == "int8" else self.precision

    @property
    def changes(self) -> str:
        """What int8 changes, in words."""
        found = [
            f"{name} by {-lost:+z.{digits}f} {unit}"
            for lost, name, digits, unit in (
                (self.lost_points, "the macro accuracy", 1, "points"),
                (self.lost_db, "the PSNR", 2, "dB"),
            )
            if lost is not None
        ]
        return " and ".join(found)

    @property
    def finetuning_text(self) -> str:
        """What a fine-tuning has changed, in words; empty where there was none."""
        done = self.finetuning
        if done is None:
            return ""
        epochs = f"{done.epochs:,} epoch{'' if done.epochs == 1 else 's'}"
        unused = done.before if done.is_kept else done.after
        changes = self.model_copy(update={"int8": unused}).changes
        if done.is_kept:
            return f"fine-tuned for {epochs}, without which it changes {changes}"
        return f"not fine-tuned, since after {epochs} of that it changes {changes}"

    @property
    def text(self) -> str:
        """The comparison and the decision, in one sentence."""
        tuned = f" ({self.finetuning_text})" if self.finetuning else ""
        against = f", although {' and '.join(self.faults)}" if self.faults else ""
        if self.asked == "auto" and self.faults:
            against = f", since {' and '.join(self.faults)}"
        calibrated = f"; {self.ranges.text}" if self.ranges else ""
        is_here = self.device_speed_up is None
        speeds = (
            f"one pass takes {self.int8.timing.median_ms:.3g} ms in int8 and "
            f"{self.fp32.timing.median_ms:.3g} ms in fp32 ({self.speed_up:.2f} times as fast)"
            if is_here
            else f"on the device, int8 is {self.speed_up:.2f} times as fast as fp32"
        )
        return (
            f"{speeds}; int8 changes {self.changes} on {self.num_images:,} held-out images{tuned}: "
            f"{self.precision} is used{against}{calibrated}"
        )


def faults_of(
    speed_up: float, lost_points: float | None, lost_db: float | None, num_images: int
) -> tuple[str, ...]:
    """Return what speaks against a lower precision, in words.

    Args:
        speed_up: How many times as fast it is.
        lost_points: Points of macro accuracy that it loses; too much is half a point, or one
            image where there are few.
        lost_db: PSNR that it loses, in dB.
        num_images: Images on which the losses were measured.
    """
    found, most_points = [], max(MOST_POINTS, 100 / num_images)
    if speed_up < 1:
        found.append("it is slower here")
    elif speed_up < LEAST_SPEED_UP:
        found.append(f"it is less than {LEAST_SPEED_UP - 1:.0%} faster here")
    if (lost_points or 0) >= most_points:
        found.append(f"it loses {most_points:.2g} points of macro accuracy or more")
    if (lost_db or 0) >= MOST_DB:
        found.append(f"it loses {MOST_DB:g} dB or more")
    return tuple(found)


def choose_precision(
    package: Package,
    dataset: Dataset,
    noises: Sequence[Noise],
    *,
    asked: Literal["int8", "auto"] = "auto",
    protocol: Protocol = "benchmark",
    runtime: str = "onnxruntime",
    device_speed_up: float | None = None,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    finetuner: FineTuner | None = None,
    progress: ProgressCallback = silent,
) -> tuple[Package, PrecisionChoice]:
    """Put a package into int8, compare both, and return what ships.

    Args:
        package: The package in fp32.
        dataset: The images of the user: int8 is calibrated on the training part, and the loss is
            measured on the validation part.
        noises: The noise levels that the network is scored at.
        asked: ``int8`` ships in any case; ``auto`` where it is at least 10 % faster on this device
            and loses less than 0.5 points and 0.1 dB.
        protocol: How a noisy image is stored.
        runtime: What both are timed in: ``onnxruntime`` or ``openvino``.
        device_speed_up: How many times as fast int8 is on the device, where that is another one.
        settings: How int8 is calibrated.
        finetuner: Tunes the weights of int8; by default they stay.
        progress: Called after each image and each timing.

    Raises:
        InputError: There are too few images.
        PackageError: No layer of the network can be in int8.
        DataError: A file cannot be read.
    """
    quantised = quantise(
        package,
        dataset.train,
        noises,
        method=settings.calibration_method,
        float_ends=settings.float_ends,
        protocol=protocol,
    )
    packages = {"fp32": package, "int8": quantised}
    if finetuner is not None:
        graph_bytes = finetuner.tune(quantised.graph_bytes)
        packages["tuned"] = replace(quantised, graph_bytes=graph_bytes)
    few = replace(dataset, validation=_some(dataset.validation, len(noises)))
    limit = PrecisionChoice.MEGAPIXELS
    judge = partial(score, protocol=protocol, max_megapixels=limit, progress=progress)
    scored = {name: judge(PackageSubject(one), few, noises) for name, one in packages.items()}
    conditions, (fp32, int8) = _timed((package, quantised), runtime, progress)
    levels = zip(*(scores.rows for scores in scored.values()), strict=True)
    all_have = [all(row.psnr_db is not None for row in level) for level in levels]
    times = {"fp32": fp32, "int8": int8, "tuned": int8}  # other weights take as long
    measured = {name: _measured(times[name], scores, all_have) for name, scores in scored.items()}
    choice = PrecisionChoice(
        asked=asked,
        conditions=conditions,
        fp32=measured["fp32"],
        int8=measured["int8"],
        num_images=len(few.validation),
        ranges=RangeChoice.of(quantised.manifest),
        device_speed_up=device_speed_up,
    )
    if finetuner is not None:
        choice = choice.finetuned(finetuner.epochs, measured["tuned"])
    return packages[choice.ships], choice


def _some(images: ImageDataset, num_levels: int) -> ImageDataset:
    """Return a choice of the images, all where they are few."""
    count = max(1, MOST_PREDICTIONS // max(1, num_levels))
    order = generator_for(0, _CHOICE_KEY).permutation(len(images))
    return images.subset(sorted(order[:count].tolist()))


def _timed(
    packages: Sequence[Package], name: str, progress: ProgressCallback
) -> tuple[Conditions, Sequence[Timing]]:
    """Time one pass of each package, interleaved."""
    manifest, runtime = packages[0].manifest, find_runtime(name)
    conditions = Conditions.here(
        runtime,
        threads=within_cores(manifest.threads),
        batch=1,
        channels=manifest.image_channels,
        size_px=manifest.size_px,
    )
    prepared = [
        partial(runtime.prepare, DeployedNetwork.of_graph(package.graph_bytes), conditions)
        for package in packages
    ]
    timings = time_interleaved(prepared, pause_s=0.1, threads=conditions.threads, progress=progress)
    return conditions, timings


def _measured(timing: Timing, scores: Scores, counts: Sequence[bool]) -> Measured:
    # Without noise fp32 may have 58 dB and int8 48: neither can be seen.
    found = [row.seen_psnr_db for row, is_used in zip(scores.rows, counts, strict=True) if is_used]
    decibels = [psnr_db for psnr_db in found if psnr_db is not None]
    return Measured(
        timing=timing,
        macro_accuracy=scores.mean.macro_accuracy,
        psnr_db=fmean(decibels) if decibels else None,
    )
