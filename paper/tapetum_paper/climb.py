"""Scores over minutes, from fresh weights to the scores of the paper.

``studies/minutes_to_the_paper.py`` measures a :class:`Climb`.  The goal is a row of table 1, with
all three scores.  Its SSIM uses a data range of 2 (:mod:`tapetum_paper.printed_ssim`).
"""

from functools import partial
from typing import TYPE_CHECKING

from tapetum.provenance import Provenance
from tapetum.records import Record
from tapetum.training import Recipe
from tapetum_paper.drawing import Drawing, fingerprint
from tapetum_paper.paper import TABLE_1

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GOAL", "Climb", "ClimbPoint", "climb_drawing"]

GOAL = "dc-net-reduced-integrated"


class ClimbPoint(Record):
    """Scores during a training, means over the eleven sigmas.

    Attributes:
        epoch: Finished epochs.
        minutes: Wall time since the start of the command.
        num_images: Images scored at each sigma.
        psnr_db: PSNR in dB.
        ssim: SSIM with a data range of 1.
        ssim_as_printed: SSIM with a data range of 2.
        accuracy: Accuracy from 0 to 1.
    """

    epoch: int
    minutes: float
    num_images: int
    psnr_db: float
    ssim: float
    ssim_as_printed: float
    accuracy: float

    @property
    def is_at_the_paper(self) -> bool:
        """Whether all three scores reach the printed ones."""
        goal = TABLE_1[GOAL]
        return (
            self.psnr_db >= goal.psnr_db
            and self.ssim_as_printed >= goal.ssim
            and 100 * self.accuracy >= goal.accuracy_percent
        )


class Climb(Record):
    """A training, scored after every epoch.

    Attributes:
        recipe: Training recipe.
        source: Source of the digits.
        threads: Number of threads.
        points: One point for each epoch, in order.
        provenance: Machine, date and versions.
    """

    recipe: Recipe
    source: str
    threads: int
    points: tuple[ClimbPoint, ...]
    provenance: Provenance

    @property
    def reached(self) -> ClimbPoint | None:
        """The first point that reaches the paper; ``None`` if no point does."""
        return next((point for point in self.points if point.is_at_the_paper), None)


def climb_drawing(climb: Climb) -> Drawing:
    """Return the curve with the paper's scores."""
    return Drawing("minutes_to_the_paper.png", fingerprint(climb.points), partial(_draw, climb))


def _draw(climb: Climb) -> "Figure":
    """Three panels: each score over minutes, and where the paper is."""
    from matplotlib.figure import Figure

    goal = TABLE_1[GOAL]
    panels = (
        ("PSNR, dB", goal.psnr_db, {"": [point.psnr_db for point in climb.points]}),
        (
            "SSIM",
            goal.ssim,
            {
                "data range 2, as the paper's": [point.ssim_as_printed for point in climb.points],
                "data range 1": [point.ssim for point in climb.points],
            },
        ),
        ("accuracy, %", goal.accuracy_percent, {"": [100 * p.accuracy for p in climb.points]}),
    )
    minutes = [point.minutes for point in climb.points]
    figure = Figure(figsize=(9.0, 3.0), layout="constrained")
    for (title, printed, lines), axes in zip(panels, figure.subplots(1, 3), strict=True):
        axes.set(title=title, xlabel="minutes")
        axes.axhline(printed, color="black", linestyle="--", linewidth=1)
        axes.annotate(
            f"paper, {printed:g}", (0, printed), xytext=(3, 3), textcoords="offset points"
        )
        for (name, values), marker in zip(lines.items(), "os", strict=False):
            axes.plot(minutes, values, marker=marker, markersize=3, label=name or None)
        if len(lines) > 1:
            axes.legend(loc="lower right")
        if climb.reached is not None:
            axes.axvline(climb.reached.minutes, color="tab:green", linewidth=1)
        axes.set_xlim(left=0)  # set before the lines are drawn it would leave most of them out
    return figure
