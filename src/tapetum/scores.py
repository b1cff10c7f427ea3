"""How well a network denoises and names: scores as records, and the one table that shows them.

Made by :func:`tapetum.training.evaluate`; kept with every run, shipped in every package, drawn by
the command line, by pages, by cards and by documents.
"""

from tapetum.noise import Gaussian, Noise, Protocol
from tapetum.records import FiniteOrNone, Record

__all__ = ["SCORE_HEADER", "ScoreRow", "Scores", "score_cells", "score_note", "show_number"]

SCORE_HEADER = (
    "noise",
    "noisy dB",
    "PSNR dB",
    "noisy SSIM",
    "SSIM",
    "accuracy %",
    "macro %",
    "calibration error",
)


class ScoreRow(Record):
    """Scores at one noise level, or their mean over the levels.

    ``None`` stands for what does not apply: no image output, no labels, or a PSNR that is
    infinite because an image was not noisy at all.

    Attributes:
        title: The noise in words, ``as given`` for images that bring their own, or ``mean``.
        noise: What corrupted the images; ``None`` for the mean, and for noise of their own.
        num_images: Scored at this level.
        psnr_db: Of the denoised images, mean of all.
        ssim: Of the denoised images, mean of all.
        accuracy: Share of right names.
        macro_accuracy: The same, each class counting equally.
        calibration_error: Expected calibration error of the names' probabilities.
        noisy_psnr_db: Of the noisy images themselves.
        noisy_ssim: Of the noisy images themselves.
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
    """Scores on a set of images.

    Attributes:
        protocol: What is kept of a noisy image: ``benchmark`` or ``camera``.
        seed: Of the noise.
        source: Which images, for people.
        rows: One a noise level.
        mean: Over the levels, each counting equally.
    """

    schema_version: int = 1
    protocol: Protocol
    seed: int
    source: str
    rows: tuple[ScoreRow, ...]
    mean: ScoreRow

    def at_sigma(self, sigma: float) -> ScoreRow | None:
        """The row of Gaussian noise of this standard deviation; ``None`` where there is none."""
        return next((row for row in self.rows if row.noise == Gaussian(sigma=sigma)), None)


def score_cells(scores: Scores) -> tuple[tuple[str, ...], ...]:
    """A row of texts for each noise level and one for their mean, under :data:`SCORE_HEADER`."""
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
        for row in (*scores.rows, scores.mean)
    )


def score_note(scores: Scores) -> str:
    """What must be known to compare the numbers: how many images, which protocol."""
    return (
        f"{scores.mean.num_images:,} images at each noise level, protocol {scores.protocol}, "
        f"noise seed {scores.seed}"
    )


def show_number(value: float | None, digits: int, *, scale: int = 1) -> str:
    """A score as text; ``-`` where there is none.

    Args:
        value: The score.
        digits: Behind the point.
        scale: 100 for a share that is shown in percent.
    """
    return "-" if value is None else f"{scale * value:.{digits}f}"
