"""The way from nothing to the paper: where it is reached, and that its curve can be drawn."""

from pathlib import Path

import pytest
from PIL import Image

from tapetum.provenance import stamp
from tapetum.training import Recipe
from tapetum_paper.climb import Climb, ClimbPoint, climb_drawing

ABOVE = {"psnr_db": 29.9, "ssim": 0.96, "ssim_as_printed": 0.97, "accuracy": 0.862}


def point(epoch: int, **changes: float) -> ClimbPoint:
    """A point at the paper, but for the changes."""
    scores = {**ABOVE, **changes}
    return ClimbPoint(epoch=epoch, minutes=1.5 * epoch, num_images=10, **scores)


def climb(*points: ClimbPoint) -> Climb:
    """A climb of these points."""
    return Climb(
        recipe=Recipe.named("quick"),
        source="some digits",
        threads=2,
        points=points,
        provenance=stamp(seed=0),
    )


@pytest.mark.parametrize("short", ["psnr_db", "ssim_as_printed", "accuracy"])
def test_it_is_reached_where_all_three_scores_are(short: str) -> None:
    """The first point with every score counts, and one that lacks a single score does not."""
    lacking = point(1, **{short: ABOVE[short] - 1e-3})
    assert climb(lacking).reached is None
    assert climb(lacking, point(2), point(3)).reached == point(2)


def test_the_curve_is_drawn_whether_or_not_it_arrives(tmp_path: Path) -> None:
    """Its fingerprint tells the points apart."""
    arriving, failing = climb(point(1), point(2)), climb(point(1, psnr_db=20.0))
    for made in (arriving, failing):
        climb_drawing(made).write(tmp_path / "curve.png")
        with Image.open(tmp_path / "curve.png") as image:
            assert image.width > 500
    assert climb_drawing(arriving).fingerprint != climb_drawing(failing).fingerprint


def test_the_whole_climb_is_in_sight() -> None:
    """The panels begin at nothing and end behind the last epoch."""
    for axes in climb_drawing(climb(point(1), point(2), point(3))).draw().axes:
        left, right = axes.get_xlim()
        assert left == 0
        assert right > point(3).minutes
