"""Scores of a network as records, and their table.

They are kept with every run and shipped in every package.
"""

from typing import ClassVar

from tapetum.noise import Gaussian, Noise, Protocol
from tapetum.records import FiniteOrNone, Record

__all__ = ["ScoreRow", "Scores", "show_number"]


class ScoreRow(Record):
    """Scores at one noise level, or their mean over the levels.

    ``None`` stands for scores that do not apply: no image output, no labels, or an infinite PSNR.

    Attributes:
        title: The noise in words, ``as given`` for paired images, or ``mean``.
        noise: The added noise; ``None`` for the mean and for paired images.
        num_images: Number of images at this level.
        psnr_db: Mean PSNR of the denoised images, in dB.
        ssim: Mean SSIM of the denoised images.
        accuracy: Share of right labels.
        macro_accuracy: Accuracy averaged over the classes.
        calibration_error: Expected calibration error.
        noisy_psnr_db: Mean PSNR of the noisy images, in dB.
        noisy_ssim: Mean SSIM of the noisy images.
    """

    title: str
    noise: Noise | None
    num_images: int
    psnr_db: FiniteOrNone = None
    ssim: FiniteOrNone = None
    accuracy: FiniteOrNone = None
    macro_accuracy: FiniteOrNone = None
    calibration_error: FiniteOrNone = None
    noisy_psnr_db: FiniteOrNone = None
    noisy_ssim: FiniteOrNone = None


class Scores(Record):
    """Scores of a network on a dataset.

    Attributes:
        protocol: How noisy images are stored: ``benchmark`` or ``camera``.
        seed: Random seed of the noise.
        source: The origin of the images, for people.
        rows: One row per noise level.
        mean: Mean over the levels, with equal weights.
    """

    HEADER: ClassVar = (
        *("noise", "noisy dB", "PSNR dB", "noisy SSIM", "SSIM"),
        *("accuracy %", "macro %", "calibration error"),
    )

    schema_version: int = 1
    protocol: Protocol
    seed: int
    source: str
    rows: tuple[ScoreRow, ...]
    mean: ScoreRow

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

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """Return a row of texts per noise level and one for the mean, under ``HEADER``."""
        return tuple(
            (
                row.title,
                show_number(row.noisy_psnr_db, 2),
                show_number(row.psnr_db, 2),
                show_number(row.noisy_ssim, 3),
                show_number(row.ssim, 3),
                show_number(row.accuracy, 1, scale=100),
                show_number(row.macro_accuracy, 1, scale=100),
                show_number(row.calibration_error, 3),
            )
            for row in (*self.rows, self.mean)
        )


def show_number(value: float | None, digits: int, *, scale: int = 1) -> str:
    """Format a score; ``-`` for None. A scale of 100 shows a share in percent."""
    return "-" if value is None else f"{scale * value:.{digits}f}"
