"""Scores of a network as records, and their table.

They are kept with every run and shipped in every package.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, PositiveFloat

from tapetum.noise import Gaussian, Noise, Protocol
from tapetum.records import FiniteOrNone, Note, Record, Weight, by_weight

__all__ = [
    "SEEN_DB",
    "Calibration",
    "Mistake",
    "ScoreRow",
    "Scores",
    "filled_columns",
    "show_number",
]

MOST_NAMED = 3  # classes in a sentence
_ONE_CLASS = 0.98  # of all predictions: a network that gives no other class, but for accidents

VISIBLE_DB = 0.05  # as it is printed, to a tenth
LEAST_COLOUR, LEAST_CONTRAST = 0.8, 0.25  # that are kept: good filters lose less colour

SEEN_DB = 40.0
"""An image is worth no more where networks are compared: beyond, nobody sees a difference, and
clean images would decide."""


_OF_IMAGES = ("psnr_db", "ssim", "noisy_psnr_db", "noisy_ssim", "filters_db")


class ScoreRow(Record):
    """Scores at one noise level, or their mean over the levels.

    ``None`` stands for scores that do not apply: no image output, no labels, or an infinite PSNR.

    Attributes:
        title: The noise in words, ``as given`` for paired images, or ``mean``.
        noise: The added noise; ``None`` for the mean and for paired images.
        num_images: Number of images at this level.
        num_compared: Number of images whose denoised form was compared with the clean one, where
            these are fewer; ``None`` where it was all.
        psnr_db: Mean PSNR of the denoised images, in dB.
        ssim: Mean SSIM of the denoised images.
        accuracy: Share of right labels.
        macro_accuracy: Accuracy averaged over the classes.
        calibration_error: Expected calibration error.
        noisy_psnr_db: Mean PSNR of the noisy images, in dB.
        noisy_ssim: Mean SSIM of the noisy images.
        recalls: Share of right labels of each class that occurs, by name.
        filters_db: PSNR of classical filters on the same noisy images, in dB, by name. They run on
            some of the images only; the difference to the network there is added to ``psnr_db``.
        colour_kept: Share of the colour of the clean images that the denoised ones have; ``None``
            for grey images.
        contrast_kept: Share of the local contrast, which is the difference of neighbouring pixels.
    """

    title: str
    noise: Noise | None
    num_images: int
    num_compared: int | None = None
    psnr_db: FiniteOrNone = None
    ssim: FiniteOrNone = None
    accuracy: FiniteOrNone = None
    macro_accuracy: FiniteOrNone = None
    calibration_error: FiniteOrNone = None
    noisy_psnr_db: FiniteOrNone = None
    noisy_ssim: FiniteOrNone = None
    recalls: Annotated[dict[str, float], Field(default_factory=dict)]
    filters_db: Annotated[dict[str, float], Field(default_factory=dict)]
    colour_kept: FiniteOrNone = None
    contrast_kept: FiniteOrNone = None

    @classmethod
    def mean_of(cls, rows: Sequence[Self]) -> Self:
        """Return the mean over levels, with equal weights; of what a level lacks there is none."""
        means: dict[str, Any] = {}
        for name in cls.model_fields.keys() - {"title", "noise", "num_images", "num_compared"}:
            values = [getattr(row, name) for row in rows]
            if isinstance(values[0], dict):
                kept = [key for key in values[0] if all(key in one for one in values)]
                means[name] = {key: float(np.mean([one[key] for one in values])) for key in kept}
            else:
                means[name] = None if None in values else float(np.mean(values))
        counts = rows[0].model_dump(include={"num_images", "num_compared"})
        return cls(title="mean", noise=None, **counts, **means)

    @property
    def is_clean(self) -> bool:
        """Whether it is the level without any noise."""
        return self.noise is not None and self.noise.is_nothing

    @property
    def seen_psnr_db(self) -> float | None:
        """The PSNR of the denoised images, at most 40 dB: beyond that nothing can be seen."""
        return None if self.psnr_db is None else min(self.psnr_db, SEEN_DB)

    @property
    def behind_db(self) -> dict[str, float]:
        """How much better the noisy image and the classical filters are, in dB, where known.

        Without noise there is nothing to compare: both of them return the image as it is.
        """
        if self.psnr_db is None or self.is_clean:
            return {}
        noisy = {} if self.noisy_psnr_db is None else {"the noisy image": self.noisy_psnr_db}
        rivals = noisy | {f"{name} denoising": db for name, db in self.filters_db.items()}
        return {name: db - self.psnr_db for name, db in rivals.items()}


class Calibration(Record):
    """How the probabilities of a network were made to say how often they are right.

    Attributes:
        temperature: What all logits are divided by; 1 where that is of no use.
        num_images: Number of held-out images that it was chosen on, at all noise levels.
        error_before: Expected calibration error over all levels without it.
        error_after: The same where each half of the images is scaled by the temperature of the
            other half; None where there are too few images.
    """

    FEWEST_IMAGES: ClassVar = 50
    """Fewer held-out images say too little about how certain a network may be."""

    temperature: PositiveFloat = 1.0
    num_images: int
    error_before: float
    error_after: float | None = None

    @property
    def text(self) -> str:
        """What was done, and what it changes, in a sentence without a full stop."""
        if self.error_after is None:
            return (
                f"the probabilities are not calibrated, since {self.num_images:,} held-out images "
                f"are too few: {self.FEWEST_IMAGES} are needed"
            )
        if self.temperature == 1:
            return (
                "the probabilities are left as they are: a temperature would not lower their "
                "calibration error"
            )
        return (
            f"the probabilities are calibrated by the temperature {self.temperature:.2f}, which "
            f"lowers their calibration error by {self.error_before - self.error_after:.3f} (all "
            f"levels together; each half of {self.num_images:,} held-out images is scaled by the "
            "temperature of the other half)"
        )


class Mistake(Record):
    """A wrong label with a high probability.

    Attributes:
        image: Index of the image in the dataset.
        level: Index of the noise level.
        true_name: The true class.
        name: The predicted class.
        probability: Its probability.
    """

    image: int
    level: int
    true_name: str
    name: str
    probability: float


class Scores(Record):
    """Scores of a network on a dataset.

    Attributes:
        protocol: How noisy images are stored: ``benchmark`` or ``camera``.
        seed: Random seed of the noise.
        source: The origin of the images, for people.
        rows: One row per noise level.
        mean: Mean over all levels, the one without noise included, with equal weights. People are
            shown :attr:`headline`.
        confusion: How often each class was taken for each other, over all levels: true class, then
            predicted class; counts of 0 are left out.
        missing_classes: Classes of the network of which the dataset has no image.
        calibration: How the probabilities were calibrated on these images, at the end of a
            training; None where they were taken as they are.
        mistakes: The wrong labels that the network is most certain of, one for an image; empty
            where they were not wanted.
        num_trained: Number of these images that the network was trained on, as far as is known.
        short_training: That the training was far too short, in a sentence; empty where it was not.
    """

    CLASS_HEADER: ClassVar = ("class", "images", "recall %", "most often taken for")

    schema_version: int = 1
    protocol: Protocol
    seed: int
    source: str
    rows: tuple[ScoreRow, ...]
    mean: ScoreRow
    confusion: Annotated[dict[str, dict[str, int]], Field(default_factory=dict)]
    missing_classes: tuple[str, ...] = ()
    calibration: Calibration | None = None
    mistakes: tuple[Mistake, ...] = ()
    num_trained: int = 0
    short_training: str = ""

    def at_sigma(self, sigma: float) -> ScoreRow | None:
        """Return the row of Gaussian noise of a standard deviation; ``None`` if there is none."""
        return next((row for row in self.rows if row.noise == Gaussian(sigma=sigma)), None)

    @property
    def headline(self) -> ScoreRow:
        """The mean that people are shown: labels at all levels, images at those with noise.

        A network that returns a clean image nearly unchanged has some 50 dB there, which would lift
        the PSNR of all levels. Without any noise there is no score of images.
        """
        noisy = [row for row in self.rows if not row.is_clean]
        if len(noisy) == len(self.rows):
            return self.mean
        nothing = ScoreRow(title="", noise=None, num_images=0, recalls={}, filters_db={})
        images = ScoreRow.mean_of(noisy or [nothing])
        return self.mean.model_copy(update={name: getattr(images, name) for name in _OF_IMAGES})

    @property
    def temperature(self) -> float:
        """What the logits of the network are divided by; 1 where they are taken as they are."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    @property
    def note(self) -> str:
        """The facts that are needed to compare scores: images, protocol and seed."""
        trained = f" ({self.num_trained:,} of the training)" if self.num_trained else ""
        return (
            f"{self.mean.num_images:,} images at each noise level{trained}, "
            f"protocol {self.protocol}, "
            f"noise seed {self.seed}"
            f"{'; PSNR and SSIM: mean of the noisy images' if self.clean else ''}"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the numbers are no measure of the network, to be read before them.

        The sentences have no full stop.
        """
        trained = (
            f"the {self.mean.num_images:,} images include {self.num_trained:,} of the training: "
            "scores of these are too good"
        )
        return (*filter(None, [self.short_training]), *([trained] if self.num_trained else []))

    @property
    def remarks(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers, in sentences without a full stop.

        That the labels are useless comes first.
        """
        mean, clean = self.mean, self.clean
        faults = filter(None, (self.label_fault, self._accuracy_remark, self.recall_fault))
        found: list[str] = [Note(fault, Weight.RESULT) for fault in faults]
        if mean.num_compared is not None:
            found.append(
                f"only {mean.num_compared:,} of {mean.num_images:,} images were denoised and "
                "compared, because all of them have too many pixels; all were classified"
            )
        if self.missing_classes:
            names = ", ".join(map(repr, self.missing_classes))
            text = f"there is no image of {names}: macro scores leave these classes out"
            found.append(Note(text, Weight.DATA))
        if clean is not None and clean.psnr_db is not None:
            found.append(f"a clean image comes back with {clean.psnr_db:.1f} dB")
        found += [*_losses(self.rows), *_faded(self.rows)]
        if self.calibration is not None:
            found.append(self.calibration.text)
        return by_weight(found)

    @property
    def class_images(self) -> dict[str, int]:
        """The number of images of each class that occurs, or of its boxes."""
        counts = {name: sum(row.values()) for name, row in self.confusion.items()}
        return {name: count // len(self.rows) for name, count in counts.items()}

    def class_cells(self) -> tuple[tuple[str, ...], ...]:
        """Return a row of texts for each class, under ``CLASS_HEADER``; empty without labels."""
        rows = []
        for name, recall in self.mean.recalls.items():
            counts = self.confusion.get(name, {})
            wrong = {other: count for other, count in counts.items() if other != name}
            worst = max(wrong, key=wrong.__getitem__, default=None)
            share = "-" if worst is None else f"{worst} ({wrong[worst] / sum(counts.values()):.1%})"
            rows.append(
                (name, f"{self.class_images[name]:,}", show_number(recall, 1, scale=100), share)
            )
        return tuple(rows)

    @property
    def clean(self) -> ScoreRow | None:
        """The level without any noise; None where it was not scored."""
        return next((row for row in self.rows if row.is_clean), None)

    @property
    def label_fault(self) -> str:
        """Says that one class for all images would do as well as the labels; else empty."""
        if len(self.confusion) < 2 or self.mean.accuracy is None:
            return ""
        given: Counter[str] = Counter()
        for row in self.confusion.values():
            given.update(row)
        total, (name, count) = given.total(), given.most_common(1)[0]
        (majority, share), accuracy = self._majority, self.mean.accuracy
        better = "no better" if accuracy <= share else f"hardly better ({_percent(accuracy)})"
        if count >= _ONE_CLASS * total:
            every = "every image" if count == total else f"{_percent(count / total)} of all images"
            return (
                f"the network classifies {every} as {name!r}: {better} than the majority class "
                f"({_percent(share)})"
            )
        if accuracy > share or self._tells_classes_apart:
            return ""
        return f"the labels are no better than {majority!r} for every image ({_percent(share)})"

    @property
    def _majority(self) -> tuple[str, float]:
        """The most frequent class, and its share of the images."""
        true = {name: sum(row.values()) for name, row in self.confusion.items()}
        name = max(true, key=true.__getitem__)
        return name, true[name] / sum(true.values())

    @property
    def _tells_classes_apart(self) -> bool:
        """Whether the macro accuracy is above chance by more than two standard errors."""
        chance = 1 / len(self.confusion)
        counts = [sum(row.values()) / len(self.rows) for row in self.confusion.values()]
        error = math.sqrt(sum(chance * (1 - chance) / count for count in counts)) * chance
        return (self.mean.macro_accuracy or 0.0) > chance + 2 * error

    @property
    def _accuracy_remark(self) -> str:
        """Says that the accuracy alone is not above that of the majority class; else empty."""
        accuracy, macro = self.mean.accuracy, self.mean.macro_accuracy
        if len(self.confusion) < 2 or accuracy is None or macro is None or self.label_fault:
            return ""
        majority, share = self._majority
        if accuracy > share:
            return ""
        return (
            f"the accuracy ({_percent(accuracy)}) is not above that of {majority!r} for every "
            f"image ({_percent(share)}); the macro accuracy is {_percent(macro)}, where that would "
            f"have {_percent(1 / len(self.confusion))}"
        )

    @property
    def recall_fault(self) -> str:
        """Names the classes that are recognised less often than by chance; else empty.

        Where one class is given to nearly all images, :attr:`label_fault` says more.
        """
        recalls = self.mean.recalls
        if self.label_fault or len(recalls) < 2:
            return ""
        rare = sorted(
            (name for name, recall in recalls.items() if recall < 1 / len(recalls)),
            key=recalls.__getitem__,
        )
        lost = [repr(name) for name in rare if recalls[name] == 0]
        some = [f"{name!r} ({_percent(recalls[name])})" for name in rare[len(lost) :]]
        more = f" and {len(some) - MOST_NAMED} others" if len(some) > MOST_NAMED else ""
        listed = f"{', '.join(some[:MOST_NAMED])}{more}"
        faults = [f"no image of {', '.join(lost)} is recognised, at any noise level"] * bool(lost)
        faults += [f"recognised less often than by chance: {listed}"] * bool(some)
        return "; ".join(faults)

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of the columns of :meth:`cells`; scores that no level has get no column."""
        return self._table()[0]

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """Return a row of texts per noise level and one for the mean, under ``header``."""
        return self._table()[1:]

    def _table(self) -> tuple[tuple[str, ...], ...]:
        header = (
            *("noise", "noisy dB", *(f"{name} dB" for name in self._filters), "PSNR dB"),
            *("noisy SSIM", "SSIM", "accuracy %", "macro accuracy %", "calibration error"),
        )
        rows = (
            (
                row.title,
                show_number(row.noisy_psnr_db, 2),
                *(show_number(row.filters_db.get(name), 2) for name in self._filters),
                show_number(row.psnr_db, 2),
                show_number(row.noisy_ssim, 3),
                show_number(row.ssim, 3),
                show_number(row.accuracy, 1, scale=100),
                show_number(row.macro_accuracy, 1, scale=100),
                show_number(row.calibration_error, 3),
            )
            for row in (*self.rows, self.headline)
        )
        return filled_columns((header, *rows))

    @property
    def _filters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self.rows for name in row.filters_db))


def _losses(rows: Sequence[ScoreRow]) -> Iterator[Note]:
    """Yield, for each rival, at which levels the network is visibly worse, and by how much."""
    for name in dict.fromkeys(name for row in rows for name in row.behind_db):
        lost = [row for row in rows if row.behind_db.get(name, 0.0) >= VISIBLE_DB]
        if lost:
            most_db = max(row.behind_db[name] for row in lost)
            most = f"{'up to ' if len(lost) > 1 else ''}{most_db:.1f} dB"
            text = f"{_levels(lost, rows)} the network's image is worse than {name} by {most}"
            yield Note(text, Weight.RESULT)


def _faded(rows: Sequence[ScoreRow]) -> Iterator[str]:
    """Yield at which levels the denoised images lack colour or local contrast, and what to do."""
    for field, least, what, advice in (
        ("colour_kept", LEAST_COLOUR, "colour", "judge colours at weaker noise"),
        ("contrast_kept", LEAST_CONTRAST, "local contrast", "faint details are missing there"),
    ):
        shares = [1.0 if (share := getattr(row, field)) is None else share for row in rows]
        lost = [row for row, share in zip(rows, shares, strict=True) if share < least]
        if lost:
            share = f"{'as little as ' if len(lost) > 1 else ''}{max(0.0, min(shares)):.0%}"
            has = f"the denoised images have {share} of the {what} of the clean ones"
            yield f"{_levels(lost, rows)} {has}: {advice}"


def _levels(some: Sequence[ScoreRow], rows: Sequence[ScoreRow]) -> str:
    """Return some of the noise levels in words."""
    if some[0].noise is None:
        return "with the given noise"
    titles, noisy = [row.title for row in some], {row.title for row in rows if not row.is_clean}
    if len(noisy) > 2 and noisy <= set(titles):
        return "at every noise level"
    return f"at noise {', '.join(titles)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def filled_columns(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return a header and its rows without the columns in which no row has a value."""
    first, *others = zip(*rows, strict=True)
    columns = [first, *(column for column in others if set(column[1:]) - {"-", ""})]
    return tuple(zip(*columns, strict=True))


def show_number(value: float | None, digits: int, *, scale: int = 1) -> str:
    """Format a score; ``-`` for None. A scale of 100 shows a share in percent."""
    return "-" if value is None else f"{scale * value:.{digits}f}"
