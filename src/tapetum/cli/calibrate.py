"""``tapetum calibrate``: suit a trained network to another camera."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, run_job, say, table
from tapetum.cli.options import LESS, MAIN, option
from tapetum.progress import shown_path

if TYPE_CHECKING:
    from tapetum.jobs import Calibrated

__all__ = ["calibrate"]

NOISE = option(
    None,
    MAIN,
    "Noise of these images, such as 0.05 or poisson-gaussian:0.01,0.02.",
    rule=options.LEVEL,
    shown="any level of the training that they can hide",
)


def calibrate(
    source: Path = typer.Argument(
        ..., metavar="RUN|PACKAGE", help="Folder of a finished run, or a .tapetum file."
    ),
    folder: Path = typer.Argument(
        ..., metavar="DIR", help="Folder of images of the camera, without labels."
    ),
    *,
    out: Path | None = option(None, MAIN, "Package to write if something changes."),
    noise: str | None = NOISE,
    clean: bool = option(
        False, MAIN, "Take these images for clean, and add the noise of the training.", "--clean"
    ),
    prefer: Literal["label", "balanced", "image"] = option(
        "balanced", MAIN, "Loss that decides: label, image, or balanced for both.", metavar="NAME"
    ),
    overwrite: bool = options.OVERWRITE,
    white: str = options.WHITE,
    seed: int = option(0, LESS, "Random seed of halves, windows and noise.", rule=options.SEED),
    json: bool = options.JSON,
) -> None:
    """Estimate batch statistics and white level again on images of the target camera.

    Half of the images estimates, the other half decides by held-out loss. Where it cannot tell,
    nothing changes and nothing is written.

    Examples:

      tapetum calibrate runs/photos new-camera --out photos-new-camera.tapetum

      tapetum calibrate runs/photos new-camera --noise 0.05
    """
    found = run_job("calibrate", locals())
    if json:
        answer({**found.model_dump(mode="json"), "changes": found.changes})
        return
    _show(found)


def _show(found: "Calibrated") -> None:
    table(("", "before", "after"), found.cells(), title=found.title)
    for note in found.notes:
        say(note, label="note")
    say(f"white level: {found.white_reason}")
    say(f"batch statistics {'are replaced' if found.is_kept else 'stay'}: {found.reason}")
    if found.path is not None:
        say(f"package: {shown_path(found.path)}")
    elif found.changes:
        say("nothing was written: give --out FILE for a package")
    else:
        say("nothing was written, since nothing changes")
