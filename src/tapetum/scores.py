"""Scores of a network as records, and their table.

They are kept with every run and shipped in every package.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from tapetum.noise import Gaussian, Noise, Protocol
from tapetum.records import FiniteOrNone, Record

__all__ = ["FAITHFUL_DB", "ScoreRow", "Scores", "show_number"]


VISIBLE_DB = 0.05  # as it is printed, to a tenth
FAITHFUL_DB = 45.0
"""PSNR from which an image counts as unchanged: errors of about one step of 8 bits."""


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

    @property
    def rivals(self) -> dict[str, float]:
        """PSNR in dB of the noisy image and of the classical filters, as far as they are known."""
        noisy = {} if self.noisy_psnr_db is None else {"the noisy image": self.noisy_psnr_db}
        return noisy | self.filters_db


class Scores(Record):
    """Scores of a network on a dataset.

    Attributes:
        protocol: How noisy images are stored: ``benchmark`` or ``camera``.
        seed: Random seed of the noise.
        source: The origin of the images, for people.
        rows: One row per noise level.
        mean: Mean over the levels, with equal weights.
        confusion: How often each class was taken for each other, over all levels: true class, then
            predicted class; counts of 0 are left out.
        missing_classes: Classes of the network of which the dataset has no image.
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

    def at_sigma(self, sigma: float) -> ScoreRow | None:
        """Return the row of Gaussian noise of a standard deviation; ``None`` if there is none."""
        return next((row for row in self.rows if row.noise == Gaussian(sigma=sigma)), None)

    @property
    def note(self) -> str:
        """The facts that are needed to compare scores: images, protocol and seed."""
        return (
            f"{self.mean.num_images:,} images at each noise level, protocol {self.protocol}, "
            f"noise seed {self.seed}"
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know beside the numbers, in sentences without a full stop."""
        mean, found = self.mean, []
        if mean.num_compared is not None:
            found.append(
                f"only {mean.num_compared:,} of {mean.num_images:,} images were denoised and "
                "compared, because all of them have too many pixels; all were classified"
            )
        if self.missing_classes:
            names = ", ".join(map(repr, self.missing_classes))
            found.append(f"there is no image of {names}: macro scores leave these classes out")
        clean = self.at_sigma(0.0)
        if clean is not None and clean.psnr_db is not None and clean.psnr_db < FAITHFUL_DB:
            found.append(f"an image without noise comes back with {clean.psnr_db:.1f} dB")
        found += [remark for row in self.rows if (remark := _loss(row))]
        common = self._majority()
        if common is not None:
            found.append(
                f"the accuracy is no better than that of answering {common[0]!r} always "
                f"({common[1]:.1%})"
            )
        return tuple(found)

    def class_cells(self) -> tuple[tuple[str, ...], ...]:
        """Return a row of texts for each class, under ``CLASS_HEADER``; empty without labels."""
        rows = []
        for name, recall in self.mean.recalls.items():
            counts = self.confusion.get(name, {})
            wrong = {other: count for other, count in counts.items() if other != name}
            worst = max(wrong, key=wrong.__getitem__, default=None)
            share = "-" if worst is None else f"{worst} ({wrong[worst] / sum(counts.values()):.1%})"
            num_images = sum(counts.values()) // len(self.rows)
            rows.append((name, f"{num_images:,}", show_number(recall, 1, scale=100), share))
        return tuple(rows)

    def _majority(self) -> tuple[str, float] | None:
        """Return the most common class and its share where the accuracy is no better."""
        sums = {name: sum(row.values()) for name, row in self.confusion.items()}
        if len(sums) < 2 or self.mean.accuracy is None:
            return None
        common = max(sums, key=sums.__getitem__)
        share = sums[common] / sum(sums.values())
        return (common, share) if self.mean.accuracy <= share else None

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of the columns of :meth:`cells`."""
        return (
            *("noise", "noisy dB", *(f"{name} dB" for name in self._filters), "PSNR dB"),
            *("noisy SSIM", "SSIM", "accuracy %", "macro %", "calibration error"),
        )

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """Return a row of texts per noise level and one for the mean, under ``header``."""
        return tuple(
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
            for row in (*self.rows, self.mean)
        )

    @property
    def _filters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self.rows for name in row.filters_db))


def _loss(row: ScoreRow) -> str:
    """Return where the network is visibly worse than its input or a filter; empty if nowhere."""
    if row.psnr_db is None:
        return ""
    ahead = {name: rival_db - row.psnr_db for name, rival_db in row.rivals.items()}
    names = [f"{name} by {db:.1f} dB" for name, db in ahead.items() if db >= VISIBLE_DB]
    if not names:
        return ""
    return f"at noise {row.title} the network's image is worse than {' and '.join(names)}"


def show_number(value: float | None, digits: int, *, scale: int = 1) -> str:
    """Format a score; ``-`` for None. A scale of 100 shows a share in percent."""
    return "-" if value is None else f"{scale * value:.{digits}f}"
